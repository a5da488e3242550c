"""A watch of one host without threads: what it hands to the store and the crew is done at once."""

import time
from collections import Counter
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path
from typing import Any

from cluster.watch.crew import Crew
from cluster.watch.host import HostWatch
from cluster.watch.store import Store
from hosts.models import Host
from hosts.states import Transport

LOCAL_CALLS = {  # answered by the client without asking the host
    "virDomainGetUUIDString",
    "virDomainGetName",
    "virStoragePoolGetName",
    "virNetworkGetName",
    "virConnectGetType",
    "virConnectIsAlive",
    "virDomainFree",
    "virNetworkFree",
    "virStoragePoolFree",
}


class InlineStore(Store):
    def __init__(self) -> None:
        pass

    def run(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)

    run_now = run

    def soon(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future


class InlineCrew(Crew):
    def __init__(self) -> None:
        pass

    def start(self, function: Callable[..., Any], *args: Any, **kwargs: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_result(function(*args, **kwargs))
        return future

    def within(self, seconds: float, function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        return function(*args, **kwargs)


class CountingBinding:
    """In the place of libvirt's C module: counts the calls that go to the host."""

    def __init__(self, real: Any) -> None:
        self._real = real
        self.calls: Counter[str] = Counter()

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._real, name)
        if name.startswith("vir") and name not in LOCAL_CALLS:
            self.calls[name] += 1
        return found


def simulated(folder: Path, vms: int, name: str = "simulated") -> Host:
    """A host of libvirt's test driver with this many running VMs, a pool and a network."""
    domains = "".join(
        f"<domain type='test'><name>vm{number}</name><uuid>{number:08d}-1111-4222-8333-444444444444</uuid>"
        "<memory>131072</memory><vcpu>1</vcpu><os><type>hvm</type></os></domain>"
        for number in range(vms)
    )
    pool = "<pool type='dir'><name>images</name><target><path>/images</path></target></pool>"
    network = (
        "<network><name>lan</name><bridge name='virbr7'/><forward/>"
        "<ip address='10.9.0.1' netmask='255.255.255.0'>"
        "<dhcp><range start='10.9.0.2' end='10.9.0.9'/></dhcp></ip></network>"
    )
    path = folder / f"{name}.xml"
    path.write_text(f"<node>{domains}{pool}{network}</node>")
    return Host.objects.create(name=name, transport=Transport.TEST, path=str(path))


def watch_of(host: Host) -> HostWatch:
    return HostWatch(host, InlineStore(), InlineCrew(), lambda _host_id, _uuid: None)


def until(watch: HostWatch, check: Callable[[], object], within_s: float = 2.0) -> None:
    """Handle events as they come, as the thread does, until `check` is true."""
    end = time.monotonic() + within_s
    while not check():
        if time.monotonic() > end:
            raise AssertionError("the event did not come, or changed nothing")
        watch.handle(watch.inbox.take(0.1))
