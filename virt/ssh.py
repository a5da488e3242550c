"""SSH with a key pair, known hosts and settings of Drover's own: nothing of the account's ~/.ssh is used.

Per host two files are written below `ssh_dir/hosts/`: KEY.conf (OpenSSH client configuration, with the pinned host
keys in KEY.known) and KEY.sh, the wrapper named in libvirt's `command=` (libvirt.org/uri.html). All sessions to a host
share one TCP connection (ControlMaster), so a command costs some milliseconds and one login.
"""

import hashlib
import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from django.utils.translation import gettext as _

from virt import gate
from virt.errors import AuthenticationFailed, HostKeyChanged, HostUnreachable, VirtError
from virt.target import HostKey, Target

CONNECT_TIMEOUT_S = 8
KEY_TYPES = "ed25519,ecdsa,rsa"


class CommandFailed(VirtError):
    """A command on a host ended with another status than 0."""

    def __init__(self, argv: Sequence[str], status: int, stderr: str) -> None:
        super().__init__(_("“%(cmd)s” failed on the host.") % {"cmd": argv[0]}, stderr.strip()[-4000:], status)


def ensure_key(ssh_dir: Path) -> str:
    """Make Drover's own key pair on first use; returns the public key line. Safe if several processes come first."""
    private, public = ssh_dir / "id_ed25519", ssh_dir / "id_ed25519.pub"
    if not private.exists():
        ssh_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
        with tempfile.TemporaryDirectory(dir=ssh_dir) as scratch:
            fresh = Path(scratch) / "id_ed25519"
            subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "drover", "-f", str(fresh)], check=True
            )
            with suppress(FileExistsError):  # another process was quicker: its key is the key
                os.link(fresh, private)
    if not public.exists():
        done = subprocess.run(["ssh-keygen", "-y", "-f", str(private)], check=True, capture_output=True, text=True)
        kind, blob = done.stdout.split()[:2]
        _write(public, f"{kind} {blob} drover\n", 0o644)
    return public.read_text().strip()


def ready(target: Target) -> None:
    """Make sure that key pair, configuration and pinned keys of this host lie where ssh looks. Cheap when they do."""
    if target.transport == "ssh":
        ensure_key(target._dir())
        write_config(target, [HostKey(kind, blob) for kind, blob in target.host_keys])


def write_config(target: Target, host_keys: Sequence[HostKey]) -> None:
    """Write the ssh configuration, pinned keys and wrapper of one host, if they are not already so."""
    directory = target.ssh_config.parent
    directory.mkdir(parents=True, exist_ok=True, mode=0o700)
    (directory.parent / "cm").mkdir(exist_ok=True, mode=0o700)
    known = directory / f"{target.key}.known"
    _write(known, "".join(f"{target.key} {key.line}\n" for key in host_keys), 0o600)
    lines = [
        f"Host {target.key}",
        f"  HostName {target.address}",
        f"  Port {target.port or 22}",
        f"  User {target.username}",
        f"  HostKeyAlias {target.key}",
        f'  UserKnownHostsFile "{known}"',
        "  GlobalKnownHostsFile /dev/null",
        "  StrictHostKeyChecking yes",
        "  UpdateHostKeys no",
        f'  IdentityFile "{directory.parent / "id_ed25519"}"',
        "  IdentitiesOnly yes",
        "  IdentityAgent none",
        "  BatchMode yes",
        f"  ConnectTimeout {CONNECT_TIMEOUT_S}",
        "  ServerAliveInterval 5",
        "  ServerAliveCountMax 3",
        "  ControlMaster auto",
        f'  ControlPath "{directory.parent / "cm" / _master(target)}"',
        "  ControlPersist 60",
        "  LogLevel ERROR",
    ]
    _write(target.ssh_config, "\n".join(lines) + "\n", 0o600)
    config = shlex.quote(str(target.ssh_config))
    _write(target.ssh_wrapper, f'#!/bin/sh\nexec ssh -F {config} "$@"\n', 0o700)


def _master(target: Target) -> str:
    """The name of the shared connection's socket: another address, another connection. Shorter than ssh's %C, because
    the path of a socket has 107 bytes at most and ssh wants 17 of them."""
    where = f"{target.username}@{target.address}:{target.port or 22}"
    return f"{target.key}-{hashlib.sha256(where.encode()).hexdigest()[:8]}"


def _write(path: Path, text: str, mode: int) -> None:
    if path.exists() and path.read_text() == text:
        return
    descriptor, name = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(descriptor, "w") as handle:
        handle.write(text)
    os.chmod(name, mode)
    os.replace(name, path)


def scan_keys(address: str, port: int = 22) -> list[HostKey]:
    """The public keys a host shows now, ed25519 first. Raises HostUnreachable. Blocks up to 8 s."""
    gate.check(f"ssh-keyscan {address}")
    argv = ["ssh-keyscan", "-T", str(CONNECT_TIMEOUT_S), "-p", str(port), "-t", KEY_TYPES, "--", address]
    nothing = _("Nothing answers SSH at %(address)s port %(port)s.") % {"address": address, "port": port}
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=CONNECT_TIMEOUT_S * 4, check=False)
    except subprocess.TimeoutExpired as late:
        raise HostUnreachable(nothing, str(late)) from late
    keys = []
    for line in done.stdout.splitlines():
        parts = line.split()
        if len(parts) >= 3 and not line.startswith("#"):
            keys.append(HostKey(parts[1], parts[2]))
    if not keys:
        raise HostUnreachable(nothing, done.stderr.strip())
    return sorted(keys, key=lambda key: key.kind != "ssh-ed25519")


def argv_for(target: Target, argv: Sequence[str], *, fresh: bool = False) -> list[str]:
    """The local command line that runs argv on the host. The one place where words are quoted for a remote shell.

    fresh=True logs in anew instead of using the shared connection.
    """
    if target.transport == "local":
        return list(argv)
    options = ["-o", "ControlPath=none"] if fresh else []
    return ["ssh", "-F", str(target.ssh_config), *options, target.key, "--", shlex.join(argv)]


def run(
    target: Target,
    argv: Sequence[str],
    *,
    stdin: str = "",
    timeout_s: float = 30,
    check: bool = True,
    fresh: bool = False,
) -> str:
    """Run a command on a host and return its output; fresh=True over a login of its own. Blocks.

    Raises CommandFailed if it ends with a status (unless check=False), HostUnreachable if ssh fails or time is up.
    """
    gate.check(f"ssh {target.key} {argv[0]}")
    ready(target)
    try:
        done = subprocess.run(
            argv_for(target, argv, fresh=fresh),
            input=stdin,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            check=False,
        )
    except subprocess.TimeoutExpired as late:
        raise HostUnreachable(_("The host did not answer in time."), str(late.cmd[-1])) from late
    except FileNotFoundError as missing:  # on this machine itself; elsewhere the shell says so, with the same status
        if not check:
            return ""
        raise CommandFailed(argv, 127, str(missing)) from missing
    if done.returncode == 255 and target.transport != "local":
        raise _ssh_error(done.stderr)
    if check and done.returncode != 0:
        raise CommandFailed(argv, done.returncode, done.stderr or done.stdout)
    return done.stdout


def _ssh_error(stderr: str) -> VirtError:
    lower = stderr.lower()
    if "host key verification failed" in lower or "identification has changed" in lower:
        return HostKeyChanged(_("The host shows another SSH key than the pinned one."), stderr.strip())
    if "permission denied" in lower:
        return AuthenticationFailed(_("The host does not accept Drover's key."), stderr.strip())
    return HostUnreachable(_("The host does not answer."), stderr.strip())


# The key comes on standard input. A file without a line end at its end gets one first.
ADD_KEY = """
umask 077; mkdir -p ~/.ssh && touch ~/.ssh/authorized_keys && read -r line || exit 1
grep -qxF "$line" ~/.ssh/authorized_keys && exit 0
[ -z "$(tail -c 1 ~/.ssh/authorized_keys)" ] || echo >> ~/.ssh/authorized_keys
printf "%s\\n" "$line" >> ~/.ssh/authorized_keys
"""


def install_key(target: Target, password: str) -> None:
    """Log in once with a password and add Drover's public key to the account's authorized_keys.

    ssh asks a program for the password (SSH_ASKPASS, OpenSSH 8.4 or newer); it travels in that program's environment
    only and is kept nowhere. Raises AuthenticationFailed, HostUnreachable, CommandFailed. Blocks.
    """
    gate.check(f"ssh {target.key} install key")
    ready(target)
    options = ["-o", "BatchMode=no", "-o", "PreferredAuthentications=password,keyboard-interactive"]
    options += ["-o", "NumberOfPasswordPrompts=1", "-o", "ControlMaster=no", "-o", "ControlPath=none"]
    with tempfile.TemporaryDirectory(dir=target._dir()) as scratch:
        ask = Path(scratch) / "ask"
        _write(ask, '#!/bin/sh\nprintf "%s\\n" "$DROVER_ASK"\n', 0o700)
        asking = {"SSH_ASKPASS": str(ask), "SSH_ASKPASS_REQUIRE": "force", "DROVER_ASK": password}
        try:
            done = subprocess.run(
                ["ssh", "-F", str(target.ssh_config), *options, target.key, "--", ADD_KEY],
                input=ensure_key(target._dir()) + "\n",
                capture_output=True,
                text=True,
                timeout=CONNECT_TIMEOUT_S * 3,
                check=False,
                env={**os.environ, **asking},
            )
        except subprocess.TimeoutExpired:  # without its text, which would name the environment's program only
            raise HostUnreachable(_("The host did not answer in time.")) from None
    if done.returncode == 0:
        return
    if "permission denied" in done.stderr.lower():
        raise AuthenticationFailed(_("The host does not accept this password."), done.stderr.strip())
    if done.returncode != 255:
        raise CommandFailed(["authorized_keys"], done.returncode, done.stderr)
    raise _ssh_error(done.stderr)


REMOVE_KEY = """
umask 077; file=$(readlink -f ~/.ssh/authorized_keys) && [ -f "$file" ] || exit 0
fresh="$file.drover.$$"; cp -a "$file" "$fresh" || exit 1
awk -v key="$1" 'index($0, key) == 0' "$file" > "$fresh" && mv -f "$fresh" "$file"
"""


def remove_key(target: Target) -> None:
    """Take Drover's public key off the account it logs in to. Raises HostUnreachable, CommandFailed. Blocks."""
    blob = ensure_key(target._dir()).split()[1]
    run(target, ["sh", "-c", REMOVE_KEY, "drover", blob])


def forget(target: Target) -> None:
    """Close the shared connection and remove the files of a host that is no longer ours."""
    if target.transport == "ssh" and target.ssh_config.exists():
        subprocess.run(
            ["ssh", "-F", str(target.ssh_config), "-O", "exit", target.key], capture_output=True, check=False
        )
        for path in target.ssh_config.parent.glob(f"{target.key}.*"):
            path.unlink()
