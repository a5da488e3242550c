"""What one was told in Drover, as below the bell."""

from datetime import datetime
from typing import Any

from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status
from ninja.pagination import paginate

from access.rules import PersonRequest
from api.pages import Pieces
from api.schemas import Problem
from notices import reading
from notices.models import Notice

router = Router(tags=["notices"])


class NoticeOut(Schema):
    """url: a path inside Drover, or empty."""

    id: int
    kind: str
    title: str
    lines: list[str]
    url: str
    created_at: datetime
    read_at: datetime | None


@router.get("", response=list[NoticeOut])
@paginate(Pieces)
def list_notices(request: PersonRequest, unread: bool = False) -> QuerySet[Notice]:
    """Yours, newest first."""
    rows = Notice.objects.shown_to(request.user)
    return rows.unread() if unread else rows


@router.post("/{notice_id}/read", response={204: None, 404: Problem})
def read_notice(request: PersonRequest, notice_id: int) -> Any:
    found = get_object_or_404(Notice.objects.shown_to(request.user), pk=notice_id)
    reading.mark(request.user, Notice.objects.filter(pk=found.pk))
    return Status(204, None)


@router.post("/read", response={204: None})
def read_notices(request: PersonRequest) -> Any:
    """All of them."""
    reading.mark(request.user, Notice.objects.shown_to(request.user))
    return Status(204, None)
