"""The size a VM runs with, and the one it starts with next time. From the definitions in the database."""

from dataclasses import dataclass

from virt.xml import summary
from virt.xml.tree import BadXml
from vms.models import Vm

STEP_BYTES = 8 * 1024**2  # a balloon never hits its aim to the byte


@dataclass(frozen=True)
class Size:
    vcpus: int
    max_vcpus: int
    memory_bytes: int
    max_memory_bytes: int


def kept(vm: Vm) -> Size:
    """What the next start uses: the persistent definition, else what was observed."""
    if vm.definition:
        try:
            found = summary.parse(vm.definition)
        except BadXml:
            pass
        else:
            return Size(found.vcpus, found.max_vcpus, found.memory_bytes, found.max_memory_bytes)
    most_cpus = int(vm.hardware.get("max_vcpus") or vm.vcpus)
    return Size(vm.vcpus, most_cpus, vm.memory_bytes, int(vm.hardware.get("max_memory_bytes") or vm.memory_bytes))


def pending(vm: Vm) -> Size | None:
    """The size from the next start on, if a running VM has another one now."""
    if not vm.is_alive:
        return None
    then = kept(vm)
    same_memory = abs(then.memory_bytes - vm.memory_bytes) < STEP_BYTES
    return None if then.vcpus == vm.vcpus and same_memory else then
