"""The audit: who did what to what, from where, with which result."""

from datetime import datetime
from typing import Any

from ninja import Query, Router, Schema
from pydantic import Field

from access.rules import PersonRequest
from api.forms import cleaned
from api.pages import MOST
from api.rights import require
from api.schemas import In, Problem
from audit.filters import AuditFilter, read_page
from audit.models import Entry

router = Router(tags=["audit"])


class AuditQuery(In):
    q: str = Field("", description="a part of what was done, of a name or a reason, or an address")
    who: str = Field("", description="a person's name; - is Drover itself")
    action: str = ""
    kind: str = Field("", description="vm, host, pool, image, network, person ...")
    key: str = Field("", description="a VM's UUID, another's number")
    result: str = ""
    since: str = Field("", description="a day, such as 2026-03-01")
    until: str = ""
    before: str = Field("", pattern=r"^([0-9]{1,17}\.[0-9]{1,18})?$", description="`older` of the piece before")
    limit: int = Field(100, ge=1, le=MOST)


class EntryOut(Schema):
    id: int
    number: int | None
    at: datetime
    who: str
    address: str
    way: str
    action: str
    text: str
    kind: str
    key: str
    label: str
    result: str
    reason: str
    job_number: int | None
    details: dict[str, Any]
    previous: str
    digest: str


class AuditOut(Schema):
    items: list[EntryOut]
    older: str | None


@router.get("/", response={200: AuditOut, 404: Problem, 422: Problem})
def list_audit(request: PersonRequest, wanted: Query[AuditQuery]) -> Any:
    """Entries, newest first. For the next piece give `older` as `before`, until it is null: with a text or several
    filters a piece may be empty although older entries fit."""
    require(request, "audit.view")
    form = AuditFilter({name: value for name, value in wanted.dict(exclude={"before", "limit"}).items() if value})
    cleaned(form)
    page = read_page(Entry.objects.all(), form, wanted.before, wanted.limit)
    return {"items": page.rows, "older": page.older or None}
