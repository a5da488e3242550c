"""Command line of the lab: python3 -m lab up|down|status|hosts|fault|image|packages."""

import argparse
import json
import subprocess
import sys

from lab import cluster, commands, config, debian, guests, hosts, network, packages, state
from lab.errors import LabError
from lab.system import say


def parser() -> argparse.ArgumentParser:
    """All commands with their options."""
    top = argparse.ArgumentParser(prog="python3 -m lab", description="A cluster of real libvirt hosts on this machine.")
    verbs = top.add_subparsers(dest="command", required=True)
    up = verbs.add_parser("up", help="bring the lab up, or what is missing of it")
    up.add_argument("--full", action="store_true", help="also the two hosts with their own kernel (NFS)")
    down = verbs.add_parser("down", help="remove the lab without a trace; built images stay")
    down.add_argument("--purge", action="store_true", help="remove the built images too")
    verbs.add_parser("status", help="what each host is doing")
    hosts = verbs.add_parser("hosts", help="addresses and passwords of the hosts")
    hosts.add_argument("--json", action="store_true", help="everything that lab.json says")
    commands.add_fault_parsers(verbs)
    ssh = verbs.add_parser("ssh", help="log in on a host as root, or run a command there")
    ssh.add_argument("host")
    ssh.add_argument("words", nargs=argparse.REMAINDER, metavar="command")
    image = verbs.add_parser("image", help="build a guest image and say where it is")
    image.add_argument("name", choices=["tiny", "debian"])
    wanted = verbs.add_parser("packages", help="install the Debian packages that the lab needs")
    wanted.add_argument("groups", nargs="*", default=["base"], metavar="GROUP", help="base (default), full, debian")
    rewire = verbs.add_parser("rewire", help="fresh network cards for a host that is off or rebooting")
    rewire.add_argument("host")
    return top


def main(words: list[str]) -> int:
    """Run one command; 1 when it could not be done."""
    options = parser().parse_args(words)
    try:
        act(config.from_environment(), options)
    except LabError as error:
        sys.stderr.write(f"lab: {error}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("lab: interrupted; `python3 -m lab down` removes what was begun\n")
        return 130
    return 0


def act(lab: config.Lab, options: argparse.Namespace) -> None:
    """Do what the command says."""
    match options.command:
        case "up":
            with cluster.only_one(lab):
                cluster.up(lab, with_full=options.full)
        case "down":
            with cluster.only_one(lab):
                cluster.down(lab, purge=options.purge)
        case "status":
            for row in cluster.status(lab):
                say(f"{row['name']:<10} {row['kind']:<10} {row['address']:<15} {row['state']}")
        case "hosts":
            show_hosts(lab, as_json=options.json)
        case "fault":
            with cluster.only_one(lab):
                commands.run_fault(lab, options)
        case "ssh":
            sys.exit(subprocess.call([*hosts.ssh(lab, lab.host(options.host)), *options.words]))
        case "image":
            with cluster.only_one(lab), cluster.building(lab):
                packages.install(["base"])
                say(str(guests.tiny(lab) if options.name == "tiny" else debian.image(lab)))
        case "packages":
            packages.install(options.groups)
        case "rewire":
            network.attach(lab, lab.host(options.host))


def show_hosts(lab: config.Lab, *, as_json: bool) -> None:
    """Who is there, and how to log in."""
    content = state.read(lab)
    if as_json:
        say(json.dumps(content, indent=2))
        return
    for row in content.get("hosts", {}).values():
        say(f"{row['name']:<10} {row['kind']:<10} {row['address']:<15} root  {row['password']}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
