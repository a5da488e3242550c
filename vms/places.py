"""Where a VM is, out of what every host says about it (law 4: in one place)."""

from collections.abc import Sequence
from datetime import timedelta

from hosts.states import HostState
from vms.models import Presence
from vms.states import ALIVE, VmState

SETTLED_AFTER = timedelta(seconds=1)


def is_alive(presence: Presence) -> bool:
    """Whether this host says that it runs the VM; one end of a migration that is paused does not count."""
    return presence.observed_state in ALIVE and not presence.is_in_transit


def choose(current_host_id: int | None, presences: Sequence[Presence]) -> Presence | None:
    """The presence that tells the truth, None if no host reports the VM.

    Alive on a host that answers comes first, then last seen alive on one that does not (it may run there still), then
    the paused end of a migration, then any. Among equals where it is known to be, else where it came last.
    """
    here = [one for one in presences if one.missing_since is None]
    answering = [one for one in here if one.host.is_up]
    groups = (
        [one for one in answering if is_alive(one)],
        [one for one in here if one.host.is_unknown and is_alive(one)],
        [one for one in answering if one.is_in_transit],
        answering,
        here,
    )
    for group in groups:
        if group:
            return max(group, key=lambda one: (one.host_id == current_host_id, one.seen_at))
    return None


def state_at(presence: Presence) -> str:
    """What the VM does there: on a host that is known to be off, nothing."""
    return VmState.OFF if presence.host.observed_state == HostState.FENCED else presence.observed_state


def is_duplicate(presences: Sequence[Presence], before: bool) -> bool:
    """Whether it is alive on two hosts that answer. `before` is kept until both were asked since the second came up.

    At the end of a migration both say so for a moment: the news of the source comes later than that of the target.
    """
    alive = [one for one in presences if one.missing_since is None and one.host.is_up and is_alive(one)]
    if len(alive) < 2:
        return False
    newest = max(one.seen_at for one in alive)
    asked = [one.host.seen_at for one in alive]
    if all(at is not None and at > newest + SETTLED_AFTER for at in asked):
        return True
    return before
