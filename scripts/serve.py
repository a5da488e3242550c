"""Starts all processes of the Procfile and ends them: what `make up` does after the machine is prepared."""

import ctypes
import fcntl
import hashlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

from honcho.environ import parse_procfile
from honcho.manager import Manager
from honcho.printer import Printer
from honcho.process import Process

from cluster.env import env_bool, env_str, load_env_file
from scripts import asker, front, hypervisor, leftovers

ROOT = Path(__file__).resolve().parent.parent
FIRST = {"redis", "front", "web", "virtlogd", "libvirtd"}  # the others wait until pages are served
LAST = "redis"
VAR_LENGTH_MAX = 62  # a socket's path has 107 bytes at most; ssh's shared connections need 45 below DROVER_VAR
PR_SET_PDEATHSIG = 1  # prctl(2)
YEAR_S = 365 * 24 * 3600


class Follower(Process):
    """honcho's reader of one command's output. It ends with us, even if we are killed."""

    def run(self, *args: Any, **kwargs: Any) -> None:
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
        super().run(*args, **kwargs)


class Drover(Manager):
    """All processes. Ends the shared SSH connections too, which belong to nobody's session."""

    def __init__(self, var: Path) -> None:
        super().__init__(Printer(asker.Output()))
        self._is_ending = False
        self.var = var
        self._process_ctor = Follower

    def add(self, name: str, command: str, *, waits: bool) -> None:
        """Keep this command running; it ends when its reader does. `waits`: until pages are served."""
        after = '--after "$DROVER_VAR/run/web.sock" ' if waits else ""
        keep = f"exec setpriv --pdeathsig TERM scripts/keep {after}{name} {command}"
        self.add_process(name, keep, env=dict(os.environ), cwd=str(ROOT))

    def terminate(self) -> None:
        """End all, Redis last: the others still speak through it while they end."""
        if not self._all_started():  # a Ctrl-C in the first moments: honcho does not know all pids yet
            threading.Timer(0.1, self.terminate).start()
        elif not self._is_ending:
            self._is_ending = True
            for name, process in self._processes.items():
                if name != LAST and "returncode" not in process:
                    self._procmgr.terminate(process["pid"])
            threading.Thread(target=self._end_last, daemon=True).start()

    def _end_last(self) -> None:
        if LAST in self._processes:
            while any("returncode" not in process for name, process in self._processes.items() if name != LAST):
                time.sleep(0.05)
            self._procmgr.terminate(self._processes[LAST]["pid"])

    def loop(self) -> None:
        if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # nohup
            signal.signal(signal.SIGHUP, lambda _number, _frame: os.kill(os.getpid(), signal.SIGTERM))
        if make := env_str("DROVER_MAKE"):
            asker.end_with(int(make))
        super().loop()
        for master in (self.var / "ssh" / "cm").glob("*"):
            argv = ["ssh", "-o", f"ControlPath={master}", "-O", "exit", "drover"]
            subprocess.run(argv, capture_output=True, check=False, timeout=10)


def main() -> int:
    signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell starts background jobs without it
    load_env_file(ROOT / ".env")
    var = Path(env_str("DROVER_VAR") or ROOT / "var").absolute()
    try:
        return serve(var)
    except front.BadSetting as bad:
        sys.stderr.write(f"{bad}\n")
        return 2
    except KeyboardInterrupt:
        return 130


def serve(var: Path) -> int:
    listen = front.Listen.parse(env_str("DROVER_LISTEN") or "127.0.0.1:8000")
    pids = prepare_folders(var)
    lock = take_lock(var)
    ended = leftovers.end_earlier(pids)
    if ended:
        say(f"Ended what an earlier start had left behind: {', '.join(ended)}")
    leftovers.remove_sockets(var / "run")
    listen.refuse_taken()
    tls = tls_for(var, listen)
    front.write_nginx(var, listen, tls)
    front.write_redis(var)
    set_environment(var, tls)
    made = set_up(var)
    manager = Drover(var)
    chosen = {**commands(), **own_libvirt(var)}
    for name, command in chosen.items():
        manager.add(name, command, waits="web" in chosen and name not in FIRST)
    if "front" in chosen and "web" in chosen:
        announce(var, listen, tls, made)
    manager.loop()
    lock.close()
    return 0 if manager.returncode in {130, 143} else int(manager.returncode or 0)


def prepare_folders(var: Path) -> Path:
    if len(str(var).encode()) > VAR_LENGTH_MAX:
        raise front.BadSetting(f"{var} is too long for the sockets in it: set DROVER_VAR to a shorter path.")
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
    if var.stat().st_uid == os.geteuid():  # somebody else made it, with room for others: static files come first
        var.chmod(0o700)
    pids = var / "run" / "pids"
    pids.mkdir(parents=True, exist_ok=True, mode=0o700)
    return pids


def take_lock(var: Path) -> Any:
    """One start at a time. A record lock: it ends with this very process, and no child inherits it."""
    handle = (var / "run" / "up.lock").open("w")
    try:
        fcntl.lockf(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        raise front.BadSetting(f"Drover already runs from {var}. Stop it first (Ctrl-C there).") from error
    return handle


def tls_for(var: Path, listen: front.Listen) -> front.Certificate | None:
    cert, key = env_str("DROVER_TLS_CERT"), env_str("DROVER_TLS_KEY")
    if listen.is_private and not cert and not key:
        return None
    return front.certificate(var, cert, key)


def set_environment(var: Path, tls: front.Certificate | None) -> None:
    """What every process of ours gets on top of what was given."""
    os.environ["DROVER_VAR"] = str(var)
    os.environ["DROVER_HTTPS"] = "1" if tls else "0"
    if tls and tls.is_own:
        os.environ.setdefault("DROVER_HSTS_SECONDS", str(YEAR_S))
    os.environ["PATH"] = f"{ROOT / '.venv' / 'bin'}:{os.environ['PATH']}:/usr/sbin:/sbin"
    os.environ["PYTHONUNBUFFERED"] = "1"
    os.environ["MALLOC_ARENA_MAX"] = "2"  # threads otherwise keep a heap each


def set_up(var: Path) -> dict[str, str]:
    """Database, administrator, local host: `manage.py setup`. Returns what a first start made.

    Skipped when nothing it depends on has changed since: that is two seconds of each start.
    """
    database = var / "drover.sqlite3"
    note = var / "run" / "setup.json"
    digest = hashlib.sha256(env_str("DROVER_LOCAL_HOST", "1").encode())
    for path in sorted([*ROOT.glob("*/migrations/*.py"), ROOT / "requirements.lock"]):
        digest.update(path.read_bytes())
    is_known = note.exists() and database.exists() and not env_str("DATABASE_URL")
    known: dict[str, str] = json.loads(note.read_text()) if is_known else {}
    if known.get("digest") == digest.hexdigest():
        return known
    argv = [sys.executable, "manage.py", "setup", "--json"]
    done = subprocess.run(argv, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode != 0:
        raise front.BadSetting("The database could not be prepared; the lines above say why.")
    made: dict[str, str] = json.loads(done.stdout)
    note.write_text(json.dumps({"admin": made["admin"], "digest": digest.hexdigest()}))
    return made


def commands() -> dict[str, str]:
    found: dict[str, str] = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)
    if env_str("REDIS_URL"):
        del found["redis"]
    wanted = env_str("DROVER_PROCESSES").split()
    if unknown := set(wanted) - set(found):
        raise front.BadSetting(f"DROVER_PROCESSES: {', '.join(sorted(unknown))}: choose from {' '.join(found)}.")
    return {name: command for name, command in found.items() if not wanted or name in wanted}


def own_libvirt(var: Path) -> dict[str, str]:
    """The daemons of this machine's libvirt, where it is to be a host and nobody else runs them."""
    if not env_bool("DROVER_LOCAL_HOST", default=True):
        return {}
    try:
        return hypervisor.daemons(var)
    except hypervisor.NeedsPassword:
        say("This machine's libvirt does not run, and sudo wants a password to start it. Start it yourself:")
        say("    sudo virtlogd -d; sudo libvirtd -d")
        return {}


def announce(var: Path, listen: front.Listen, tls: front.Certificate | None, made: dict[str, str]) -> None:
    """Have somebody wait until the pages answer, and say where and how to log in."""
    url = listen.url(https=tls is not None)
    lines = [f"Drover is ready: {url}"]
    if tls and not tls.is_own:
        lines.append(f"The certificate is our own; its SHA-256 fingerprint is {tls.fingerprint}")
    if made.get("password"):
        lines.append(f"Log in as {made['admin']} with the password {made['password']}   (shown only now)")
    else:
        lines.append(f"Log in as {made['admin']}; forgotten the password: manage.py changepassword {made['admin']}")
    lines.append("Ctrl-C ends it.")
    ask = front.Listen("127.0.0.1" if listen.is_every else listen.host, listen.port).url(https=tls is not None)
    argv = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "scripts.ready"]
    argv += ["--web", str(var / "run" / "web.sock"), "--ask", f"{ask}healthz"]
    subprocess.Popen([*argv, "--text", "\n".join(lines)], cwd=ROOT)


def say(text: str) -> None:
    sys.stdout.write(f"\033[1m{text}\033[0m\n" if sys.stdout.isatty() else f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
