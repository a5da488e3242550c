"""Changing a VM: its name, its texts, owner and tags, its size."""

from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import Group, User
from jobs.errors import Failed, Refused, Text
from jobs.operations import register
from jobs.run import Run
from storage import volumes
from ui import text
from virt import guests, names
from virt.connection import connect
from virt.xml.note import VmNote
from vms.checks import checked, clean_tags, name_problem
from vms.disks import find_disk
from vms.models import Tag, Vm
from vms.operations.base import VmOperation
from vms.sizes import kept
from vms.states import ALIVE, STARTABLE, VmState

KIB = 1024


@register
class RenameVm(VmOperation):
    """params: name. Its disks keep the names of their files."""

    name = "vms.rename"
    verb = gettext_lazy("Rename")
    permission = "vms.edit"
    allowed_states = STARTABLE

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        reason = super().state_refusal(vm)
        if reason is not None and vm.is_alive:
            return _("Only a VM that is off can be renamed: shut it down first.")
        return reason

    def title(self) -> str:
        return _("Rename %(old)s to %(new)s") % {"old": self.target, "new": self.params.get("name", "")}

    def refuse(self) -> None:
        new = str(self.params.get("name", ""))
        if new == self.target.name:
            raise Refused(_("This is its name already."), field="name")
        if reason := name_problem(new, besides=self.target):
            raise Refused(reason, field="name")

    def act(self, run: Run) -> dict[str, Any]:
        old, new = self.target.name, str(self.params["name"])
        self.virsh(run, "domrename", old, new)
        with connect(self.host().target) as conn:
            domain = guests.find(conn, self.uuid)
            if domain is None:
                raise Failed(_("%(host)s does not hold it any more.") % {"host": self.host()})
            if domain.name() != new:
                guests.rename(conn, self.uuid, new)
        return {"from": old, "to": new}


@register
class EditVm(VmOperation):
    """params, each optional: title, description, owner and group (pk or None), tags (all of them)."""

    name = "vms.edit"
    verb = gettext_lazy("Edit")
    permission = "vms.edit"

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        return _("It is being made.") if vm.observed_state == VmState.CREATING else None

    def refuse(self) -> None:
        for field, check in (("title", names.check_title), ("description", names.check_description)):
            if field in self.params:
                self.params[field] = checked(check, self.params[field], field)
        if "tags" in self.params:
            self.params["tags"] = clean_tags(self.params["tags"])
        owner = self.params.get("owner")
        if owner is not None and not User.objects.filter(pk=owner).exists():
            raise Refused(_("This person is not known."), field="owner")
        group = self.params.get("group")
        if group is not None and not Group.objects.filter(pk=group).exists():
            raise Refused(_("This group is not known."), field="group")

    def act(self, run: Run) -> None:
        vm = self.target
        for field in ("title", "description"):
            setattr(vm, field, self.params.get(field, getattr(vm, field)))
        if "owner" in self.params and vm.owner_id != self.params["owner"]:
            vm.owner_id = self.params["owner"]
            vm.grants.filter(is_share=True).delete()  # whom the next one shares it with is theirs to say
        if "group" in self.params:
            vm.group_id = self.params["group"]
        vm.save(update_fields=["title", "description", "owner", "group"])
        if "tags" in self.params:
            set_tags(vm, self.params["tags"])
        self.write_note(run)

    def write_note(self, run: Run) -> None:
        """Keep the texts in the definition too, so that they are known where Drover's database is not."""
        vm = self.target
        if vm.host is None or not vm.host.is_up or vm.missing_since is not None:
            run.warn(_("Its host does not answer: the definition there keeps the old texts."))
            return
        self.virsh(run, "desc", str(vm), "--config", "--title", vm.title)
        note = VmNote(owner=vm.owner.username if vm.owner else "")
        with connect(vm.host.target) as conn:
            guests.set_texts(conn, self.uuid, title=vm.title, description=vm.description, note=note)


@register
class TagVm(VmOperation):
    """params: add, remove (lists of tags)."""

    name = "vms.tag"
    verb = gettext_lazy("Tag")
    permission = "vms.edit"
    bulk = True

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        return None

    def refuse(self) -> None:
        for field in ("add", "remove"):
            self.params[field] = clean_tags(self.params.get(field) or [])
        if not self.params["add"] and not self.params["remove"]:
            raise Refused(_("Give a tag to add or to remove."), field="add")

    def act(self, run: Run) -> None:
        have = {tag.name for tag in self.target.tags.all()}
        set_tags(self.target, sorted((have | set(self.params["add"])) - set(self.params["remove"])))


def set_tags(vm: Vm, wanted: list[str]) -> None:
    """Give the VM exactly these tags, making new ones; a tag nobody has any more goes."""
    vm.tags.set([Tag.objects.get_or_create(name=name)[0] for name in wanted])
    Tag.objects.filter(vms=None).delete()


@register
class ResizeVm(VmOperation):
    """params, each optional: vcpus, max_vcpus, memory_bytes, max_memory_bytes. The result says what holds from when."""

    name = "vms.resize"
    verb = gettext_lazy("Resize")
    permission = "vms.change"
    allowed_states = ALIVE | STARTABLE

    @classmethod
    def state_refusal(cls, vm: Vm) -> Text | None:
        if not vm.is_persistent:
            return _("Not possible: no host keeps its definition.")
        return super().state_refusal(vm)

    def refuse(self) -> None:
        checks = {
            "vcpus": names.check_vcpus,
            "max_vcpus": names.check_vcpus,
            "memory_bytes": names.check_memory_bytes,
            "max_memory_bytes": names.check_memory_bytes,
        }
        for field, check in checks.items():
            if self.params.get(field) is not None:
                checked(check, self.params[field], field)
        if not any(self.params.get(field) for field in checks):
            raise Refused(_("Nothing is to be changed."))
        if self.params.get("max_vcpus") and not self.params.get("vcpus"):
            self.params["vcpus"] = kept(self.target).vcpus
        for least, most in (("vcpus", "max_vcpus"), ("memory_bytes", "max_memory_bytes")):
            if self.params.get(most) and (self.params.get(least) or 0) > self.params[most]:
                raise Refused(_("The maximum is smaller than the figure itself."), field=most)
        host = self.target.host
        if host is not None and host.memory_bytes and (self.params.get("memory_bytes") or 0) > host.memory_bytes:
            have = text.size(host.memory_bytes)
            raise Refused(_("%(host)s has only %(size)s.") % {"host": host, "size": have}, field="memory_bytes")

    def act(self, run: Run) -> dict[str, Any]:
        result: dict[str, Any] = {}
        vcpus, memory, most = (self.params.get(field) for field in ("vcpus", "memory_bytes", "max_vcpus"))
        live = ["--live", "--config"] if self.target.is_alive else ["--config"]
        with connect(self.host().target) as conn:
            if vcpus:
                if most:
                    self.virsh(run, "setvcpus", str(self.target), str(most), "--maximum", "--config")
                self.virsh(run, "setvcpus", str(self.target), str(vcpus), *live)
                result["vcpus"] = guests.set_vcpus(conn, self.uuid, vcpus, most)
            if memory:
                self.virsh(run, "setmem", str(self.target), f"{memory // KIB}KiB", *live)
                result["memory"] = guests.set_memory(conn, self.uuid, memory, self.params.get("max_memory_bytes"))
        self.tell(run, result)
        return result

    def tell(self, run: Run, result: dict[str, Any]) -> None:
        words = {"vcpus": _("CPUs"), "memory": _("Memory")}
        for field, when in result.items():
            if not self.target.is_alive:
                run.log(_("%(what)s: changed.") % {"what": words[field]})
            elif when == guests.NOW:
                run.log(_("%(what)s: changed, in effect now.") % {"what": words[field]})
            else:
                run.warn(
                    _("%(what)s: in effect after the next start (shut it down and start it; a reboot is not enough).")
                    % {"what": words[field]}
                )


@register
class ResizeDisk(VmOperation):
    """params: target ("vda"), size_bytes. Disks only grow: what lies beyond a smaller end would be cut off."""

    name = "vms.resize-disk"
    verb = gettext_lazy("Grow a disk of")
    permission = "vms.change"
    allowed_states = frozenset({VmState.RUNNING, VmState.PAUSED, VmState.BLOCKED}) | STARTABLE

    def title(self) -> str:
        size = text.size(self.params.get("size_bytes") or 0)
        return _("Grow disk %(disk)s of %(vm)s to %(size)s") % {
            "disk": self.params.get("target", ""),
            "vm": self.target,
            "size": size,
        }

    def disk(self) -> dict[str, Any]:
        found = find_disk(self.target, str(self.params.get("target")))
        if found is None:
            raise Refused(_("It has no such disk."), field="target")
        return found

    def refuse(self) -> None:
        size = checked(names.check_disk_bytes, self.params.get("size_bytes") or 0, "size_bytes")
        disk = self.disk()
        if disk.get("readonly"):
            raise Refused(_("This disk can only be read."), field="target")
        if size <= (disk.get("capacity_bytes") or 0):
            raise Refused(_("A disk can only grow: it has this size or a larger one already."), field="size_bytes")

    def act(self, run: Run) -> dict[str, Any]:
        disk, size, host = self.disk(), int(self.params["size_bytes"]), self.host()
        with connect(host.target) as conn:
            running = guests.state_of(conn, self.uuid) in ALIVE
            if running:
                self.virsh(run, "blockresize", str(self.target), disk["target"], f"{size}B")
                guests.resize_disk(conn, self.uuid, disk["target"], size)
        if not running:
            volume = volumes.locate(host, disk.get("path") or "")
            if volume is None:
                raise Failed(
                    _("%(path)s is in no pool Drover knows; it can be grown while the VM runs.")
                    % {"path": disk.get("path") or disk.get("place")}
                )
            self.virsh(run, "vol-resize", volume.name, f"{size}B", "--pool", volume.pool.name)
            volumes.resize_volume(volume.pool, host, volume.name, size)
        run.log(
            _("The disk has grown. The file system in it does not grow by itself (cloud images do at the next boot).")
        )
        return {"size_bytes": size, "when": "now"}
