"""From sums to figures: what each VM and the host did between two sweeps, for rows and for the history."""

import time
from collections.abc import Sequence

from hosts import metrics
from virt.hostinfo import NodeFigures, cpu_percent
from virt.inventory.domains import Counters, DomainState
from virt.inventory.figures import Figures, between
from vms.round import Observed
from vms.states import ALIVE

MANY = 100  # with more VMs than this the files are written every third sweep


class Recorder:
    """Of one host. Used by its thread only."""

    def __init__(self, host_id: int) -> None:
        self.host_id = host_id
        self._counters: dict[str, Counters] = {}
        self._node: NodeFigures | None = None
        self._minute = int(time.time()) // 60
        self._sums: dict[str, tuple[float, int]] = {}
        self._samples: dict[tuple[str, str], dict[int, dict[str, float | None]]] = {}
        self._sweeps = 0

    def vms(self, states: Sequence[DomainState]) -> list[Observed]:
        """Each VM with its figures since the last call; None for one that is off."""
        now = int(time.time())
        alive = [state for state in states if state.state in ALIVE]
        before, self._counters = self._counters, {state.uuid: state.counters for state in alive}
        figures = {state.uuid: between(before.get(state.uuid), state.counters) for state in alive}
        for state in alive:
            if not state.is_in_transit:
                self._keep(state.uuid, figures[state.uuid], now)
        return [Observed(state, figures=figures.get(state.uuid)) for state in states]

    def _keep(self, uuid: str, figures: Figures, now: int) -> None:
        self._samples.setdefault(("vm", uuid), {})[now] = {
            "cpu": figures.cpu_percent,
            "memory": figures.memory_used_bytes,
            "disk_read": figures.disk_read,
            "disk_write": figures.disk_write,
            "net_rx": figures.net_rx,
            "net_tx": figures.net_tx,
        }
        if figures.cpu_percent is not None:
            total, count = self._sums.get(uuid, (0.0, 0))
            self._sums[uuid] = (total + figures.cpu_percent, count + 1)

    def host(self, node: NodeFigures, memory_bytes: int, load1: float | None) -> float | None:
        """How busy the host's CPUs were since the last call, in percent."""
        before, self._node = self._node, node
        percent = cpu_percent(before, node)
        free = node.free_of(memory_bytes)
        used = None if free is None or not memory_bytes else memory_bytes - free
        self._samples.setdefault(("host", str(self.host_id)), {})[int(time.time())] = {
            "cpu": percent,
            "memory": used,
            "load": load1,
        }
        return percent

    def minute(self) -> dict[str, float]:
        """Once a minute the mean CPU use of each running VM in the last one; {} otherwise."""
        minute = int(time.time()) // 60
        if minute == self._minute:
            return {}
        self._minute = minute
        sums, self._sums = self._sums, {}
        return {uuid: total / count for uuid, (total, count) in sums.items()}

    def flush(self) -> None:
        """Write the history."""
        self._sweeps += 1
        if len(self._samples) > MANY and self._sweeps % 3:
            return
        samples, self._samples = self._samples, {}
        for (kind, key), values in samples.items():
            metrics.record(kind, key, values)
