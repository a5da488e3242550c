"""Making a VM: disk, seed, definition, start; all of it or nothing."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.cpu import common_cpu
from hosts.models import Host
from jobs import secrets
from jobs.errors import Failed, Refused, Text
from jobs.models import Job
from jobs.operations import Operation, register
from jobs.run import Run
from storage import volumes
from storage.models import Image, Pool
from virt import guests, seed
from virt.connection import connect
from virt.errors import HostUnreachable, VirtError
from virt.xml import cpu as cpu_xml
from virt.xml import domain
from virt.xml.cpu import CpuSpec
from virt.xml.devices import CdromSpec, DiskSpec, FileSource, NicSpec
from virt.xml.note import VmNote
from vms.models import Vm
from vms.operations.base import VmOperation
from vms.operations.delete import drop_row
from vms.states import ALIVE, VmState

CLEAN_UP_WITHIN_S, CLEAN_UP_EVERY_S = 30.0, 2.0


def cpu_for(choice: str, domain_type: str, arch: str) -> CpuSpec:
    """The CPU of a new VM. "common": what all hosts of this kind have, so that it can move to each of them."""
    if domain_type == "test":
        return CpuSpec(mode="")
    if choice == "common":
        found = common_cpu(domain_type, arch)
        if found is not None:
            return cpu_xml.from_baseline(found["xml"])
        # not known yet: emulation has a model that every QEMU can do; with KVM the host's own model
        choice = "host-model" if domain_type == "kvm" or arch != "x86_64" else "qemu64"
    if choice == "qemu64":
        return CpuSpec(mode="custom", model="qemu64")
    if choice == "host-passthrough" and domain_type != "kvm":
        choice = "maximum"  # an emulated CPU is not the host's
    return CpuSpec(mode=choice)


class Plan:
    """All that is to be made for one VM, and where. Names hold a piece of the UUID, so nobody else has them."""

    def __init__(self, vm: Vm, params: dict[str, Any]) -> None:
        self.vm, self.params = vm, params
        self.host = Host.objects.get(pk=params["host"])
        self.pool = Pool.objects.get(pk=params["pool"])
        self.image = Image.objects.filter(pk=params["image"]).first() if params["image"] else None
        self.iso = Image.objects.filter(pk=params["iso"]).first() if params["iso"] else None
        stem = f"{vm.name}-{str(vm.uuid)[:8]}"
        self.disk_name, self.seed_name = f"{stem}.qcow2", f"{stem}-seed.iso"
        self.boot: dict[str, Any] = params["first_boot"]

    def files(self, secret: dict[str, str]) -> dict[str, str]:
        """The seed's files. Raises ValueError with plain words."""
        return seed.render(seed_spec(str(self.vm.uuid), self.boot, self.params["nics"], secret))

    def xml(self, disk_path: str, seed_path: str) -> str:
        params, host = self.params, self.host
        spec = domain.DomainSpec(
            name=self.vm.name,
            uuid=str(self.vm.uuid),
            title=self.vm.title,
            description=self.vm.description,
            memory_bytes=params["memory_bytes"],
            vcpus=params["vcpus"],
            max_vcpus=params["max_vcpus"],
            domain_type=host.domain_type,
            arch=host.arch or "x86_64",
            machine="virt" if host.arch == "aarch64" else "q35",
            firmware=params["firmware"],
            cpu=cpu_for(params["cpu"], host.domain_type, host.arch or "x86_64"),
            disks=(DiskSpec(FileSource(disk_path)),),
            cdroms=self.drives(seed_path),
            nics=tuple(NicSpec(nic["mac"], network=nic["network"], bridge=nic["bridge"]) for nic in params["nics"]),
            note=VmNote(owner=self.vm.owner.username if self.vm.owner else ""),
        )
        return domain.build(spec)

    def drives(self, seed_path: str) -> tuple[CdromSpec, ...]:
        """The ISO in a SATA drive, which installers know; the seed on virtio-scsi, which cloud kernels have."""
        drives = []
        if self.iso is not None:
            drives.append(CdromSpec(FileSource(self.iso.path), target="sda"))
        if seed_path:
            drives.append(CdromSpec(FileSource(seed_path), target="sdb" if self.iso else "sda", bus="scsi"))
        return tuple(drives)


def seed_spec(
    instance_id: str, boot: dict[str, Any], nics: list[dict[str, Any]], secret: dict[str, str]
) -> seed.SeedSpec:
    """virt.seed's words for what the form asked; also for the preview."""
    return seed.SeedSpec(
        hostname=boot["hostname"],
        instance_id=instance_id,
        domain=boot["domain"],
        user_name=boot["user"],
        ssh_keys=tuple(boot["ssh_keys"]),
        password_hash=secret.get("password_hash", ""),
        allows_password_ssh=boot["allow_password_ssh"],
        nics=tuple(
            seed.SeedNic(
                nic["mac"],
                has_dhcp=not nic["address"],
                addresses=(nic["address"],) if nic["address"] else (),
                gateways=(nic["gateway"],) if nic["gateway"] else (),
                dns=tuple(nic["dns"]),
            )
            for nic in nics
        ),
        packages=tuple(boot["packages"]),
        user_data=secret.get("user_data", ""),
    )


@register
class CreateVm(VmOperation):
    """Its row is there already (state creating, vms.creation). params: everything decided; see vms.creation."""

    name = "vms.create"
    verb = gettext_lazy("Create")
    permission = "vms.create"
    cancellable = True

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        return None if vm.observed_state == VmState.CREATING else _("It exists already.")

    def check(self, run: Run) -> None:
        super().check(run)
        if run.is_repeat:  # half-made things are there: only `act` can finish them or take them away
            return
        host = self.host()
        if not host.is_up:
            raise Refused(_("%(host)s does not answer.") % {"host": host})
        if host.maintenance:
            raise Refused(_("%(host)s is in maintenance: no new VMs.") % {"host": host})

    def act(self, run: Run) -> dict[str, Any]:
        plan = Plan(self.target, self.params)
        is_done = False
        try:
            result = self.make(run, plan)
            is_done = True
        finally:
            if not is_done:
                self.clean_up(run, plan)
        return result

    def make(self, run: Run, plan: Plan) -> dict[str, Any]:
        run.progress(10, _("Making the disk"))
        disk_path = self.make_disk(run, plan)
        run.check_cancel()
        seed_path = ""
        if plan.boot["enabled"]:
            run.progress(30, _("Storing the first-boot settings"))
            seed_path = self.make_seed(run, plan)
        run.check_cancel()
        run.progress(50, _("Defining it"))
        state = self.define(run, plan, plan.xml(disk_path, seed_path))
        self.remember(plan, seed_path)
        if self.params["start"] and state not in ALIVE:
            run.progress(70, _("Starting"))
            self.virsh(run, "start", str(self.target))
            # Law 4 needs no question here: this UUID was made in this job, and only this host was ever told of it.
            with self.plain_words(plan), connect(plan.host.target) as conn:
                guests.start(conn, self.uuid)
        return {"uuid": self.uuid, "host": str(plan.host)}

    def define(self, run: Run, plan: Plan, xml: str) -> str | None:
        """Keep the definition on its host; the state in which a repeated run finds it there already."""
        self.virsh(run, "define", "--validate", f"{self.target}.xml")
        with self.plain_words(plan), connect(plan.host.target) as conn:
            state = guests.state_of(conn, self.uuid)
            if state is None:
                guests.define(conn, xml)
            if self.params["autostart"]:
                guests.set_autostart(conn, self.uuid, enabled=True)
            return state

    @contextmanager
    def plain_words(self, plan: Plan) -> Iterator[None]:
        """libvirt looks for the firmware at define or at start, depending on its version."""
        try:
            yield
        except VirtError as error:
            if self.params["firmware"] == "uefi" and "firmware" in error.technical:
                words = _("%(host)s has no UEFI firmware: install the package ovmf there, or choose BIOS.")
                raise Failed(words % {"host": plan.host}, error.technical) from error
            raise

    def make_disk(self, run: Run, plan: Plan) -> str:
        size = int(self.params["disk_bytes"])
        if plan.image is None and self.params["image"]:
            raise Failed(_("The image is gone."))
        with self.making(run, plan.disk_name):
            if plan.image is not None:
                return volumes.create_overlay(run, plan.pool, plan.host, plan.image, plan.disk_name, size)
            return volumes.create_blank(run, plan.pool, plan.host, plan.disk_name, size)

    @contextmanager
    def making(self, run: Run, name: str) -> Iterator[None]:
        """Remember a volume before it is made; forget it if the host said no. Lost in between, it may be there."""
        begun = run.job.result.get("begun", [])
        run.keep(begun=[*begun, name])
        try:
            yield
        except VirtError as error:
            if not isinstance(error, HostUnreachable):
                run.keep(begun=begun)
            raise

    def make_seed(self, run: Run, plan: Plan) -> str:
        reference, secret = self.params["secret"], {}
        if reference:
            there = run.is_repeat and volumes.volume_exists(plan.pool, plan.host, plan.seed_name)
            if there and run.job.result.get("seed_path"):
                return str(run.job.result["seed_path"])
            secret = json.loads(secrets.take(reference))
        try:
            data = seed.iso(plan.files(secret))
        except ValueError as error:
            raise Failed(_("The first-boot settings can't be used: %(error)s") % {"error": error}) from error
        run.command("genisoimage", "-output", plan.seed_name, "-volid", "cidata", "-joliet", "-rock", "seed/")
        self.virsh(run, "vol-upload", plan.seed_name, plan.seed_name, "--pool", plan.pool.name)
        with self.making(run, plan.seed_name):
            path = volumes.upload_bytes(plan.pool, plan.host, plan.seed_name, data, replace=run.is_repeat)
        run.keep(seed_path=path)
        return path

    def remember(self, plan: Plan, seed_path: str) -> None:
        """How it was made, for its page; nothing secret."""
        boot = {**plan.boot, "nics": self.params["nics"], "seed_path": seed_path}
        Vm.objects.filter(pk=self.target.pk).update(first_boot=boot if plan.boot["enabled"] else {})

    def clean_up(self, run: Run, plan: Plan) -> None:
        """Remove all that this job made. What can't be removed keeps the VM's row and is named in the log.

        A libvirtd that is just being restarted is waited for.
        """
        run.progress(None, _("Cleaning up"))
        until = time.monotonic() + CLEAN_UP_WITHIN_S
        while (left := self.remove_made(run, plan)) and time.monotonic() < until:
            if not any(isinstance(error, HostUnreachable) for error in left.values()):
                break
            time.sleep(CLEAN_UP_EVERY_S)
        if not left:
            drop_row(self.target)
            run.log(_("Nothing was left behind."))
            return
        things = ", ".join(f"{name} ({error.message})" for name, error in left.items())
        run.warn(_("Could not be removed from %(host)s: %(things)s") % {"host": plan.host, "things": things})

    def remove_made(self, run: Run, plan: Plan) -> dict[str, VirtError]:
        """What stays, and why."""
        left: dict[str, VirtError] = {}
        try:
            with connect(plan.host.target) as conn:
                if guests.state_of(conn, self.uuid) in ALIVE:
                    guests.destroy(conn, self.uuid)
                guests.undefine(conn, self.uuid)
        except VirtError as error:
            left[str(self.target)] = error
        for name in dict.fromkeys(run.job.result.get("begun", [])):
            try:
                volumes.delete_volume(plan.pool, plan.host, name)
            except VirtError as error:
                left[f"{plan.pool.name}/{name}"] = error
        return left

    def failed(self, run: Run) -> None:
        """Refused before anything was made: then the row is all there is."""
        super().failed(run)
        vm = Vm.objects.filter(pk=self.target.pk, observed_state=VmState.CREATING).first()
        if vm is not None and not run.job.commands:
            drop_row(vm)


@register
class CreateVms(Operation):
    """Several VMs alike, as one job with a child each. params: first, last, count, parts [{uuid, params}]."""

    name = "vms.create-many"
    verb = gettext_lazy("Create VMs")
    permission = "vms.create"
    cancellable = True

    def title(self) -> str:
        words = {name: self.params.get(name, "") for name in ("count", "first", "last")}
        return _("Create %(count)s VMs: %(first)s to %(last)s") % words

    def run(self, run: Run) -> dict[str, Any] | None:
        begun = set(Job.objects.filter(parent=run.job).values_list("target_key", flat=True))
        for part in self.params["parts"]:
            vm = Vm.objects.filter(uuid=part["uuid"]).first()
            if vm is not None and part["uuid"] not in begun:
                run.child(CreateVm(vm, part["params"]))
        return run.wait_for_children()

    def failed(self, run: Run) -> None:
        """Cancelled before it began: no child will make these."""
        if not Job.objects.filter(parent=run.job).exists():
            uuids = [part["uuid"] for part in self.params["parts"]]
            Vm.objects.filter(uuid__in=uuids, observed_state=VmState.CREATING).delete()
