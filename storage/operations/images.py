"""Images: import from an address or from a file in a pool. What fails half-way removes what it made."""

import contextlib
from typing import Any, ClassVar

from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import User
from hosts.models import Host
from jobs.engine import enqueue
from jobs.errors import Failed, Refused
from jobs.models import Job
from jobs.operations import Operation, register
from jobs.run import Run
from storage import inspection, naming, usage, volumes
from storage.inspection import Found
from storage.models import Image, ImageOrigin, ImageState, Pool, Volume
from storage.operations.volumes import working_host
from storage.transfer import Filling, Pace
from storage.webfile import WebFile
from ui import live
from virt import downloads, files, pools
from virt.connection import connect
from virt.errors import NoSpace, VirtError

MAX_BYTES = 1024**4  # of a download
TRIES = 6
WAIT_S = 1.0
HOST_TOOLS = downloads.TOOLS | {"sha256sum"}


def new_image(user: User | None, fields: dict[str, Any], origin: str, source: str) -> Image:
    """The row of an image that is about to be imported. Raises Refused beside the field that is wrong.

    fields: name, version, os_name, description, pool (pk), host (pk or None).
    """
    name = naming.check_word(str(fields.get("name", "")), "name", 64)
    version = naming.check_word(str(fields.get("version", "")), "version", 40)
    pool = Pool.objects.filter(pk=int(fields.get("pool") or 0)).first()
    if pool is None:
        raise Refused(_("Choose a pool."), field="pool")
    host = working_host(pool, fields.get("host") or None)
    image = Image(
        name=name,
        version=version,
        os_name=str(fields.get("os_name", ""))[:100],
        description=str(fields.get("description", ""))[:4000],
        pool=pool,
        host=None if pool.is_shared else host,
        volume_name=str(fields.get("volume") or naming.volume_name(name, version, source)),
        origin=origin,
        source=source[:2000],
        expected_checksum=naming.check_checksum(str(fields.get("checksum", "")), "checksum"),
        owner=user,
    )
    _refuse_twin(image)
    try:
        with transaction.atomic():
            image.save(force_insert=True)
    except IntegrityError as error:
        raise Refused(_("There is an image with this name and version already."), field="version") from error
    return image


def _refuse_twin(image: Image) -> None:
    if Image.objects.filter(name=image.name, version=image.version).exists():
        raise Refused(_("There is an image with this name and version already."), field="version")
    same_file = Image.objects.filter(pool=image.pool, host=image.host, volume_name=image.volume_name)
    if same_file.exists():
        raise Refused(_("The image “%(name)s” is this file already.") % {"name": same_file.get()}, field="volume")


def begin_url_import(user: User | None, fields: dict[str, Any]) -> Job:
    """fields as `new_image`, and url, checksum. Raises Refused, PermissionDenied."""
    url = naming.check_url(str(fields.get("url", "")), "url")
    with transaction.atomic():
        image = new_image(user, fields, ImageOrigin.URL, url)
        return enqueue(ImportFromUrl(image, {"host": fields.get("host") or None}), user=user)


def begin_volume_import(user: User | None, fields: dict[str, Any]) -> Job:
    """fields as `new_image`, and volume (a file's name in the pool). Raises Refused, PermissionDenied."""
    with transaction.atomic():
        image = new_image(user, fields, ImageOrigin.VOLUME, str(fields.get("volume", "")))
        return enqueue(ImportFromVolume(image, {"host": fields.get("host") or None}), user=user)


def retry(user: User | None, image: Image) -> Job:
    """Import a failed image again. Raises Refused if it can't be tried from here."""
    kinds: dict[str, type[ImportImage]] = {ImageOrigin.URL: ImportFromUrl, ImageOrigin.VOLUME: ImportFromVolume}
    kind = kinds.get(image.origin)
    if kind is None:
        raise Refused(_("The file must come from your browser again."))
    return enqueue(kind(image, {"host": image.host_id}), user=user)


class ImportImage(Operation):
    """Bring a file into the image's volume and make it an image. Subclasses say how the file comes."""

    permission = "storage.images"
    model = Image
    target_kind = "image"
    cancellable = True
    is_ours: ClassVar[bool] = True  # whether the file is made by the import, and removed if that fails
    reason: str = ""

    def refuse(self) -> None:
        if self.target.state == ImageState.READY:
            raise Refused(_("This image is ready already."))
        working_host(self.target.pool, self._host_id())

    def _host_id(self) -> int | None:
        return self.target.host_id or self.params.get("host")

    def host(self) -> Host:
        return working_host(self.target.pool, self._host_id())

    def run(self, run: Run) -> dict[str, Any]:
        try:
            host = self.host()
            Image.objects.filter(pk=self.target.pk).update(state=ImageState.IMPORTING, error="")
            self._announce()
            self.fetch(run, host)
            run.check_cancel()
            found = inspection.inspect(run, self.target.pool, host, self.target.volume_name)
            return self._finish(run, host, found)
        except (Failed, VirtError, Refused) as problem:
            self.reason = str(problem.message)
            raise

    def fetch(self, run: Run, host: Host) -> None:
        """Bring the file into the volume, or find it there; verify its checksum."""
        raise TypeError(f"{type(self).__name__} does not say how the file comes")

    def _finish(self, run: Run, host: Host, found: Found) -> dict[str, Any]:
        inspection.protect(run, host, found.path, read_only=True)
        image = self.target
        image.path, image.format, image.is_iso = found.path, found.format, found.is_iso
        image.size_bytes, image.virtual_size_bytes = found.size_bytes, found.virtual_size_bytes
        image.state, image.error = ImageState.READY, ""
        image.save(
            update_fields=[
                "path",
                "format",
                "is_iso",
                "size_bytes",
                "virtual_size_bytes",
                "checksum",
                "state",
                "error",
            ]
        )
        volumes.look_again(image.pool, host)
        self._announce()
        return {"path": found.path, "format": found.format, "size_bytes": found.size_bytes, "host": host.name}

    def failed(self, run: Run) -> None:
        if not self.target:
            return
        is_cancelled = run.cancel_asked.is_set() or run.job.cancel_requested_at is not None
        reason = self.reason or (_("Cancelled.") if is_cancelled else _("See the job for the reason."))
        self.clean(run)
        Image.objects.filter(pk=self.target.pk).exclude(state=ImageState.READY).update(
            state=ImageState.FAILED, error=reason
        )
        self._announce()

    def clean(self, run: Run) -> None:
        """Remove the file if the import made it. Must not raise: the job is ending."""
        self.target.refresh_from_db()
        if not (self.is_ours and self.target.is_stored) or self.target.state == ImageState.READY:
            return
        try:
            host = self.host()
            volumes.delete_volume(self.target.pool, host, self.target.volume_name)
            Image.objects.filter(pk=self.target.pk).update(is_stored=False)
        except (VirtError, Refused) as problem:
            run.warn(_("The half file could not be removed: %(why)s") % {"why": problem.message})

    def expected(self, host: Host) -> str:
        """ "sha256:HEX" to compare with, "" if none was given; a list of checksums is fetched first."""
        wanted = str(self.target.expected_checksum)
        if not wanted.startswith(("http://", "https://")):
            return wanted
        has_curl = host.target.has_ssh and files.programs(host.target, *downloads.TOOLS) >= downloads.TOOLS
        text = downloads.fetch_text(host.target, wanted) if has_curl else WebFile(wanted).text()
        file_name = self.file_name()
        found = naming.find_checksum(text, file_name)
        if found is None:
            raise Failed(_("The list of checksums does not name “%(name)s”.") % {"name": file_name})
        return found

    def file_name(self) -> str:
        """How the file was called where it comes from."""
        return str(self.target.source)

    def claim_name(self, run: Run, host: Host) -> bool:
        """Make sure the file's name is ours. True if a part of it is there from an earlier run of this job."""
        image = self.target
        if image.is_stored and run.is_repeat:
            return True
        if image.is_stored:
            volumes.delete_volume(image.pool, host, image.volume_name)  # left by an import that could not clean up
        elif volumes.volume_exists(image.pool, host, image.volume_name):
            message = _("There is a file “%(name)s” in the pool already, which is not this image.")
            raise Failed(message % {"name": image.volume_name})
        image.is_stored = True
        image.save(update_fields=["is_stored"])
        return False

    def _announce(self) -> None:
        live.publish(f"image.{self.key()}", "images")


# --- from an address -------------------------------------------------------------------------------------------------


@register
class ImportFromUrl(ImportImage):
    """The host downloads by curl, or, without curl there, the worker does and sends it through libvirt."""

    name = "storage.import_url"
    verb = gettext_lazy("Import image")

    def fetch(self, run: Run, host: Host) -> None:
        image = self.target
        is_half = self.claim_name(run, host)
        by_host = self._can_download(host)
        expected = self.expected(host)
        if by_host:
            path = self._folder() + "/" + image.volume_name
            self._download_on_host(run, host, path)
            actual = self._sum_on_host(run, host, path, (expected or "sha256:").partition(":")[0])
        else:
            run.log(_("The host has no curl: Drover downloads and sends it on."))
            actual = self._download_here(run, host, is_half=is_half, expected=expected)
        if expected and actual != expected:
            raise Failed(
                _("The file is not the one the checksum belongs to; it was removed."),
                f"expected {expected}\nreceived {actual}",
            )
        image.checksum = actual or ""
        with connect(host.target) as conn:
            pools.refresh(conn, image.pool.name)

    def file_name(self) -> str:
        return naming.file_name_of(self.target.source)

    def _folder(self) -> str:
        return str(self.target.pool.target_path)

    def _can_download(self, host: Host) -> bool:
        if not host.target.has_ssh or not self._folder():
            return False
        return files.programs(host.target, *HOST_TOOLS) >= HOST_TOOLS and files.can_write(host.target, self._folder())

    def _download_on_host(self, run: Run, host: Host, path: str) -> None:
        run.command("ssh", host.name, "curl", "--location", "--continue-at", "-", "--output", path, self.target.source)
        if old_pid := run.job.result.get("curl"):
            downloads.kill_download(host.target, int(old_pid), path)
        for attempt in range(1, TRIES + 1):
            try:
                place = downloads.find(host.target, self.target.source)  # each time: signed redirects do not last
                self._refuse_too_large(host, place.size_bytes)
                if place.size_bytes is None or files.size(host.target, path) != place.size_bytes:
                    self._one_download(run, host, path, place)
                return
            except downloads.DownloadFailed as failed:
                if not failed.can_resume:
                    files.remove(host.target, path)
                elif not failed.is_transient or attempt == TRIES or (attempt > 1 and not files.size(host.target, path)):
                    raise  # a server that never sent anything is not asked for long
                run.warn(_("%(why)s Trying again.") % {"why": failed.message})
                run.cancel_asked.wait(attempt * 2)
                run.check_cancel()
        raise Failed(_("The server does not send the whole file."))

    def _one_download(self, run: Run, host: Host, path: str, place: downloads.Place) -> None:
        pace = Pace(run, place.size_bytes, _("Downloading"))
        download = downloads.Download(host.target, place, path, MAX_BYTES)
        try:
            run.keep(curl=download.remote_pid)
            while not download.wait(WAIT_S):
                run.check_cancel()
                size = files.size(host.target, path) or 0
                pace.tell(size)
                if size > MAX_BYTES:
                    raise Failed(_("The file is larger than allowed."))
        finally:
            with contextlib.suppress(VirtError):  # the host is gone: its curl is found and ended by the next run
                download.stop()

    def _refuse_too_large(self, host: Host, total: int | None) -> None:
        cell = self.target.pool.presences.filter(host=host).first()
        free = cell.available_bytes if cell else None
        if total is not None and total > MAX_BYTES:
            raise Failed(_("The file is larger than allowed."))
        if total is not None and free is not None and total > free:
            raise NoSpace(_("The pool has not enough room for this file."))

    def _sum_on_host(self, run: Run, host: Host, path: str, algorithm: str) -> str:
        size = files.size(host.target, path) or 0
        run.progress(99, _("Computing the checksum"))
        run.command(f"{algorithm}sum", path)
        return f"{algorithm}:{files.checksum(host.target, path, algorithm, size)}"

    def _download_here(self, run: Run, host: Host, *, is_half: bool, expected: str) -> str:
        image = self.target
        web = WebFile(image.source)
        total = web.size_bytes
        self._refuse_too_large(host, total)
        start = int(run.job.result.get("stored", 0)) if is_half and web.can_resume else 0
        if not volumes.volume_exists(image.pool, host, image.volume_name):
            start = 0
            volumes.make_room(image.pool, host, image.volume_name, total or 1)

        def stored(offset: int) -> None:
            run.keep(stored=offset)

        filling = Filling(
            run,
            image.pool,
            host,
            image.volume_name,
            web,
            size=total,
            start=start,
            stored=stored,
            first_bytes=inspection.refuse_head,
        )
        filling.pace.step = _("Downloading")
        filling.fill()
        return final_sum(run, host, image, filling.digest.hex, (expected or "sha256:").partition(":")[0])


def final_sum(run: Run, host: Host, image: Image, seen: str | None, algorithm: str = "sha256") -> str:
    """The checksum of what was stored: as it passed by, else as the host reads it, else as libvirt sends it back."""
    if seen and algorithm == "sha256":
        return f"sha256:{seen}"
    run.progress(99, _("Computing the checksum"))
    return f"{algorithm}:{inspection.checksum(host, image.pool, image.volume_name, algorithm)}"


# --- from a file in a pool -------------------------------------------------------------------------------------------


@register
class ImportFromVolume(ImportImage):
    """Take a file that lies in a pool as an image, where it is. Refused while a VM writes to it."""

    name = "storage.import_volume"
    verb = gettext_lazy("Make an image of")
    is_ours = False

    def refuse(self) -> None:
        super().refuse()
        image = self.target
        rows = Volume.objects.filter(pool=image.pool, name=image.volume_name, missing_since=None)
        row = (rows.filter(host=image.host) | rows.filter(host=None)).first()
        if row is None:
            raise Refused(_("Choose a file."), field="volume")
        users = usage.users_of_paths({row.path}, image.host, is_written=True).get(row.path, [])
        if users:
            message = _("In use by %(names)s. Shut it down and copy the disk first.")
            raise Refused(message % {"names": ", ".join(users[:10])}, field="volume")

    def fetch(self, run: Run, host: Host) -> None:
        image = self.target
        expected = self.expected(host)
        if expected:
            algorithm = expected.partition(":")[0]
            actual = final_sum(run, host, image, None, algorithm)
            if actual != expected:
                message = _("The file is not the one the checksum belongs to.")
                raise Failed(message, f"expected {expected}\nfound {actual}")
            image.checksum = actual
