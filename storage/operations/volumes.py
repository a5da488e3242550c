"""Volumes of a pool: create, grow, copy, delete. What somebody uses is not touched."""

import threading
from typing import Any

from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from hosts.models import Host
from jobs.errors import Refused
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from storage import sync, usage, volumes
from storage.models import Pool, Volume
from ui import live
from virt import files, names, pools
from virt.connection import connect
from virt.errors import VirtError
from virt.xml.volume import FORMATS, VolumeSpec

POLL_S = 1.0


def working_host(pool: Pool, wanted: int | None = None) -> Host:
    """A host that answers and has the pool active: the wanted one, or the first by name. Raises Refused."""
    hosts = volumes.hosts_with_pool(pool)
    host = (hosts.filter(pk=wanted) if wanted else hosts.filter(observed_state="up")).order_by("name").first()
    if host is None:
        message = _("The pool “%(pool)s” is not active on a host that answers now.")
        raise Refused(message % {"pool": pool.name}, field="host" if wanted else "pool")
    return host


def refused_text(refused: names.Refused) -> str:
    return _(refused.template) % refused.params


def check_name(pool: Pool, name: str, host: Host | None) -> None:
    """Raise Refused for a name that can't be or is taken, as far as the database knows."""
    try:
        names.check_volume_name(name)
    except names.Refused as refused:
        raise Refused(refused_text(refused), field="name") from refused
    rows = Volume.objects.filter(pool=pool, name=name, missing_since=None)
    if (rows.filter(host=host) | rows.filter(host=None)).exists():
        raise Refused(_("There is a volume with this name already."), field="name")


def check_size(size_bytes: Any, pool: Pool, host: Host, *, is_thick: bool = False) -> None:
    """Raise Refused for a size that can't be; a disk with all its room taken at once must also fit."""
    try:
        names.check_disk_bytes(int(size_bytes))
    except names.Refused as refused:
        raise Refused(refused_text(refused), field="size") from refused
    cell = pool.presences.filter(host=host).first()
    free = cell.available_bytes if cell else None
    if is_thick and free is not None and int(size_bytes) > free:
        raise Refused(_("The pool has not so much room."), field="size")


@register
class CreateVolume(Operation):
    """params: name, format (raw, qcow2), size_bytes, host (pk or None), full (take all room at once)."""

    name = "storage.create_volume"
    verb = gettext_lazy("Create volume")
    permission = "storage.manage"
    model = Pool
    target_kind = "pool"

    def title(self) -> str:
        return _("Create volume %(name)s in %(pool)s") % {"name": self.params.get("name", ""), "pool": self.target}

    def locks(self) -> list[Lock]:
        return [Lock(f"volume:{self.key()}:{str(self.params.get('name', ''))[:80]}")]

    def refuse(self) -> None:
        host = working_host(self.target, self.params.get("host"))
        check_name(self.target, str(self.params.get("name", "")), host)
        if self.params.get("format") not in FORMATS:
            raise Refused(_("The format is raw or qcow2."), field="format")
        check_size(self.params.get("size_bytes", 0), self.target, host, is_thick=bool(self.params.get("full")))

    def run(self, run: Run) -> dict[str, Any]:
        host = working_host(self.target, self.params.get("host"))
        size = int(self.params["size_bytes"])
        spec = VolumeSpec(
            self.params["name"],
            size,
            allocation_bytes=size if self.params.get("full") and self.params["format"] == "raw" else 0,
            format=self.params["format"],
        )
        path = volumes.create(run, self.target, host, spec)
        sync.refresh_pool(self.target, host)
        return {"path": path, "host": host.name}


class VolumeOperation(Operation):
    """On one volume."""

    permission = "storage.manage"
    model = Volume
    target_kind = "volume"

    def host(self) -> Host:
        return working_host(self.target.pool, self.target.host_id)

    def refuse_users(self) -> None:
        users = usage.users_of([self.target])[self.target.pk]
        if users:
            shown = ", ".join(users[:10]) + (" …" if len(users) > 10 else "")
            raise Refused(_("In use by %(names)s.") % {"names": shown})

    def look_again(self) -> None:
        """Read the pool's volumes from the host, so that "nobody stands on it" is a fact of now."""
        volumes.look_again(self.target.pool, self.host())
        self.target.refresh_from_db()

    def check(self, run: Run) -> None:
        self.look_again()
        self.refuse()


@register
class ResizeVolume(VolumeOperation):
    """params: size_bytes. Only grows; a volume of a VM is resized on the VM's page, where the guest is told."""

    name = "storage.resize_volume"
    verb = gettext_lazy("Resize")

    def refuse(self) -> None:
        check_size(self.params.get("size_bytes", 0), self.target.pool, self.host())
        if int(self.params["size_bytes"]) < self.target.capacity_bytes:
            raise Refused(_("A volume can only grow: making it smaller would cut off data."), field="size")
        self.refuse_users()

    def run(self, run: Run) -> dict[str, Any]:
        host, size = self.host(), int(self.params["size_bytes"])
        virsh = ["virsh", "-c", host.target.shown_uri]
        run.command(*virsh, "vol-resize", self.target.name, str(size), "--pool", self.target.pool.name)
        volumes.resize_volume(self.target.pool, host, self.target.name, size)
        return {"size_bytes": size}


@register
class DeleteVolume(VolumeOperation):
    """Delete a volume for good."""

    name = "storage.delete_volume"
    verb = gettext_lazy("Delete volume")
    removes_target = True

    def refuse(self) -> None:
        self.host()
        self.refuse_users()

    def run(self, run: Run) -> dict[str, Any]:
        host, pool = self.host(), self.target.pool
        run.command("virsh", "-c", host.target.shown_uri, "vol-delete", self.target.name, "--pool", pool.name)
        if not volumes.delete_volume(pool, host, self.target.name):
            run.log(_("It was gone already."))
        sync.refresh_pool(pool, host)
        return {}


@register
class ForgetVolume(VolumeOperation):
    """Drop Drover's record of a volume that its hosts no longer report. Touches no host."""

    name = "storage.forget_volume"
    verb = gettext_lazy("Forget volume")
    removes_target = True

    def refuse(self) -> None:
        if self.target.missing_since is None:
            raise Refused(_("It is still there."))

    def check(self, run: Run) -> None:
        self.refuse()

    def run(self, run: Run) -> dict[str, Any]:
        Volume.objects.filter(pk=self.target.pk, missing_since__isnull=False).delete()
        live.publish(f"pool.{self.target.pool_id}")
        return {}


@register
class CloneVolume(VolumeOperation):
    """Copy a volume in its pool. params: name. What VMs write to meanwhile would be half in the copy: refused."""

    name = "storage.clone_volume"
    verb = gettext_lazy("Copy")

    def refuse(self) -> None:
        check_name(self.target.pool, str(self.params.get("name", "")), self.host())
        direct = usage.users_of_paths({self.target.path}, self.target.host).get(self.target.path, [])
        if direct:
            message = _("In use by %(names)s: a copy made now would not be whole.")
            raise Refused(message % {"names": ", ".join(direct[:10])})

    def run(self, run: Run) -> dict[str, Any]:
        host, pool, name = self.host(), self.target.pool, str(self.params["name"])
        if run.is_repeat and run.job.result.get("began"):
            volumes.delete_volume(pool, host, name)  # half a copy of the run whose worker died
        elif volumes.volume_exists(pool, host, name):
            raise Refused(_("There is a volume with this name already."), field="name")
        virsh = ["virsh", "-c", host.target.shown_uri]
        run.command(*virsh, "vol-clone", self.target.name, name, "--pool", pool.name)
        run.keep(began=True)
        try:
            path = self._copy(run, host, name)
        except VirtError:
            volumes.delete_volume(pool, host, name)
            raise
        sync.refresh_pool(pool, host)
        return {"path": path, "host": host.name}

    def _copy(self, run: Run, host: Host, name: str) -> str:
        """libvirt copies in one call without progress: the growing file tells it meanwhile."""
        spec = VolumeSpec(name, self.target.capacity_bytes, format=self.target.format)
        paths: list[str] = []
        problems: list[VirtError] = []

        def work() -> None:
            try:
                with connect(host.target) as conn:
                    paths.append(pools.clone_volume(conn, self.target.pool.name, self.target.name, spec))
            except VirtError as problem:
                problems.append(problem)

        thread = threading.Thread(target=work, name=f"clone {name}", daemon=True)
        thread.start()
        total = max(self.target.allocation_bytes, 1)
        path = self.target.path.rpartition("/")[0] + "/" + name
        while thread.is_alive():
            thread.join(POLL_S)
            done = files.allocated(host.target, path) if host.target.has_ssh else None
            percent = None if done is None else min(99.0, 100.0 * done / total)
            run.progress(percent, _("Copying"), done_bytes=done or 0, total_bytes=total)
        if problems:
            raise problems[0]
        return paths[0]
