"""What a host is and has, asked once: the machine by SSH, the hypervisor by libvirt. Changes nothing."""

import time
from dataclasses import dataclass, field

import libvirt

from virt import ssh
from virt.errors import VirtError, translated
from virt.target import Target
from virt.xml import capabilities

# One fixed script, sent on standard input: nothing is ever put into it. It only reads.
SCRIPT = r"""
export LC_ALL=C PATH="$PATH:/usr/local/sbin:/usr/sbin:/sbin"
say() { printf '%s=%s\n' "$1" "$2"; }
say time "$(date +%s.%N)"
say uid "$(id -u)"
say hostname "$(hostname 2>/dev/null || cat /proc/sys/kernel/hostname)"
say os_name "$(. /etc/os-release 2>/dev/null; printf %s "$PRETTY_NAME")"
say kernel "$(uname -r)"
read -r up _ < /proc/uptime; say uptime "$up"
[ -c /dev/kvm ] && say dev_kvm 1
grep -qwE 'vmx|svm' /proc/cpuinfo && say cpu_flag 1
for tool in virsh virt-ssh-helper nc qemu-img ssh-keygen bash timeout; do
  command -v "$tool" >/dev/null 2>&1 && say tool "$tool"
done
nc -h 2>&1 | grep -qE -- '(^|[^a-zA-Z])-?[a-zA-Z]*U' && say tool nc-U
if [ -d /run/systemd/system ]; then
  say systemd 1
  for unit in virtlogd virtlockd libvirtd virtqemud; do
    for kind in service socket; do
      systemctl is-active --quiet "$unit.$kind" && say unit "$unit"
    done
  done
else
  for unit in virtlogd virtlockd libvirtd virtqemud; do
    [ -e "/run/$unit.pid" ] || [ -e "/run/libvirt/$unit-sock" ] && say unit "$unit"
  done
fi
for line in $(sed -n 's/^[[:space:]]*lock_manager[[:space:]]*=[[:space:]]*"\{0,1\}\([a-z]*\).*/\1/p' \
  /etc/libvirt/qemu.conf 2>/dev/null); do say lock_manager "$line"; done
sshd -T 2>/dev/null | sed -n 's/^\(usedns\|maxsessions\|permitrootlogin\) \(.*\)/\1=\2/p'
say nameservers "$(grep -c '^nameserver' /etc/resolv.conf 2>/dev/null)"
for net in /sys/class/net/*/bridge; do
  [ -d "$net" ] && net="${net%/bridge}" && say bridge "${net##*/}"
done
for key in /etc/ssh/ssh_host_*_key.pub; do
  [ -r "$key" ] && read -r kind blob _ < "$key" && say host_key "$kind $blob"
done
exit 0
"""


@dataclass(frozen=True)
class Machine:
    """clock_offset_s is the host's clock minus ours. virt_bridges (virbrN) are libvirt's own, bridges the others."""

    hostname: str
    os_name: str
    kernel: str
    is_root: bool
    uptime_s: float
    clock_offset_s: float
    has_kvm: bool
    has_dev_kvm: bool
    tools: frozenset[str]
    units: frozenset[str]
    has_systemd: bool
    lock_manager: str
    sshd: dict[str, str]
    nameservers: int
    bridges: tuple[str, ...]
    host_keys: tuple[tuple[str, str], ...]


def machine(target: Target) -> Machine:
    """Ask the machine. Raises HostUnreachable, CommandFailed. Blocks up to 30 s; for transports ssh and local."""
    before = time.time()
    output = ssh.run(target, ["sh", "-s"], stdin=SCRIPT, timeout_s=30)
    return parse(output, before)


def parse(output: str, asked_at: float) -> Machine:
    """Read the script's output; asked_at is our clock when it was sent."""
    one: dict[str, str] = {}
    many: dict[str, list[str]] = {}
    for line in output.splitlines():
        key, sign, value = line.partition("=")
        if sign:
            one[key] = value.strip()
            many.setdefault(key, []).append(value.strip())
    keys = [tuple(key.split(" ", 1)) for key in many.get("host_key", []) if " " in key]
    return Machine(
        hostname=one.get("hostname", ""),
        os_name=one.get("os_name", ""),
        kernel=one.get("kernel", ""),
        is_root=one.get("uid") == "0",
        uptime_s=_number(one.get("uptime", "")),
        clock_offset_s=_number(one.get("time", ""), asked_at) - asked_at,
        has_kvm="dev_kvm" in one and "cpu_flag" in one,
        has_dev_kvm="dev_kvm" in one,
        tools=frozenset(many.get("tool", [])),
        units=frozenset(many.get("unit", [])),
        has_systemd="systemd" in one,
        lock_manager=one.get("lock_manager", ""),
        sshd={key: one[key].lower() for key in ("usedns", "maxsessions", "permitrootlogin") if key in one},
        nameservers=int(_number(one.get("nameservers", ""))),
        bridges=tuple(sorted(many.get("bridge", []))),
        host_keys=tuple((key[0], key[1]) for key in keys),
    )


def _number(text: str, default: float = 0.0) -> float:
    try:
        return float(text)
    except ValueError:
        return default


Actives = tuple[tuple[str, bool], ...]  # name, whether it is active


@dataclass(frozen=True)
class Hypervisor:
    """What libvirt says: versions, CPU, memory, and what it has of pools and networks."""

    libvirt_version: str
    qemu_version: str
    hostname: str
    uuid: str
    arch: str
    domain_types: tuple[str, ...]
    machine_types: tuple[str, ...]
    cpu_model: str
    cpu_vendor: str
    cpu_xml: str  # of mode host-model for the domain type, else the host's own
    cpus: int
    cpu_mhz: int
    topology: dict[str, int]  # sockets (of a NUMA node), cores, threads, numa_nodes
    memory_bytes: int
    pools: Actives = field(default=())
    networks: Actives = field(default=())


def version_text(number: int) -> str:
    """9000000 -> "9.0.0": libvirt's way to write versions."""
    return f"{number // 1_000_000}.{number // 1000 % 1000}.{number % 1000}"


def hypervisor(conn: "libvirt.virConnect", domain_type: str, *, with_lists: bool = True) -> Hypervisor:
    """Ask libvirt. Raises VirtError, BadXml. Blocks; with_lists, for as long as storage hangs: each pool is asked."""
    with translated():
        caps = capabilities.parse(conn.getCapabilities())
        info = capabilities.node_info(conn.getInfo())
        pools, networks = _lists(conn) if with_lists else ((), ())
        versions = version_text(conn.getLibVersion()), version_text(conn.getVersion())
        hostname = conn.getHostname()
    guest = caps.guest(info.cpu_arch)
    model = host_model(conn, info.cpu_arch, domain_type)
    return Hypervisor(
        libvirt_version=versions[0],
        qemu_version=versions[1],
        hostname=hostname,
        uuid=caps.host_uuid,
        arch=info.cpu_arch,
        domain_types=guest.domain_types if guest else (),
        machine_types=guest.machines if guest else (),
        cpu_model=caps.cpu.model,
        cpu_vendor=caps.cpu.vendor,
        cpu_xml=model or caps.cpu_xml,
        cpus=info.cpu_count,
        cpu_mhz=info.mhz,
        topology={
            "sockets": info.sockets,
            "cores": info.cores,
            "threads": info.threads,
            "numa_nodes": info.numa_nodes,
        },
        memory_bytes=info.memory_bytes,
        pools=pools,
        networks=networks,
    )


def _lists(conn: "libvirt.virConnect") -> tuple[Actives, Actives]:
    pools = tuple(sorted((pool.name(), bool(pool.isActive())) for pool in conn.listAllStoragePools()))
    networks = tuple(sorted((net.name(), bool(net.isActive())) for net in conn.listAllNetworks()))
    return pools, networks


def host_model(conn: "libvirt.virConnect", arch: str, domain_type: str) -> str:
    """The <cpu> document of mode host-model for this kind of VM; "" if the driver has none."""
    try:
        with translated():
            return capabilities.parse_domain(conn.getDomainCapabilities(None, arch, None, domain_type)).host_model_xml
    except VirtError:
        return ""


def login_time_s(target: Target) -> float:
    """How long a fresh login takes, without the shared connection. Raises HostUnreachable. Blocks."""
    began = time.monotonic()
    ssh.run(target, ["true"], fresh=True)
    return time.monotonic() - began
