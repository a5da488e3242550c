"""A libvirtd of the bench's own that serves libvirt's simulated hosts on 127.0.0.1, and its calls counted."""

import os
import pwd
import shutil
import socket
import struct
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from lxml import etree

from tests.product import free_port

HEADER = struct.Struct(">7I")  # length, program, version, procedure, type, serial, status (virnetprotocol.x)
REMOTE_PROGRAM, CALL = 0x20008086, 0
LENGTH = struct.Struct(">I")
NAMES = {  # remote_protocol.x
    13: "autostart of a VM",
    14: "XML of a VM",
    15: "autostart of a VM",
    24: "VM by UUID",
    84: "pool by name",
    102: "free memory",
    150: "is a VM active",
    151: "is a VM persistent",
    227: "CPU figures",
    228: "memory figures",
    273: "list of VMs",
    281: "list of pools",
    283: "list of networks",
    344: "figures of VMs",
    353: "addresses of a VM",
}
TWO_STEPS = {227, 228}  # the client asks for the number of figures, then for the figures: one call of the API
XML_CALL, LOOK_UP, ALL_STATISTICS = 14, 24, 344


class Call(NamedTuple):
    """When (time.monotonic), on which connection of its client (1 is the first), what."""

    at: float
    connection: int
    procedure: int


def node_file(path: Path, vms: int, group: str = "1111") -> Path:
    """A simulated host with that many running VMs and a pool. group: tells its VMs from those of others."""
    node = etree.Element("node")
    for number in range(vms):
        domain = etree.SubElement(node, "domain", type="test")
        facts = {"name": f"vm-{number:03}", "uuid": f"{number:08x}-{group}-4222-8333-{os.getpid():012x}"}
        for tag, text in {**facts, "memory": "131072", "vcpu": "1"}.items():
            etree.SubElement(domain, tag).text = text
        etree.SubElement(etree.SubElement(domain, "os"), "type").text = "hvm"
    pool = etree.SubElement(node, "pool", type="dir")
    etree.SubElement(pool, "name").text = "images"
    etree.SubElement(etree.SubElement(pool, "target"), "path").text = "/images"
    path.write_bytes(etree.tostring(node))
    path.chmod(0o644)
    return path


@contextmanager
def libvirtd(folder: Path) -> Iterator[int]:
    """Run one in `folder` as nobody, so that it finds nothing of this machine to look after; its port."""
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port()
    config = folder / "libvirtd.conf"
    settings = {"listen_tls": "0", "listen_tcp": "1", "tcp_port": f'"{port}"', "listen_addr": '"127.0.0.1"'}
    settings |= {"auth_tcp": '"none"', "unix_sock_dir": f'"{folder}"', "max_clients": "200"}
    config.write_text("".join(f"{name} = {value}\n" for name, value in settings.items()))
    command = ["libvirtd", "--listen", "--config", str(config), "--pid-file", str(folder / "libvirtd.pid")]
    if os.geteuid() == 0:
        nobody = pwd.getpwnam("nobody")
        _give(folder, nobody.pw_uid)
        command = ["setpriv", f"--reuid={nobody.pw_uid}", f"--regid={nobody.pw_gid}", "--clear-groups", *command]
    homes = {name: str(folder) for name in ("HOME", "XDG_RUNTIME_DIR", "XDG_CONFIG_HOME", "XDG_CACHE_HOME")}
    log = (folder / "libvirtd.log").open("wb")
    process = subprocess.Popen(
        ["setpriv", "--pdeathsig", "TERM", *command], env={**os.environ, **homes}, stdout=log, stderr=log
    )
    try:
        _until_answers(port, process, folder)
        yield port
    finally:
        process.terminate()
        process.wait(10)
        shutil.rmtree(folder, ignore_errors=True)


def _give(folder: Path, uid: int) -> None:
    os.chown(folder, uid, -1)
    for parent in folder.parents:  # mkdtemp's folders are closed to others
        if parent.stat().st_uid == os.getuid() and parent.name.startswith("drover-bench-"):
            parent.chmod(0o711)


def _until_answers(port: int, process: "subprocess.Popen[bytes]", folder: Path) -> None:
    until = time.monotonic() + 20
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), 1).close()
            return
        except OSError as error:
            if process.poll() is not None or time.monotonic() > until:
                raise AssertionError((folder / "libvirtd.log").read_text()[-2000:]) from error
            time.sleep(0.05)


class Counter:
    """Stands between a client and a libvirtd, and notes each call that goes by."""

    def __init__(self, port: int) -> None:
        self._behind = port
        self.calls: list[Call] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        self._listener.close()

    def _accept(self) -> None:
        connections = 0
        while True:
            try:
                client, _address = self._listener.accept()
            except OSError:  # closed
                return
            server = socket.create_connection(("127.0.0.1", self._behind))
            connections += 1
            threading.Thread(target=self._requests, args=(client, server, connections), daemon=True).start()
            threading.Thread(target=_answers, args=(server, client), daemon=True).start()

    def _requests(self, client: socket.socket, server: socket.socket, number: int) -> None:
        waiting = b""
        try:
            while data := client.recv(1 << 16):
                waiting += data
                while len(waiting) >= HEADER.size and len(waiting) >= LENGTH.unpack_from(waiting)[0]:
                    length, program, _version, procedure, kind, _serial, _status = HEADER.unpack_from(waiting)
                    if program == REMOTE_PROGRAM and kind == CALL:
                        self.calls.append(Call(time.monotonic(), number, procedure))
                    waiting = waiting[length:]
                server.sendall(data)
        except OSError:  # one of the two went away
            pass
        finally:
            server.close()


def _answers(server: socket.socket, client: socket.socket) -> None:
    try:
        while data := server.recv(1 << 16):
            client.sendall(data)
    except OSError:  # one of the two went away
        pass
    finally:
        client.close()
