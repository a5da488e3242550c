"""Small things that the lab's tests do over and over: run on a host, start a tiny guest, look at it."""

import io
import re
import subprocess
import time
import uuid
from collections.abc import Callable

import pycdlib

from lab import hosts
from lab.config import Host, Lab

SHARED = "/var/lib/libvirt/shared"
DOMAIN = """<domain type='qemu'><name>{name}</name><uuid>{uuid}</uuid><memory unit='MiB'>128</memory><vcpu>1</vcpu>
<os><type arch='x86_64' machine='q35'>hvm</type></os><features><acpi/></features>
<devices><emulator>/usr/bin/qemu-system-x86_64</emulator>
<disk type='file' device='disk'><driver name='qemu' type='qcow2' cache='none'/>
<source file='{folder}/{name}.qcow2'/><target dev='vda' bus='virtio'/></disk>
<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>
<source file='{folder}/{name}.iso'/><target dev='sda' bus='scsi'/><readonly/></disk>
<controller type='scsi' model='virtio-scsi'/>
<interface type='bridge'><source bridge='br0'/><mac address='{mac}'/><model type='virtio'/></interface>
<serial type='pty'><log file='/var/log/libvirt/qemu/{name}.serial' append='on'/></serial>
<graphics type='vnc' listen='127.0.0.1' autoport='yes'/><video><model type='vga'/></video></devices></domain>
"""


def on(lab: Lab, host: Host, script: str, text: str | bytes = "", timeout_s: float = 60) -> str:
    """Run a shell line on a host by SSH and return what it wrote."""
    data = text.encode() if isinstance(text, str) else text
    argv = [*hosts.ssh(lab, host), script]
    done = subprocess.run(argv, input=data, capture_output=True, timeout=timeout_s, check=False)
    assert done.returncode == 0, f"{host.name}: {script}: {done.stderr.decode(errors='replace')}"
    return done.stdout.decode(errors="replace")


def eventually(check: Callable[[], object], timeout_s: float, what: str) -> None:
    """Ask again and again until `check` returns something true."""
    end = time.monotonic() + timeout_s
    while not check():
        assert time.monotonic() < end, f"{what}: not within {timeout_s} s"
        time.sleep(0.4)  # most of these ask a host by SSH, which is work


def seed_iso(files: dict[str, str]) -> bytes:
    """A NoCloud seed with these files."""
    image = pycdlib.PyCdlib()
    image.new(interchange_level=3, joliet=3, rock_ridge="1.09", vol_ident="cidata")
    for number, (name, content) in enumerate(files.items()):
        data = content.encode()
        image.add_fp(io.BytesIO(data), len(data), f"/FILE{number}.;1", rr_name=name, joliet_path=f"/{name}")
    written = io.BytesIO()
    image.write_fp(written)
    image.close()
    return written.getvalue()


def mac_of(name: str) -> str:
    digits = uuid.uuid5(uuid.NAMESPACE_DNS, name).hex
    return f"52:54:00:{digits[:2]}:{digits[2:4]}:{digits[4:6]}"


def start_tiny(lab: Lab, host: Host, name: str, files: dict[str, str], folder: str = SHARED) -> None:
    """Define and start a tiny guest on a host, with its disk and seed in `folder`."""
    image = (lab.dir / "tiny.qcow2").read_bytes()
    on(lab, host, f"cat > {folder}/{name}.qcow2", text=image)
    on(lab, host, f"cat > {folder}/{name}.iso", text=seed_iso(files))
    xml = DOMAIN.format(name=name, uuid=uuid.uuid4(), mac=mac_of(name), folder=folder)
    on(lab, host, f"cat > /root/{name}.xml", text=xml)
    on(lab, host, f"virsh define --validate /root/{name}.xml && virsh start {name}")


def remove_guest(lab: Lab, host: Host, name: str) -> None:
    """End and forget a guest, if it is on this host."""
    on(lab, host, f"virsh destroy {name}; virsh undefine {name}; true")


def serial(lab: Lab, host: Host, name: str) -> str:
    """What the guest has written to its serial console on this host."""
    return on(lab, host, f"cat /var/log/libvirt/qemu/{name}.serial 2>/dev/null || true")


def state(lab: Lab, host: Host, name: str) -> str:
    return on(lab, host, f"virsh domstate {name} 2>/dev/null || true").strip()


def last_tick(lab: Lab, host: Host, name: str) -> int:
    """Number of the last line that `tick` wrote; 0 when there is none."""
    ticks = re.findall(r"tick (\d+) \d+", serial(lab, host, name))
    return int(ticks[-1]) if ticks else 0
