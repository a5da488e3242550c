"""A post-copy whose way broke: each host has a part of the memory. What must be known and done before it can go on.

Source: libvirt.org/migration.html#id17 (post-copy recovery, libvirt 8.5 and QEMU 2.12 or newer).
"""

import libvirt

from virt import ssh
from virt.connection import connect
from virt.errors import HostUnreachable, NotFound, translate
from virt.target import Target

OLDEST_LIBVIRT = (8, 5, 0)
_TORN = {
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED),
}
# $1 is the domain's name, $2 and $3 the first and last port that migrations come in by. The kernel ends QEMU's
# connection as if the other side had: nothing else in QEMU is touched. What is not there is no error.
_END_CONNECTION = """
pid=$(cat "/run/libvirt/qemu/$1.pid" 2>/dev/null || cat "/var/run/libvirt/qemu/$1.pid") || exit 1
ss -tnpH state established | awk -v who="pid=$pid," -v low="$2" -v high="$3" '
  index($0, who) { here = $3; there = $4; sub(/.*:/, "", here); sub(/.*:/, "", there)
                   if (here >= low && here <= high) print here, there }
' | while read -r here there; do ss -K "sport = :$here and dport = :$there" >/dev/null 2>&1; done
exit 0
"""
# $1 is the domain's name. Says "stuck" if QEMU's main thread waits for a lock all the time instead of for work.
_LOOK_AT_QEMU = """
pid=$(cat "/run/libvirt/qemu/$1.pid" 2>/dev/null || cat "/var/run/libvirt/qemu/$1.pid") || exit 1
for turn in 1 2 3 4 5 6; do
  case "$(cat "/proc/$pid/wchan" 2>/dev/null)" in *futex*) sleep 0.5 ;; *) exit 0 ;; esac
done
echo stuck
"""
PORTS = (49152, 49215)  # libvirt's own; qemu.conf may set others


def has_noticed(target: Target, uuid: str) -> bool:
    """Whether libvirt there takes the move for broken: only then it can go on."""
    with connect(target) as connection:
        return tuple(connection.lookupByUUIDString(uuid).state()) in _TORN


def interrupt(source: Target, uuid: str) -> None:
    """Make QEMU at the source give up a connection on which nothing comes any more. No error if it has done so."""
    with connect(source) as connection:
        try:
            connection.lookupByUUIDString(uuid).abortJobFlags(libvirt.VIR_DOMAIN_ABORT_JOB_POSTCOPY)
        except libvirt.libvirtError as error:
            problem = translate(error)
            if isinstance(problem, HostUnreachable | NotFound):
                raise problem from error


def end_connection(destination: Target, name: str) -> None:
    """Make QEMU at the destination notice that nothing comes any more. Raises HostUnreachable, CommandFailed. Blocks.

    A receiver that has nothing to say never finds out by itself that the sender is gone.
    """
    low, high = PORTS
    ssh.run(destination, ["sh", "-c", _END_CONNECTION, "drover", name, str(low), str(high)])


def answers(destination: Target, name: str) -> bool:
    """Whether QEMU at the destination can be talked to. Raises HostUnreachable, CommandFailed. Blocks up to 3 s.

    A virtual CPU that waits for memory may hold QEMU's lock. Then QEMU answers nobody any more, and libvirt would wait
    for it without end, with the domain locked on both hosts.
    """
    return "stuck" not in ssh.run(destination, ["sh", "-c", _LOOK_AT_QEMU, "drover", name])


def forget_old(source: Target, uuid: str) -> bool:
    """Remove the definition that stayed at the source of a move that ended unwatched; False if there is none.

    The firmware's variables stay: whether both hosts share them is not known here.
    """
    with connect(source) as connection:
        try:
            domain = connection.lookupByUUIDString(uuid)
            if domain.isActive() or not domain.isPersistent():
                return False
            domain.undefineFlags(
                libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
                | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
                | libvirt.VIR_DOMAIN_UNDEFINE_KEEP_NVRAM
            )
        except libvirt.libvirtError as error:
            problem = translate(error)
            if isinstance(problem, NotFound):
                return False
            raise problem from error
    return True
