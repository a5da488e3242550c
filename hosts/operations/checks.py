"""The checks of a preflight: each looks at what was found of a host and says in plain words what to do about it."""

from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from typing import Any

from django.utils import timezone
from django.utils.translation import gettext as _

from hosts.models import RENEW_BEFORE, Host
from hosts.operations.reach import takes_part
from hosts.states import Level, Transport
from virt.moves import ALLOW_POST_COPY, Means
from virt.survey import Hypervisor, Machine

OLDEST_LIBVIRT = (6, 0, 0)  # the first with domain capabilities, peer-to-peer and TLS as we use them
CLOCK_WARNING_S = 2.0
SLOW_LOGIN_S = 3.0
LITTLE_MEMORY = 2 * 1024**3


@dataclass(frozen=True)
class Check:
    """key is stable, for tests and the API; cure and command say what to do if the level is not ok."""

    key: str
    title: str
    level: str
    text: str
    cure: str = ""
    command: str = ""

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class Found:
    """What the preflight saw. machine and hypervisor are None if SSH or libvirt did not answer."""

    host: Host
    login_s: float | None = None
    login_error: str = ""
    machine: Machine | None = None
    means: Means | None = None
    hypervisor: Hypervisor | None = None
    hypervisor_error: str = ""
    others: list[Host] = field(default_factory=list)  # the managed hosts
    reached: dict[int, str] = field(default_factory=dict)  # other host -> "" or why it can't be reached from here


def ok(key: str, title: str, text: str) -> Check:
    return Check(key, title, Level.OK, text)


def warning(key: str, title: str, text: str, cure: str, command: str = "") -> Check:
    return Check(key, title, Level.WARNING, text, cure, command)


def problem(key: str, title: str, text: str, cure: str, command: str = "") -> Check:
    return Check(key, title, Level.PROBLEM, text, cure, command)


def check_login(found: Found) -> Check | None:
    title = _("Login by SSH")
    if found.host.transport != Transport.SSH:
        return None
    if found.login_s is None:
        cure = _("See that the host is on and its SSH server runs; if it refuses us, let Drover in again.")
        return problem("ssh", title, found.login_error, cure, "systemctl status ssh")
    seconds = _("%(s).1f s") % {"s": found.login_s}
    if found.login_s < SLOW_LOGIN_S:
        return ok("ssh", title, _("Drover's key is accepted; a login takes %(time)s.") % {"time": seconds})
    usedns = found.machine is not None and found.machine.sshd.get("usedns") == "yes"
    cure = _("The host's SSH server asks DNS for the name of each caller: switch UseDNS off.")
    other = _("Look whether the host's name servers answer; a login waits for them.")
    command = "echo 'UseDNS no' > /etc/ssh/sshd_config.d/usedns.conf && systemctl reload ssh"
    text = _("A login takes %(time)s, and so will every migration's begin.") % {"time": seconds}
    return warning("ssh", title, text, cure if usedns else other, command if usedns else "cat /etc/resolv.conf")


def check_libvirt(found: Found) -> Check:
    title = "libvirt"
    if found.hypervisor is not None:
        version = found.hypervisor.libvirt_version
        if tuple(int(part) for part in version.split(".")) < OLDEST_LIBVIRT:
            cure = _("Upgrade the host's distribution; Drover is tested with libvirt 6.0 and newer.")
            return warning("libvirt", title, _("libvirt %(v)s answers, but is old.") % {"v": version}, cure)
        return ok("libvirt", title, _("libvirt %(v)s answers.") % {"v": version})
    machine = found.machine
    if machine is None:
        cure = _("Start libvirt on the host, and see that its port is open.")
        return problem("libvirt", title, found.hypervisor_error, cure, "systemctl enable --now libvirtd")
    if not machine.units & {"libvirtd", "virtqemud"}:
        cure = _("Install and start libvirt on the host.")
        command = "apt install libvirt-daemon-system qemu-system-x86  # or: dnf install libvirt qemu-kvm"
        return problem("libvirt", title, _("libvirt does not run on the host."), cure, command)
    if not machine.is_root:
        cure = _("Let the account manage libvirt.")
        command = f"usermod -aG libvirt {found.host.username}"
        return problem("libvirt", title, found.hypervisor_error, cure, command)
    return problem(
        "libvirt", title, found.hypervisor_error, _("See what libvirt says."), "journalctl -u libvirtd -n 50"
    )


def check_tunnel(found: Found) -> Check | None:
    machine = found.machine
    if machine is None:
        return None
    title = _("libvirt through SSH")
    if "virt-ssh-helper" in machine.tools or "nc-U" in machine.tools:
        with_what = "virt-ssh-helper" if "virt-ssh-helper" in machine.tools else "nc -U"
        return ok("tunnel", title, _("%(program)s is there.") % {"program": with_what})
    cure = _("Install a netcat that knows sockets (option -U).")
    text = _("Neither virt-ssh-helper nor a netcat with -U is there: libvirt can't be reached through SSH.")
    return problem("tunnel", title, text, cure, "apt install netcat-openbsd  # or: dnf install nmap-ncat")


def check_qemu(found: Found) -> Check | None:
    if found.hypervisor is None:
        return None
    if found.host.domain_type == "test":
        return ok("qemu", "QEMU", _("This is libvirt's simulated host: it has no QEMU."))
    if not found.hypervisor.domain_types:
        text = _("libvirt knows no QEMU for this machine.")
        return problem("qemu", "QEMU", text, _("Install QEMU on the host."), "apt install qemu-system-x86 qemu-utils")
    text = _("QEMU %(v)s, %(n)s machine types.") % {
        "v": found.hypervisor.qemu_version,
        "n": len(found.hypervisor.machine_types),
    }
    return ok("qemu", "QEMU", text)


def check_kvm(found: Found) -> Check | None:
    machine = found.machine
    if machine is None:
        return None
    title = _("Hardware virtualisation")
    if machine.has_kvm:
        return ok("kvm", title, _("KVM works."))
    if machine.has_dev_kvm:
        text = _("/dev/kvm is there, but the CPU shows neither vmx nor svm: VMs would be emulated.")
    else:
        text = _("No /dev/kvm: VMs are emulated (TCG), many times slower.")
    cure = _("Switch virtualisation on in the firmware (VT-x, AMD-V), or allow nested virtualisation if this is a VM.")
    return warning("kvm", title, text, cure, "virt-host-validate qemu")


def check_cpu(found: Found) -> Check | None:
    now = found.hypervisor
    if now is None or found.host.domain_type == "test":
        return None
    title = _("CPU")
    what = f"{now.cpu_vendor} {now.cpu_model}".strip() or now.arch
    text = _("%(cpu)s, %(n)s CPUs.") % {"cpu": what, "n": now.cpus}
    kind = [host for host in found.others if host.cpu_vendor and host.has_kvm == found.host.has_kvm]
    if kind and now.cpu_vendor and now.cpu_vendor not in {host.cpu_vendor for host in kind}:
        cure = _("VMs can't move live between vendors. Keep hosts of one vendor in a cluster if they shall.")
        vendors = ", ".join(sorted({host.cpu_vendor for host in kind}))
        return warning(
            "cpu", title, _("%(text)s The others are %(vendors)s.") % {"text": text, "vendors": vendors}, cure
        )
    if kind and now.arch not in {host.arch for host in kind}:
        cure = _("VMs can't move to another architecture.")
        return warning("cpu", title, f"{text} {now.arch}.", cure)
    return ok("cpu", title, text)


def check_memory(found: Found) -> Check | None:
    if found.hypervisor is None:
        return None
    gib = found.hypervisor.memory_bytes / 1024**3
    text = _("%(gib).1f GiB.") % {"gib": gib}
    if found.hypervisor.memory_bytes < LITTLE_MEMORY:
        return warning("memory", _("Memory"), text, _("Little room for VMs: give the host more memory."), "free -h")
    return ok("memory", _("Memory"), text)


def check_uuid(found: Found) -> Check | None:
    if found.hypervisor is None or not found.hypervisor.uuid:
        return None
    title = _("Machine UUID")
    twins = [host for host in Host.objects.filter(uuid=found.hypervisor.uuid) if host.pk != found.host.pk]
    if not twins:
        return ok("uuid", title, found.hypervisor.uuid)
    text = _("%(uuid)s is also the UUID of %(host)s. libvirt refuses to migrate between the two.") % {
        "uuid": found.hypervisor.uuid,
        "host": twins[0],
    }
    cure = _("If it is the same machine, do not add it twice. If it is a copy, give it a UUID of its own.")
    command = 'echo "host_uuid = \\"$(uuidgen)\\"" >> /etc/libvirt/libvirtd.conf && systemctl restart libvirtd'
    return problem("uuid", title, text, cure, command)


def check_clock(found: Found) -> Check | None:
    machine = found.machine
    if machine is None:
        return None
    off = machine.clock_offset_s
    title = _("Clock")
    if abs(off) <= CLOCK_WARNING_S:
        return ok("clock", title, _("%(off).1f s apart from Drover's machine.") % {"off": abs(off)})
    text = _("The host's clock is %(off).0f s apart from Drover's machine.") % {"off": abs(off)}
    cure = _("Keep the clock right by NTP: VMs see time jump when they move.")
    return warning("clock", title, text, cure, "apt install chrony  # or: systemctl enable --now systemd-timesyncd")


def check_bridges(found: Found) -> Check | None:
    machine = found.machine
    if machine is None:
        return None
    title = _("Bridges")
    mine = {name for name in machine.bridges if not name.startswith("virbr")}
    missing = sorted({name for host in found.others for name in host.bridges if not name.startswith("virbr")} - mine)
    listed = ", ".join(sorted(mine)) or _("none")
    if missing:
        cure = _("Make a bridge of the same name, so that VMs keep their network when they move here.")
        text = _("%(mine)s. Other hosts also have %(missing)s.") % {"mine": listed, "missing": ", ".join(missing)}
        return warning("bridges", title, text, cure, f"nmcli con add type bridge ifname {missing[0]}")
    if not mine:
        cure = _("VMs will be behind NAT. For VMs in your own network make a bridge over the host's network card.")
        return warning("bridges", title, listed, cure, "nmcli con add type bridge ifname br0")
    return ok("bridges", title, listed)


def check_pools(found: Found) -> Check | None:
    if found.hypervisor is None:
        return None
    title = _("Storage pools")
    pools = found.hypervisor.pools
    off = [name for name, active in pools if not active]
    if off:
        cure = _("Start it, or remove it from the host.")
        text = _("%(names)s: not started.") % {"names": ", ".join(off)}
        return warning("pools", title, text, cure, f"virsh pool-start {off[0]}")
    names = ", ".join(name for name, _active in pools)
    return ok("pools", title, names or _("None yet; pools of the cluster can be added to it afterwards."))


def check_locks(found: Found) -> Check | None:
    """The second wall against a VM that runs twice (virtlockd), and the logs of consoles (virtlogd)."""
    machine = found.machine
    if machine is None:
        return None
    title = _("virtlogd and virtlockd")
    if "virtlogd" not in machine.units and machine.units & {"libvirtd", "virtqemud"}:
        cure = _("Start it: QEMU's output and serial logs go through it.")
        return warning("locks", title, _("virtlogd does not run."), cure, "systemctl enable --now virtlogd.socket")
    if machine.lock_manager == "lockd" and "virtlockd" in machine.units:
        return ok("locks", title, _("Disks of running VMs are locked by virtlockd."))
    text = _("virtlogd runs. Disks are not locked by virtlockd.")
    cure = _(
        "Worth having where pools are shared: libvirt itself then refuses to start a VM whose disk is in use elsewhere."
    )
    command = "echo 'lock_manager = \"lockd\"' >> /etc/libvirt/qemu.conf && systemctl restart virtlockd libvirtd"
    return warning("locks", title, text, cure, command)


def check_names(found: Found) -> Check | None:
    """Hosts tell each other their names when a VM moves: a name that resolves to nothing costs time."""
    machine = found.machine
    if machine is None:
        return None
    title = _("Host name")
    twin = next((host for host in found.others if host.hostname and host.hostname == machine.hostname), None)
    if twin is not None or machine.hostname in {"localhost", "localhost.localdomain", ""}:
        text = _("The host calls itself %(name)s") % {"name": machine.hostname or "–"}
        also = _(", as %(host)s does.") % {"host": twin} if twin else "."
        cure = _("Give it a name of its own: libvirt tells it to the other side of a migration.")
        return warning("names", title, text + also, cure, "hostnamectl set-hostname NAME")
    return ok("names", title, machine.hostname)


def check_peers(found: Found) -> Check | None:
    if not takes_part(found.host):
        return None
    title = _("Way to the other hosts")
    if not found.others:
        return ok("peers", title, _("It is the first host."))
    bad = {host: found.reached[host.pk] for host in found.others if found.reached.get(host.pk)}
    if not bad:
        return ok("peers", title, _("It can log in to every other host, and back, for migrations."))
    text = "; ".join(f"{host}: {why}" for host, why in bad.items())
    cure = _("Make the hosts trust each other's keys (one button on the page of hosts, once it is added).")
    return warning("peers", title, text, cure, "")


def check_encryption(found: Found) -> Check | None:
    if found.means is None:
        return None
    title = _("Encrypted migration")
    if found.means.has_certificates:
        return _check_certificates(title, found.means)
    cure = _("If traffic between hosts shall be encrypted: one button on the page of hosts makes certificates for all.")
    return Check("encryption", title, Level.OK, _("No certificates: VMs move unencrypted or through SSH."), cure)


def _check_certificates(title: str, means: Means) -> Check:
    until = means.valid_until
    words = {"folder": means.directory, "day": timezone.localtime(until).date().isoformat() if until else "?"}
    if until is not None and until > timezone.now() + RENEW_BEFORE:
        return ok("encryption", title, _("Certificates are in %(folder)s, valid until %(day)s.") % words)
    cure = _("Renew them: “Set up encrypted migration” on the page of hosts makes new ones for all.")
    if until is None:
        return warning("encryption", title, _("The certificates in %(folder)s can't be read.") % words, cure)
    ended = _("The certificates in %(folder)s ended on %(day)s.")
    ends = _("The certificates in %(folder)s end on %(day)s.")
    return warning("encryption", title, (ends if until > timezone.now() else ended) % words, cure)


def check_post_copy(found: Found) -> Check | None:
    if found.means is None:
        return None
    title = _("Post-copy migration")
    if not found.means.why_no_post_copy:
        return ok("post_copy", title, _("VMs can come by post-copy."))
    text = _("VMs can't come by post-copy: its kernel does not let QEMU fetch memory on demand.")
    cure = _("Only needed for VMs that change their memory faster than the network sends it.")
    return Check("post_copy", title, Level.OK, text, cure, ALLOW_POST_COPY)


CHECKS: tuple[Callable[[Found], Check | None], ...] = (
    check_login,
    check_tunnel,
    check_libvirt,
    check_qemu,
    check_kvm,
    check_cpu,
    check_memory,
    check_uuid,
    check_clock,
    check_names,
    check_bridges,
    check_pools,
    check_locks,
    check_peers,
    check_encryption,
    check_post_copy,
)


def all_checks(found: Found) -> Iterator[Check]:
    """Every check that makes sense for this host, in the order in which a person would cure them."""
    for check in CHECKS:
        result = check(found)
        if result is not None:
            yield result
