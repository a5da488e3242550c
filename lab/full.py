"""Full hosts: User Mode Linux, a kernel of their own as a process, for what containers cannot have (NFS)."""

import shutil
from pathlib import Path

from lab import cgroups, identity, network, roots, state
from lab.config import Host, Lab
from lab.errors import LabError
from lab.system import FILES, run, say, write

MEMORY = "768M"
DISK = "6G"
UML_MODULES = Path("/usr/lib/uml/modules")
NFS_SERVER = "full1"
NFS_PATH = "/srv/nfs"


def disk_image(lab: Lab) -> Path:
    return lab.images / f"full-{roots.recipe()}-{_release()}.img"


def build(lab: Lab) -> Path:
    """The full hosts' disk, made of the shared root image and the kernel's modules (ten seconds)."""
    image = disk_image(lab)
    if image.exists():
        return image
    say(f"Building the full hosts' disk ({image})")
    work = lab.images / f"building-{lab.name}-full"
    shutil.rmtree(work, ignore_errors=True)
    for folder in ("upper/usr/lib/modules", "work", "merged"):
        (work / folder).mkdir(parents=True)
    identity.mirror(roots.path(lab), work / "upper", "usr/lib/modules")
    shutil.copytree(UML_MODULES / _release(), work / "upper/usr/lib/modules" / _release(), symlinks=True)
    script = (
        'mount -t overlay overlay -o "lowerdir=$1,upperdir=$0/upper,workdir=$0/work" "$0/merged"'
        ' && exec mkfs.ext4 -q -O ^has_journal -L full -d "$0/merged" "$0/disk.img" "$2"'
    )
    argv: list[str | Path] = [
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "sh",
        "-c",
        script,
        work,
        roots.path(lab),
        DISK,
    ]
    run(cgroups.inside(cgroups.make(cgroups.lab_group(lab) / "build"), argv), timeout_s=300)
    (work / "disk.img").rename(image)
    shutil.rmtree(work)
    return image


def prepare(lab: Lab, host: Host) -> None:
    """The host's own files, which its first process copies over the image; its disk keeps the changes."""
    folder = lab.host_dir(host)
    if (folder / "ready").exists():
        return
    shutil.rmtree(folder, ignore_errors=True)
    seed, password = folder / "seed", identity.new_password()
    seed.mkdir(parents=True)
    identity.write_identity(lab, host, roots.path(lab), seed, password)
    identity.enable(seed, ("lab-network.service",), target="sysinit.target")
    if host.name == NFS_SERVER:
        identity.enable(seed, ("nfs-server.service",))
        (seed / NFS_PATH[1:]).mkdir(parents=True)
        (seed / NFS_PATH[1:]).chmod(0o777)
        write(seed / "etc/exports", f"{NFS_PATH} {lab.subnet}.0/24(rw,sync,no_root_squash,no_subtree_check)\n")
    state.update_host(
        lab, host, name=host.name, address=lab.address(host), kind=host.kind, user="root", password=password
    )
    (folder / "ready").write_text(str(disk_image(lab)))


def start(lab: Lab, host: Host) -> None:
    """Power the host on, if it is off; returns before it has booted."""
    group = cgroups.host_group(lab, host)
    if cgroups.is_populated(group):
        return
    cgroups.kill(group)
    network.attach(lab, host)
    cgroups.make(group / "run")
    folder = lab.host_dir(host)
    shutil.rmtree(folder / "uml", ignore_errors=True)
    disk = (folder / "ready").read_text()
    kernel = [
        f"umid={host.name}", f"uml_dir={folder}/uml", f"mem={MEMORY}", f"ubd0={folder}/disk.cow,{disk}",
        "root=/dev/ubda", "rw", "init=/usr/local/sbin/lab-init", "vec0:transport=raw,ifname=p0,depth=64",
        "con=null", "con0=null,fd:1", "con1=null", "ssl=null", "quiet", "net.ifnames=0",
        f"lab.seed={folder}/seed", f"lab.address={lab.address(host)}/24", f"lab.mac={lab.mac(host)}",
        f"systemd.hostname={host.name}", f"systemd.machine_id={lab.machine_id(host)}",
    ]  # fmt: skip
    env = {"HOST_NETNS": lab.netns(host), "HOST_DIR": str(folder)}
    cgroups.start_in(group / "run", [FILES / "full-start.sh", *kernel], folder / "console.log", env)


def _release() -> str:
    """The kernel release that the machine's package user-mode-linux brings."""
    found = sorted(UML_MODULES.glob("*")) if UML_MODULES.is_dir() else []
    if not found:
        raise LabError("user-mode-linux is not installed; this release may not have it")
    return found[-1].name
