"""Pools on hosts: one job for the pool with a part per host, so that each host's result stands by itself."""

from typing import Any, ClassVar
from uuid import uuid4

from django.db import transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from access.models import User
from access.rules import everywhere
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Failed, Refused, Text
from jobs.models import Job
from jobs.operations import Lock, Operation, register
from jobs.run import Run
from storage import sync, usage, volumes
from storage.backends import backend_of, identity
from storage.models import Pool, PoolOnHost, Volume
from ui import live
from virt import pools
from virt.connection import connect
from virt.errors import VirtError
from virt.xml.pool import PoolSpec, build


def spec_of(pool: Pool) -> PoolSpec:
    """The definition a host gets. Raises Refused for a kind that Drover does not define."""
    backend = backend_of(pool.kind)
    if backend is None:
        raise Refused(_("Drover does not define pools of this kind; it uses them where they are."))
    uuid = str(pool.uuid) if pool.uuid else ""
    try:
        return backend.spec(name=pool.name, uuid=uuid, target_path=pool.target_path, source=pool.source)
    except KeyError as missing:
        raise Refused(_("Where the pool's content comes from is not known.")) from missing


def begin_pool(user: User | None, fields: dict[str, Any], hosts: list[Host]) -> Job:
    """Write the pool and its cells and start the job that makes it present. Raises Refused, PermissionDenied.

    fields: name, kind, target_path, source {}, autostart, is_shared (only asked for folders).
    """
    backend = backend_of(fields["kind"])
    if backend is None:
        raise Refused(_("There is no such kind of pool."), field="kind")
    with transaction.atomic():
        pool = Pool(
            name=fields["name"],
            kind=backend.kind,
            libvirt_type=backend.libvirt_type,
            source=fields.get("source", {}),
            target_path=fields["target_path"],
            uuid=uuid4(),
            is_shared=backend.is_shared or bool(fields.get("is_shared")),
            autostart=fields.get("autostart", True),
        )
        refuse_twin(pool)
        pool.save(force_insert=True)
        PoolOnHost.objects.bulk_create([PoolOnHost(pool=pool, host=host) for host in hosts])
        return enqueue(PlacePool(pool, {"hosts": [host.pk for host in hosts]}), user=user)


def refuse_twin(pool: Pool) -> None:
    """Raise Refused if another pool has the name, the folder or the source: libvirt takes each only once a host."""
    others = Pool.objects.exclude(pk=pool.pk)
    if others.filter(name=pool.name).exists():
        raise Refused(_("There is a pool with this name already."), field="name")
    twin = others.filter(target_path=pool.target_path).first()
    if twin is not None:
        message = _("The pool “%(name)s” appears in this folder already.") % {"name": twin.name}
        raise Refused(message, field="target_path")
    mine = identity(spec_of(pool)).partition(" → ")[0]
    for other in others.filter(kind=pool.kind).exclude(source={}):
        if identity(spec_of(other)).partition(" → ")[0] == mine:
            message = _("The pool “%(name)s” has the same source. Add hosts to that one.") % {"name": other.name}
            raise Refused(message, field="path")


# --- the pool as a whole ---------------------------------------------------------------------------------------------


class PoolOperation(Operation):
    """A pool on several hosts: a part per host."""

    permission = "storage.manage"
    model = Pool
    target_kind = "pool"
    cancellable = True
    part: ClassVar[type["PoolPart"]]

    def hosts(self) -> list[Host]:
        return list(Host.objects.filter(pk__in=self.params.get("hosts", [])).order_by("name"))

    def title(self) -> str:
        hosts = self.hosts()
        where = hosts[0].name if len(hosts) == 1 else ngettext("%(n)d host", "%(n)d hosts", len(hosts))
        return _("%(verb)s %(pool)s on %(where)s") % {
            "verb": self.verb,
            "pool": self.target,
            "where": where % {"n": len(hosts)} if len(hosts) != 1 else where,
        }

    def refuse(self) -> None:
        hosts = self.hosts()
        if not hosts:
            raise Refused(_("Choose at least one host."), field="hosts")
        for host in hosts:
            self.part(self.target, self._part_params(host)).refuse()

    def _part_params(self, host: Host) -> dict[str, Any]:
        return {**{key: value for key, value in self.params.items() if key != "hosts"}, "host": host.pk}

    def run(self, run: Run) -> dict[str, Any] | None:
        done = {child.params.get("host") for child in run.job.children.all()}
        for host in self.hosts():
            if host.pk not in done:
                run.child(self.part(self.target, self._part_params(host)))
        return run.wait_for_children()


class PoolPart(Operation):
    """What is done for a pool on one host."""

    permission = "storage.manage"
    model = Pool
    target_kind = "pool"

    @property
    def host_id(self) -> int:
        return int(self.params.get("host") or 0)

    def host(self) -> Host:
        host = Host.objects.filter(pk=self.host_id).first()
        if host is None:
            raise Refused(_("This host no longer exists."), field="hosts")
        return host

    def title(self) -> str:
        return _("%(verb)s %(pool)s on %(where)s") % {"verb": self.verb, "pool": self.target, "where": self.host()}

    def locks(self) -> list[Lock]:
        return [Lock(f"pool:{self.key()}:host:{self.host_id}")]

    def cell(self) -> PoolOnHost | None:
        return PoolOnHost.objects.filter(pool=self.target, host_id=self.host_id).first()

    def virsh(self, run: Run, *words: str) -> None:
        run.command("virsh", "-c", self.host().target.shown_uri, *words)

    def act(self, run: Run, host: Host) -> None:
        raise TypeError(f"{type(self).__name__} does not say what it does")

    def run(self, run: Run) -> dict[str, Any] | None:
        host = self.host()
        try:
            self.act(run, host)
        except (VirtError, Failed) as failed:
            self._remember(str(failed.message))
            raise
        self._remember("")
        return {"host": host.name}

    def _remember(self, failure: str) -> None:
        PoolOnHost.objects.filter(pool=self.target, host_id=self.host_id).update(failure=failure)
        live.publish(f"pool.{self.key()}", "pools")


# --- define and start ------------------------------------------------------------------------------------------------


@register
class PlacePoolPart(PoolPart):
    """Define, start and mark a pool on one host. What was there before with the same source is taken as it is."""

    name = "storage.place_pool_part"
    verb = gettext_lazy("Define pool")

    def refuse(self) -> None:
        self.host()
        spec_of(self.target)

    def act(self, run: Run, host: Host) -> None:
        PoolOnHost.objects.get_or_create(pool=self.target, host=host)
        spec = spec_of(self.target)
        self._check_programs(host)
        self._note_commands(run, host, spec)
        with connect(host.target) as conn:
            made = self._define(run, conn, spec)
            try:
                pools.start(conn, spec.name)
                pools.set_autostart(conn, spec.name, on=self.target.autostart)
            except VirtError:
                if made:
                    pools.undefine(conn, spec.name)
                raise
        PoolOnHost.objects.filter(pool=self.target, host=host).update(wanted=True)
        volumes.look_again(self.target, host)

    def _check_programs(self, host: Host) -> None:
        backend = self.target.backend
        problems = backend.check_host(host.target, self.target.source) if backend else []
        if problems:
            raise Failed(" ".join(f"{problem.message} {problem.cure}." for problem in problems))

    def _define(self, run: Run, conn: Any, spec: PoolSpec) -> bool:
        there = pools.find(conn, spec.name)
        if there is None:
            pools.define(conn, build(spec))
            return True
        found = identity(pools.definition(there))
        if found != identity(spec):
            message = _("This host has another pool called “%(name)s” (%(found)s). Rename or remove that one first.")
            raise Failed(message % {"name": spec.name, "found": found})
        run.log(_("The host had this pool already; it stays as it is."))
        return False

    def _note_commands(self, run: Run, host: Host, spec: PoolSpec) -> None:
        words = ["pool-define-as", spec.name, spec.kind, "--target", spec.target_path]
        if spec.hosts:
            words += ["--source-host", spec.hosts[0].name, "--source-path", spec.source_dir]
            words += ["--source-format", spec.source_format]
        self.virsh(run, *words)
        self.virsh(run, "pool-build", spec.name)
        self.virsh(run, "pool-start", spec.name)
        if self.target.autostart:
            self.virsh(run, "pool-autostart", spec.name)


@register
class PlacePool(PoolOperation):
    """Make a pool present on hosts; also the "try again" for those that failed, and "add to more hosts"."""

    name = "storage.place_pool"
    verb = gettext_lazy("Define pool")
    part = PlacePoolPart

    @classmethod
    def allowed_to(cls, user: User, target: Any) -> bool:
        """Whom only this pool was given has no say over hosts."""
        return everywhere(user, cls.permission)


@register
class StartPoolPart(PoolPart):
    name = "storage.start_pool_part"
    verb = gettext_lazy("Start pool")

    def act(self, run: Run, host: Host) -> None:
        self.virsh(run, "pool-start", self.target.name)
        with connect(host.target) as conn:
            pools.start(conn, self.target.name)
        volumes.look_again(self.target, host)


@register
class StartPool(PoolOperation):
    name = "storage.start_pool"
    verb = gettext_lazy("Start pool")
    part = StartPoolPart


@register
class RefreshPoolPart(PoolPart):
    """Let the host look again what lies in the pool."""

    name = "storage.refresh_pool_part"
    verb = gettext_lazy("Refresh pool")

    def act(self, run: Run, host: Host) -> None:
        self.virsh(run, "pool-refresh", self.target.name)
        volumes.look_again(self.target, host)


@register
class RefreshPool(PoolOperation):
    name = "storage.refresh_pool"
    verb = gettext_lazy("Refresh pool")
    part = RefreshPoolPart


@register
class SetPoolAutostartPart(PoolPart):
    name = "storage.autostart_pool_part"
    verb = gettext_lazy("Set autostart of pool")

    def act(self, run: Run, host: Host) -> None:
        on = bool(self.params.get("on"))
        self.virsh(run, "pool-autostart", self.target.name, *([] if on else ["--disable"]))
        with connect(host.target) as conn:
            pools.set_autostart(conn, self.target.name, on=on)
        sync.refresh_pool(self.target, host)


@register
class SetPoolAutostart(PoolOperation):
    """params: on, hosts."""

    name = "storage.autostart_pool"
    verb = gettext_lazy("Set autostart of pool")
    part = SetPoolAutostartPart

    def run(self, run: Run) -> dict[str, Any] | None:
        Pool.objects.filter(pk=self.target.pk).update(autostart=bool(self.params.get("on")))
        return super().run(run)


# --- stop and remove -------------------------------------------------------------------------------------------------


class LeavingPart(PoolPart):
    """A part after which VMs of the host could no longer reach the pool: refused while any uses it."""

    refusal_text: ClassVar[Text] = gettext_lazy("In use on %(host)s by %(names)s.")

    def refuse(self) -> None:
        host = self.host()
        names = usage.users_of_pool(self.target, [host])
        if names:
            shown = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
            raise Refused(str(self.refusal_text) % {"host": host.name, "names": shown}, field="hosts")

    def check(self, run: Run) -> None:
        self.refuse()


@register
class StopPoolPart(LeavingPart):
    name = "storage.stop_pool_part"
    verb = gettext_lazy("Stop pool")

    def act(self, run: Run, host: Host) -> None:
        self.virsh(run, "pool-destroy", self.target.name)
        with connect(host.target) as conn:
            pools.stop(conn, self.target.name)
        sync.refresh_pool(self.target, host)


@register
class StopPool(PoolOperation):
    name = "storage.stop_pool"
    verb = gettext_lazy("Stop pool")
    part = StopPoolPart


@register
class RemovePoolPart(LeavingPart):
    """Stop and undefine a pool on one host. What lies in it stays where it is."""

    name = "storage.remove_pool_part"
    verb = gettext_lazy("Remove pool")

    def act(self, run: Run, host: Host) -> None:
        self.virsh(run, "pool-destroy", self.target.name)
        self.virsh(run, "pool-undefine", self.target.name)
        with connect(host.target) as conn:
            pools.stop(conn, self.target.name)
            pools.undefine(conn, self.target.name)
        Volume.objects.filter(pool=self.target, host=host).delete()
        PoolOnHost.objects.filter(pool=self.target, host=host).delete()


@register
class RemovePool(PoolOperation):
    """Remove a pool from hosts. With `forget` (all hosts) the pool itself goes when none is left."""

    name = "storage.remove_pool"
    removes_target = True
    verb = gettext_lazy("Remove pool")
    part = RemovePoolPart

    def title(self) -> str:
        return _("Delete pool %(pool)s") % {"pool": self.target} if self.params.get("forget") else super().title()

    def hosts(self) -> list[Host]:
        return [cell.host for cell in self._cells()] if self.params.get("forget") else super().hosts()

    def _cells(self) -> list[PoolOnHost]:
        return list(PoolOnHost.objects.filter(pool=self.target).select_related("host"))

    def refuse(self) -> None:
        if not self.params.get("forget"):
            return super().refuse()
        names = usage.users_of_pool(self.target)
        if names:
            shown = ", ".join(names[:10]) + (" …" if len(names) > 10 else "")
            raise Refused(_("In use by %(names)s.") % {"names": shown})
        return None

    def run(self, run: Run) -> dict[str, Any] | None:
        if self.params.get("forget") and not self._cells():
            Pool.objects.filter(pk=self.target.pk).delete()
            return {}
        return super().run(run)

    def children_ended(self, run: Run) -> dict[str, Any] | None:
        if self.params.get("forget") and self.target is not None and not self._cells():
            from storage.models import Image

            Image.objects.filter(pool=self.target, state="failed").delete()
            Pool.objects.filter(pk=self.target.pk).delete()
        live.publish("pools")
        return {}
