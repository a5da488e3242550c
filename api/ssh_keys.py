"""One's own public SSH keys, as on the profile."""

from datetime import datetime
from typing import Any

from django.shortcuts import get_object_or_404
from ninja import Router, Schema, Status

from access import ssh_keys
from access.forms import SshKeysForm
from access.models import SshKey
from access.rules import PersonRequest
from api.forms import cleaned
from api.schemas import In, Problem

router = Router(tags=["ssh keys"])


class SshKeyOut(Schema):
    id: int
    kind: str
    label: str
    fingerprint: str
    text: str
    added_at: datetime


class SshKeysIn(In):
    """keys: one a line, as in authorized_keys."""

    keys: str


@router.get("", response=list[SshKeyOut])
def list_ssh_keys(request: PersonRequest) -> Any:
    """Your keys, 50 at most."""
    return request.user.ssh_keys.all()


@router.post("", response={201: list[SshKeyOut], 409: Problem, 422: Problem})
def add_ssh_keys(request: PersonRequest, wish: SshKeysIn) -> Any:
    """Add keys; answers those that were not there yet."""
    return Status(201, ssh_keys.add(request.user, cleaned(SshKeysForm(wish.dict()))["keys"]).new)


@router.delete("/{key_id}", response={204: None, 404: Problem})
def remove_ssh_key(request: PersonRequest, key_id: int) -> Any:
    """VMs that have it already keep it."""
    get_object_or_404(SshKey, pk=key_id, user=request.user).delete()
    return Status(204, None)
