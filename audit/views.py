"""The audit: the list, one entry, one's own entries, the export."""

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.core.handlers.asgi import ASGIRequest
from django.http import HttpRequest, HttpResponse, StreamingHttpResponse
from django.shortcuts import get_object_or_404, render
from django.utils import timezone
from django.utils.translation import gettext as _
from django.views.decorators.http import require_GET, require_POST

from access.rules import PersonRequest, can, permission_required
from audit import export
from audit.entries import record
from audit.filters import AuditFilter, all_of, read_page
from audit.models import Chain, Entry
from audit.things import pages_of
from ui import text
from ui.htmx import is_partial, render_dialog


def _list_context(request: HttpRequest, form: AuditFilter, rows: Any) -> dict[str, Any]:
    place = request.GET.get("before", "")
    page = read_page(rows, form, place)
    query = request.GET.copy()
    query.pop("before", None)
    newest = query.urlencode()
    query["before"] = page.older
    pages = pages_of(request.user, {(entry.kind, entry.key) for entry in page.rows})
    for entry in page.rows:
        entry.page = pages.get((entry.kind, entry.key), "")  # type: ignore[attr-defined]
    return {
        "form": form,
        "page": page,
        "is_newest": not place,
        "older": f"{request.path}?{query.urlencode()}" if page.older else "",
        "newest": f"{request.path}?{newest}",
        "query": newest,
        "narrowed": form.is_narrowed(),
        "keep_days": settings.AUDIT_KEEP_DAYS,
    }


@require_GET
@permission_required("audit.view")
def index(request: HttpRequest) -> HttpResponse:
    context = _list_context(request, AuditFilter(request.GET), Entry.objects.all()) | {"own": False}
    if is_partial(request):
        return render(request, "audit/_table.html", context)
    return render(request, "audit/index.html", context | {"chain": Chain.objects.filter(pk=1).first()})


@require_GET
def mine(request: PersonRequest) -> HttpResponse:
    """What one did oneself, and from where: for everybody."""
    rows = Entry.objects.filter(person_key=request.user.pk)
    context = _list_context(request, AuditFilter(request.GET, own=True), rows) | {"own": True}
    return render(request, "audit/_table.html" if is_partial(request) else "audit/index.html", context)


@require_GET
def show_entry(request: PersonRequest, pk: int) -> HttpResponse:
    rows = Entry.objects.all() if can(request.user, "audit.view") else Entry.objects.filter(person_key=request.user.pk)
    entry = get_object_or_404(rows, pk=pk)
    pages = pages_of(request.user, {(entry.kind, entry.key), ("job", str(entry.job_number or ""))})
    context = {
        "entry": entry,
        "page": pages.get((entry.kind, entry.key), ""),
        "job": pages.get(("job", str(entry.job_number)), ""),
        "details": [(name.replace("_", " "), _told(value)) for name, value in entry.details.items()],
    }
    return render_dialog(request, "audit/_entry_dialog.html", context)


def _told(value: Any) -> str:
    """A value in a few words; what was changed as before and after."""
    if isinstance(value, list) and len(value) == 2 and not any(isinstance(one, dict | list) for one in value):
        return " → ".join(_told(one) for one in value)
    if value is None or value == "":
        return text.DASH
    if isinstance(value, bool):
        return _("yes") if value else _("no")
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


@require_POST
@permission_required("audit.view")
def download(request: PersonRequest, form: str) -> HttpResponse:
    """The filtered entries as a file. It is a POST because it is an entry itself."""
    wanted = AuditFilter(request.GET)
    rows = wanted.apply(Entry.objects.all())
    words = _("Export the audit as %(form)s") % {"form": form.upper()}
    record("audit.export", words, details={name: str(value) for name, value in wanted.values().items()})
    lines = export.WRITERS[form](all_of(rows))
    # Django's ASGI handler would gather a plain iterator in memory before it sends anything.
    parts = _in_thread(lines) if isinstance(request, ASGIRequest) else lines
    response: Any = StreamingHttpResponse(parts, content_type=export.TYPES[form])
    name = f"audit-{timezone.localtime():%Y-%m-%d}.{form}"
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


async def _in_thread(lines: Iterator[str]) -> AsyncIterator[str]:
    following = sync_to_async(lambda: next(lines, None))
    while (line := await following()) is not None:
        yield line
