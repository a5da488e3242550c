"""A person's public SSH keys: pasted once, used by every VM they ask for."""

import base64
import hashlib
from typing import NamedTuple

from django.db import transaction
from django.utils.translation import gettext as _

from access.models import SshKey, User
from access.people import Denied
from virt import names

MOST = 50


class Pasted(NamedTuple):
    new: list[SshKey]
    there: int


def fingerprint(key: str) -> str:
    """As `ssh-keygen -l` shows it, so that people can compare."""
    digest = hashlib.sha256(base64.b64decode(key.split(None, 2)[1])).digest()
    return "SHA256:" + base64.b64encode(digest).decode().rstrip("=")


def read(text: str) -> list[str]:
    """The keys of a pasted text, such as an authorized_keys file: one a line, comments left out. Raises Denied."""
    lines = [line.strip() for line in text.splitlines()]
    keys = [line for line in lines if line and not line.startswith("#")]
    if not keys:
        raise Denied(_("Paste at least one public key."), "keys")
    for number, key in enumerate(keys, start=1):
        try:
            names.check_ssh_key(key)
        except names.Refused as refused:
            why = _(refused.template) % refused.params
            raise Denied(
                _("Key %(n)s: %(why)s") % {"n": number, "why": why} if len(keys) > 1 else why, "keys"
            ) from refused
    return keys


@transaction.atomic
def add(user: User, text: str) -> Pasted:
    """All of them or, with a reason (Denied), none. What is there already stays as it is."""
    found = {fingerprint(key): key for key in read(text)}
    User.objects.select_for_update(no_key=True).filter(pk=user.pk).values_list("pk").first()
    there = set(user.ssh_keys.values_list("fingerprint", flat=True))
    if len(there | set(found)) > MOST:
        raise Denied(_("At most %(n)s keys.") % {"n": MOST}, "keys")
    new = [SshKey.objects.create(user=user, text=key, fingerprint=fp) for fp, key in found.items() if fp not in there]
    return Pasted(new, len(found) - len(new))


def texts(user: User) -> list[str]:
    return list(user.ssh_keys.values_list("text", flat=True))
