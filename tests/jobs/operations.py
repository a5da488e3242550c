"""Operations that exist for the tests of the engine only. They touch no host."""

import json
import os
import time
from pathlib import Path
from typing import Any

from hosts.models import Host
from jobs.errors import Cancelled, Failed, Refused
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from virt.errors import VirtError


class Probe(Operation):
    """On a host's row, which any database has; what `locks` are comes with the params."""

    permission = "hosts.manage"

    def locks(self) -> list[Lock]:
        return [Lock(key, limit) for key, limit in self.params.get("locks", [])]


@register
class Fine(Probe):
    name = "test.fine"
    verb = "Do well"

    def run(self, run: Run) -> dict[str, Any] | None:
        run.log("first line")
        run.command("virsh", "list", "--title", "a b")
        run.progress(40, "half way", sample=True, left=12)
        return {"answer": 42}


@register
class OnHost(Probe):
    name = "test.on_host"
    verb = "Look at"
    model = Host
    target_kind = "host"
    removes_target = True

    def locks(self) -> list[Lock]:
        return Operation.locks(self)

    def run(self, run: Run) -> dict[str, Any] | None:
        self.target.delete()
        return None


@register
class Bad(Probe):
    """Ends in the way params say: refused, failed, virt, bug, cancelled."""

    name = "test.bad"
    verb = "Do badly"
    cancellable = True

    def run(self, run: Run) -> dict[str, Any] | None:
        ends: dict[str, Exception] = {
            "refused": Refused("No room there."),
            "failed": Failed("It went wrong.", "errno 5"),
            "virt": VirtError("The host said no.", "libvirt: -1"),
            "cancelled": Cancelled(),
            "bug": KeyError("disk"),
        }
        raise ends[self.params["how"]]

    def failed(self, run: Run) -> None:
        if self.params.get("cleanup") == "raises":
            raise ZeroDivisionError("while cleaning up")
        run.log("cleaned up")


@register
class Family(Probe):
    """A parent of as many parts as params["parts"] names; each of them ends as it says."""

    name = "test.family"
    verb = "Do many"
    cancellable = True

    def run(self, run: Run) -> dict[str, Any] | None:
        for how in self.params["parts"]:
            run.child(Fine() if how == "fine" else Bad(params={"how": how}))
        return run.wait_for_children()

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        if self.params.get("end") == "failed":
            raise Failed("Some stayed.")
        if self.params.get("end") == "bug":
            raise KeyError("sum")
        return {"sum": len(self.params["parts"])}


@register
class Diary(Probe):
    """Writes what happens to a file, one JSON line each, and takes params["seconds"]."""

    name = "test.diary"
    verb = "Write"
    cancellable = True

    def note(self, what: str, run: Run) -> None:
        line = {"job": run.job.pk, "what": what, "pid": os.getpid(), "at": time.time(), "repeat": run.is_repeat}
        with Path(self.params["file"]).open("a") as diary:
            diary.write(json.dumps(line) + "\n")

    def run(self, run: Run) -> dict[str, Any] | None:
        self.note("begin", run)
        until = time.monotonic() + float(self.params.get("seconds", 0))
        while time.monotonic() < until:
            if run.cancel_asked.wait(0.05):
                self.note("cancelled", run)
                raise Cancelled
        self.note("end", run)
        return {"repeat": run.is_repeat}
