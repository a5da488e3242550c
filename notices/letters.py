"""Invitations that are to go by mail: access says so by a signal, for it knows nothing of mails."""

from typing import Any

from django.utils import timezone

from access.models import Invitation
from access.signals import invited
from notices import delivery
from notices.models import Letter
from notices.sealing import sealed


def listen() -> None:
    invited.connect(post, dispatch_uid="notices.letters")


def post(sender: Any, invitation: Invitation, path: str, **more: Any) -> None:
    Letter.objects.create(invitation=invitation, sealed_path=sealed(path), mail_due_at=timezone.now())
    delivery.soon()
