"""What makes a host that host: name, machine id, SSH keys, root's password, who may log in."""

import re
import secrets
import shutil
from pathlib import Path

from lab.config import Host, Lab
from lab.system import link, run, write

KEY_TYPES = ("ed25519", "ecdsa")


def make_lab_key(lab: Lab) -> str:
    """The lab's own SSH key pair, made once; returns the public half."""
    if not lab.key.exists():
        lab.key.parent.mkdir(parents=True, exist_ok=True)
        run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", f"lab-{lab.name}", "-f", lab.key])
    return lab.key.with_suffix(".pub").read_text()


def new_password() -> str:
    return secrets.token_urlsafe(9)


def write_identity(lab: Lab, host: Host, root_image: Path, target: Path, password: str) -> None:
    """Put the host's own files below `target`, a folder laid over (or copied into) the root image."""
    mirror(root_image, target, "etc/ssh", "root", "var/cache")
    write(target / "etc/hostname", f"{host.name}\n")
    write(target / "etc/machine-id", f"{lab.machine_id(host)}\n")
    write(target / "etc/hosts", hosts_file(lab))
    (target / "root/.ssh").mkdir(mode=0o700, exist_ok=True)
    write(target / "root/.ssh/authorized_keys", make_lab_key(lab), 0o600)
    digest = run(["openssl", "passwd", "-6", "-stdin"], text=f"{password}\n").strip()
    shadow = re.sub(r"(?m)^root:[^:]*:", f"root:{digest}:", (root_image / "etc/shadow").read_text())
    write(target / "etc/shadow", shadow, 0o600)
    keys = _host_keys(lab, host)
    for file in keys.iterdir():
        shutil.copy2(file, target / "etc/ssh" / file.name)


def hosts_file(lab: Lab) -> str:
    """/etc/hosts for everybody: the lab has no name server."""
    lines = ["127.0.0.1 localhost", "::1 localhost"]
    lines += [f"{lab.address(host)} {host.name}" for host in lab.hosts]
    return "\n".join([*lines, f"{lab.gateway} gateway", ""])


def mirror(lower: Path, upper: Path, *folders: str) -> None:
    """Make these folders in `upper` with the mode and owner that they have in the root image."""
    for folder in folders:
        for relative in [*reversed(Path(folder).parents), Path(folder)]:
            target = upper / relative
            if not target.is_dir():
                target.mkdir(parents=True)
            if (lower / relative).is_dir():
                _copy_owner(lower / relative, target)


def mask(target: Path, units: tuple[str, ...]) -> None:
    """Units that must not run on this host."""
    for unit in units:
        link(target / "etc/systemd/system" / unit, "/dev/null")


def enable(root: Path, units: tuple[str, ...], target: str = "multi-user.target") -> None:
    """Units that start with this host."""
    for unit in units:
        own = unit.startswith("lab-")
        source = f"/etc/systemd/system/{unit}" if own else f"/usr/lib/systemd/system/{unit}"
        link(root / "etc/systemd/system" / f"{target}.wants" / unit, source)


def _copy_owner(source: Path, target: Path) -> None:
    shutil.copystat(source, target)
    status = source.stat()
    shutil.chown(target, status.st_uid, status.st_gid)


def _host_keys(lab: Lab, host: Host) -> Path:
    folder = lab.identity_dir(host)
    if not folder.is_dir():
        fresh = folder.with_name(f"{folder.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for kind in KEY_TYPES:
            file = fresh / f"ssh_host_{kind}_key"
            run(["ssh-keygen", "-q", "-t", kind, "-N", "", "-C", f"root@{host.name}", "-f", file])
        fresh.rename(folder)
    return folder
