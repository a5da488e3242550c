"""Invitations: links that make one person each."""

from typing import Any

from django.conf import settings
from django.db.models import QuerySet
from django.shortcuts import get_object_or_404
from django.urls import reverse
from django.utils.translation import gettext as _
from ninja import Router, Status
from ninja.pagination import paginate

from access import invitations
from access.models import Group, Invitation
from access.people_forms import InvitationForm
from access.rules import PersonRequest
from api.forms import Invalid, cleaned
from api.pages import Pieces
from api.people_schemas import InvitationIn, InvitationOut, NewInvitationOut
from api.rights import require
from api.schemas import Problem

router = Router(tags=["people"])


@router.get("", response=list[InvitationOut])
@paginate(Pieces)
def list_invitations(request: PersonRequest) -> QuerySet[Invitation]:
    """Newest first, used and expired ones among them."""
    require(request, "access.view")
    return Invitation.objects.select_related("used_by")


@router.post("", response={201: NewInvitationOut, 403: Problem, 404: Problem, 409: Problem, 422: Problem})
def make_invitation(request: PersonRequest, wish: InvitationIn) -> Any:
    """A link that makes one person. It is in the answer, and nowhere else."""
    require(request, "access.manage")
    if wish.group is not None and not Group.objects.filter(pk=wish.group).exists():
        raise Invalid({"group": [_("There is no such thing.")]})
    if wish.send and not settings.EMAIL_HOST:
        raise Invalid({"send": [_("Drover can't send mails here: no mail server is set up.")]})
    form = InvitationForm(wish.dict())
    data = cleaned(form)
    made, secret = invitations.make(request.user, form.values(), int(data["days"]), send=wish.send)
    made.link = request.build_absolute_uri(reverse("access:join", args=[secret]))  # type: ignore[attr-defined]
    return Status(201, made)


@router.delete("/{invitation_id}", response={204: None, 403: Problem, 404: Problem})
def withdraw_invitation(request: PersonRequest, invitation_id: int) -> Any:
    """Of one that nobody has used."""
    require(request, "access.manage")
    get_object_or_404(Invitation, pk=invitation_id, used_at=None).delete()
    return Status(204, None)
