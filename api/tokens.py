"""One's own API tokens: made, listed and ended, as on the profile."""

from datetime import datetime, timedelta
from typing import Annotated, Any, Literal

from django.db import transaction
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.utils import timezone
from django.utils.translation import gettext as _
from ninja import Router, Schema, Status
from pydantic import Field

from access.models import ApiToken
from access.rules import PersonRequest
from api.forms import Invalid
from api.schemas import In, Problem
from api.scopes import check_whole, token_of

router = Router(tags=["tokens"])
Area = Literal["vms", "requests", "hosts", "storage", "people", "profile"]


class TokenOut(Schema):
    id: int
    name: str
    may_change: bool
    areas: list[str] = Field(description="empty: everything")
    created_at: datetime
    expires_at: datetime | None
    last_used_at: datetime | None


class NewTokenOut(TokenOut):
    token: str = Field(description="shown this once")


class TokenIn(In):
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"\S")] = Field(description="what it is for")
    days: int | None = Field(90, ge=1, le=3650, description="how long it is valid; null: until it is ended")
    may_change: bool = Field(False, description="false: it only reads")
    areas: list[Area] = Field([], description="what it is for; empty: everything you may do")


@router.get("", response=list[TokenOut])
def list_tokens(request: PersonRequest) -> QuerySet[ApiToken]:
    """Yours; of none its secret."""
    return request.user.api_tokens.order_by("-id")


@router.post("", response={201: NewTokenOut, 403: Problem, 422: Problem})
def make_token(request: PersonRequest, wish: TokenIn) -> Any:
    """A token of yours. One that is limited makes none, and none outlives the one that makes it."""
    check_whole(request)
    until = timezone.now() + timedelta(days=wish.days) if wish.days else None
    maker = token_of(request)
    if maker is not None and maker.expires_at is not None and (until is None or until > maker.expires_at):
        words = _("The token this comes with ends on %(day)s: no later.") % {"day": f"{maker.expires_at:%Y-%m-%d}"}
        raise Invalid({"days": [words]})
    with transaction.atomic():
        scope: dict[str, Any] = {"may_change": wish.may_change, "areas": wish.areas}
        made, secret = ApiToken.make(request.user, wish.name.strip(), until, **scope)
    made.token = secret  # type: ignore[attr-defined]
    return Status(201, made)


@router.delete("/{token_id}", response={204: None, 404: Problem})
def end_token(request: PersonRequest, token_id: int) -> Any:
    """At once; also the one it comes with."""
    check_whole(request)
    get_object_or_404(ApiToken, pk=token_id, user=request.user).delete()
    return Status(204, None)
