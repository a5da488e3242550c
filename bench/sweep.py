"""One sweep of a host with 500 VMs: the calls that really go to its libvirtd, counted on the wire."""

import time
from collections import Counter as Tally
from collections.abc import Callable, Sequence
from pathlib import Path

from bench import database
from bench.scene import Scene
from bench.simulated import ALL_STATISTICS, LOOK_UP, NAMES, TWO_STEPS, XML_CALL, Call, Counter, libvirtd, node_file
from bench.table import Result

VMS = 500
CALLS = 5
LISTEN_S = 75
SETTLE_S = 65  # VMs that have just come up are asked for their addresses for a minute


def sweep(scene: Scene) -> list[Result]:
    database.empty()
    node = node_file(scene.folder / "node.xml", VMS)
    with libvirtd(scene.folder / "libvirtd") as port:
        counter = Counter(port)
        try:
            return [_measure(counter, node)]
        finally:
            counter.close()


def _measure(counter: Counter, node: Path) -> Result:
    from cluster.watch.crew import Crew
    from cluster.watch.host import HostWatch
    from cluster.watch.store import Store
    from hosts.models import Host
    from hosts.states import Transport
    from vms.models import Vm

    host = Host.objects.create(
        name="bench-sweep", transport=Transport.TCP, address="127.0.0.1", port=counter.port, path=str(node)
    )
    store = Store()
    watch = HostWatch(host, store, Crew(), lambda _host_id, _uuid: None)
    watch.start()
    try:
        _until(lambda: Vm.objects.filter(host=host).exclude(definition="").count() == VMS, "500 definitions are known")
        time.sleep(SETTLE_S)
        since = time.monotonic()
        time.sleep(LISTEN_S)
        calls = [call for call in counter.calls if call.at >= since]
    finally:
        watch.stop()
        watch.join(10)
        store.close()
        host.vms.all().delete()
        host.delete()
    return _result(calls)


def _until(check: Callable[[], bool], what: str, within_s: float = 120) -> None:
    until = time.monotonic() + within_s
    while not check():
        if time.monotonic() > until:
            raise AssertionError(f"not in {within_s:.0f} s: {what}")
        time.sleep(0.2)


def sweeps_of(calls: Sequence[Call]) -> list[list[int]]:
    """The calls of each sweep: from a question about all VMs until a single VM is looked up, or a second's rest."""
    found: list[list[int]] = []
    previous: Call | None = None
    is_sweep = False
    for call in calls:
        rested = previous is None or call.at - previous.at > 1
        if call.procedure == ALL_STATISTICS and (previous is None or previous.procedure != LOOK_UP):
            found.append([])
            is_sweep = True
        elif rested or call.procedure == LOOK_UP:
            is_sweep = False
        second = previous is not None and call.procedure == previous.procedure and call.procedure in TWO_STEPS
        if is_sweep and not second:
            found[-1].append(call.procedure)
        previous = call
    return found


def _result(calls: Sequence[Call]) -> Result:
    sweeps = sweeps_of([call for call in calls if call.connection == 1])
    most = max(len(one) for one in sweeps)
    xml = sum(one.count(XML_CALL) for one in sweeps)
    every = Tally(NAMES.get(call.procedure, f"procedure {call.procedure}") for call in calls)
    usual = Tally(len(one) for one in sweeps).most_common(1)[0][0]
    return Result(
        f"one sweep of a host with {VMS} VMs",
        f"<= {CALLS} libvirt calls, no XML",
        f"{usual} calls ({most} each minute), {xml} XML",
        most <= CALLS and xml == 0,
        (
            f"{len(sweeps)} sweeps, counted on the wire between `watch` and a libvirtd with libvirt's simulated host",
            f"everything in {LISTEN_S} s, with networks, pools and definitions that are read again in turn: "
            + ", ".join(f"{name} {number}" for name, number in every.most_common()),
        ),
    )
