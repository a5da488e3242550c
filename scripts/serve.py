"""Starts all processes of the Procfile and ends them: what `make up` does after the machine is prepared."""

import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from ssl import CERT_NONE, SSLContext, create_default_context
from typing import Any

from honcho.environ import parse_procfile
from honcho.manager import Manager

from cluster.env import env_bool, env_str, load_env_file
from scripts import front, leftovers

ROOT = Path(__file__).resolve().parent.parent
LIBVIRT_SOCKETS = ("/run/libvirt/libvirt-sock", "/run/libvirt/virtqemud-sock")
READY_TIMEOUT_S = 60.0
YEAR_S = 365 * 24 * 3600


class Drover(Manager):  # type: ignore[misc]
    """All processes. Ends the shared SSH connections too, which belong to nobody's session."""

    def __init__(self, var: Path) -> None:
        super().__init__()
        self.var = var

    def loop(self) -> None:
        signal.signal(signal.SIGHUP, lambda _number, _frame: os.kill(os.getpid(), signal.SIGTERM))
        super().loop()
        for master in (self.var / "ssh" / "cm").glob("*"):
            argv = ["ssh", "-o", f"ControlPath={master}", "-O", "exit", "drover"]
            subprocess.run(argv, capture_output=True, check=False, timeout=10)


def main() -> int:
    load_env_file(ROOT / ".env")
    var = Path(env_str("DROVER_VAR", str(ROOT / "var"))).absolute()
    try:
        return serve(var)
    except front.BadSetting as bad:
        sys.stderr.write(f"{bad}\n")
        return 2


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
    made = set_up()
    manager = Drover(var)
    for name, command in commands().items():
        manager.add_process(name, command, env=dict(os.environ), cwd=str(ROOT))
    begin = time.monotonic()
    threading.Thread(target=announce, args=(listen, tls, made, begin), daemon=True).start()
    manager.loop()
    lock.close()
    return 0 if manager.returncode in {130, 143} else int(manager.returncode or 0)


def prepare_folders(var: Path) -> Path:
    if len(str(var / "run" / "console.sock")) > front.SOCKET_PATH_MAX:
        raise front.BadSetting(f"{var} is too long for the sockets in it: set DROVER_VAR to a shorter path.")
    var.mkdir(parents=True, exist_ok=True, mode=0o700)
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


def set_up() -> dict[str, str]:
    """Database, administrator, local host: `manage.py setup`. Returns what a first start made."""
    done = subprocess.run(
        [sys.executable, "manage.py", "setup", "--json"], cwd=ROOT, stdout=subprocess.PIPE, text=True, check=False
    )
    if done.returncode != 0:
        raise front.BadSetting("The database could not be prepared; the lines above say why.")
    result: dict[str, str] = json.loads(done.stdout)
    return result


def commands() -> dict[str, str]:
    found: dict[str, str] = dict(parse_procfile((ROOT / "Procfile").read_text()).processes)
    if env_str("REDIS_URL"):
        del found["redis"]
    if env_bool("DROVER_LOCAL_HOST", default=True) and not libvirt_answers() and not Path("/run/systemd/system").exists():
        as_root = "" if os.geteuid() == 0 else "sudo scripts/with_parent $$ "
        for daemon in ("virtlogd", "libvirtd"):
            found[daemon] = f"exec scripts/keep {daemon} {as_root}{daemon}"
    return found


def libvirt_answers() -> bool:
    for path in LIBVIRT_SOCKETS:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(path)
            except OSError:
                continue
            return True
    return False


def announce(listen: front.Listen, tls: front.Certificate | None, made: dict[str, str], begin: float) -> None:
    """When the pages answer, say where and how to log in."""
    local = front.Listen("127.0.0.1" if listen.is_every else listen.host, listen.port)
    web = Path(os.environ["DROVER_VAR"], "run", "web.sock")
    while not web.exists() and time.monotonic() < begin + READY_TIMEOUT_S:
        time.sleep(0.1)
    if not wait_until_ready(local.url(https=tls is not None) + "healthz", begin + READY_TIMEOUT_S):
        say("The pages do not answer yet; the lines above may say why.")
        return
    lines = [f"Drover is ready: {listen.url(https=tls is not None)}   ({time.monotonic() - begin:.1f} s)"]
    if tls and not tls.is_own:
        lines.append(f"The certificate is our own; its SHA-256 fingerprint is {tls.fingerprint}")
    if made.get("password"):
        lines.append(f"Log in as {made['admin']} with the password {made['password']}   (shown only now)")
    elif made.get("admin"):
        lines.append(f"Log in as {made['admin']}; the password is as it was set before.")
    lines.append("Ctrl-C ends it.")
    say("\n".join(["", *lines, ""]))


def wait_until_ready(url: str, deadline: float) -> bool:
    context: SSLContext = create_default_context()
    context.check_hostname = False
    context.verify_mode = CERT_NONE  # our own front: the certificate may be for another name
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        try:
            with opener.open(url, timeout=5) as answer:
                if answer.status == 200:
                    return True
        except (urllib.error.URLError, OSError):
            time.sleep(0.1)
    return False


def say(text: str) -> None:
    sys.stdout.write(f"\033[1m{text}\033[0m\n" if sys.stdout.isatty() else f"{text}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
