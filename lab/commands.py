"""The fault and host commands of the command line, and what each of them calls."""

import argparse

from lab import cluster, faults
from lab.config import Lab

ON_A_HOST = {
    "cut": (faults.cut, "pull the host's network cable"),
    "freeze": (faults.freeze, "stop the host and its guests where they stand"),
    "thaw": (faults.thaw, "let a frozen host go on"),
    "power-off": (faults.power_off, "cut the host's power; it stays off"),
    "crash": (faults.power_off, "the same: the host is dead at once, without a goodbye"),
    "power-on": (faults.power_on, "boot the host and wait until it answers"),
}


def add_fault_parsers(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """`fault KIND ...` with one parser per kind."""
    fault = commands.add_parser("fault", help="make something go wrong, or heal it")
    kinds = fault.add_subparsers(dest="fault", required=True)
    for name, (_, text) in ON_A_HOST.items():
        kinds.add_parser(name, help=text).add_argument("host")
    slow = kinds.add_parser("slow", help="make the host's cable slow")
    slow.add_argument("host")
    slow.add_argument("--delay", type=float, default=0, metavar="MS", help="milliseconds more, each way")
    slow.add_argument("--rate", type=float, default=0, metavar="MBIT", help="at most this many megabits a second")
    daemon = kinds.add_parser("libvirtd", help="stop (hang), cont, kill or restart the host's libvirtd")
    daemon.add_argument("what", choices=["stop", "cont", "kill", "restart"])
    daemon.add_argument("host")
    storage = kinds.add_parser("storage", help="let the shared storage hang, or go on")
    storage.add_argument("what", choices=["hang", "resume"])
    heal = kinds.add_parser("heal", help="undo all faults, of the named hosts or of all; what is off is started")
    heal.add_argument("hosts", nargs="*", metavar="host")


def run_fault(lab: Lab, options: argparse.Namespace) -> None:
    """Do what a `fault` command says."""
    match options.fault:
        case "heal":
            cluster.heal(lab, [lab.host(name) for name in options.hosts])
        case "storage":
            (faults.storage_hang if options.what == "hang" else faults.storage_resume)(lab)
        case "libvirtd":
            faults.libvirtd(lab, lab.host(options.host), options.what)
        case "slow":
            faults.slow_down(lab, lab.host(options.host), delay_ms=options.delay, rate_mbit=options.rate)
        case kind:
            ON_A_HOST[kind][0](lab, lab.host(options.host))
