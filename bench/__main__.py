"""`python -m bench`: measure all rows, or those that are named, and print the table."""

import argparse
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from importlib import import_module
from pathlib import Path

from bench import database
from bench.scene import Scene
from bench.table import Result, table

ROWS = {
    "list": "bench.pages:vm_list",
    "pages": "bench.pages:pages",
    "events": "bench.events:events",
    "create": "bench.create:create",
    "class": "bench.classes:classes",
    "migrate": "bench.migrate:migrate",
    "sweep": "bench.sweep:sweep",
    "console": "bench.console:console",
    "idle": "bench.idle:idle",
    "start": "bench.start:start",
}


def row(name: str) -> Callable[[Scene], list[Result]]:
    module, _colon, function = ROWS[name].partition(":")
    found: Callable[[Scene], list[Result]] = getattr(import_module(module), function)
    return found


def run(names: list[str], scene: Scene) -> list[Result]:
    results = []
    for name in names:
        sys.stderr.write(f"{name}:\n")
        began = time.monotonic()
        found = row(name)(scene)
        results += found
        said = "".join(f"  {one.what}: {one.measured} ({one.target})\n" for one in found)  # should a later row fail
        sys.stderr.write(f"{said}  ({time.monotonic() - began:.0f} s)\n")
    return results


def show(results: list[Result]) -> None:
    sys.stdout.write(f"\n{table(results)}\n")
    for one in results:
        if one.notes:
            sys.stdout.write(f"\n{one.what}\n" + "".join(f"  {note}\n" for note in one.notes))
    over = [one.what for one in results if not one.is_ok]
    sys.stdout.write(f"\n{len(results) - len(over)} of {len(results)} within their target.\n")
    if over:
        sys.stdout.write("Over: " + "; ".join(over) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m bench", description="Measures what Drover promises of its speed.")
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"which to measure (all): {', '.join(ROWS)}")
    parser.add_argument(
        "--data", type=Path, help="keep the large database in this folder, or use the one that is there"
    )
    given = parser.parse_args()
    names = given.rows or list(ROWS)
    unknown = set(names) - set(ROWS)
    if unknown:
        parser.error(f"no such row: {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    with (
        tempfile.TemporaryDirectory(prefix="drover-bench-", ignore_cleanup_errors=True) as folder,
        ExitStack() as stack,
    ):
        database.set_up((given.data or Path(folder) / "data").absolute())
        show(run(names, Scene(Path(folder), stack)))


if __name__ == "__main__":
    main()
