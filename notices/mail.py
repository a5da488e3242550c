"""What a mail says: a text and the same as HTML, with the link to where it is in Drover."""

from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import formataddr
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.mail import EmailMultiAlternatives
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _

from access.models import User
from notices.models import Letter, Notice
from notices.sealing import opened
from ui.text import Text, one_line


@dataclass
class Words:
    """One mail before it is one. path: inside Drover; action: what the button that leads there is called."""

    title: str
    lines: Sequence[str] = ()
    path: str = "/"
    action: Text = ""
    foot: Text = ""
    foot_path: str = ""


def of_notice(notice: Notice) -> EmailMultiAlternatives:
    about = notice.about
    foot = _("This is a mail about: %(kind)s.") % {"kind": about.label} if about else ""
    words = Words(notice.title, notice.lines, notice.url or "/", _("Open in Drover"), foot, reverse("notices:choices"))
    return message(words, to=notice.user.email, name=name_of(notice.user), number=f"notice.{notice.pk}")


def of_letter(letter: Letter) -> EmailMultiAlternatives:
    invitation = letter.invitation
    host = name_of(invitation.made_by) if invitation.made_by else "Drover"
    until = timezone.localtime(invitation.expires_at).strftime("%Y-%m-%d %H:%M %Z")
    lines = [_("Choose a password there, and you are in."), _("The link works once, until %(time)s.") % {"time": until}]
    if invitation.username:
        lines.insert(0, _("Your name for logging in is %(name)s.") % {"name": invitation.username})
    title = _("%(who)s invites you to Drover") % {"who": host}
    foot = _("If you do not know what this is about, you need not do anything.")
    words = Words(title, lines, opened(letter.sealed_path), _("Accept the invitation"), foot)
    return message(words, to=invitation.email, name="", number=f"letter.{letter.pk}")


def of_test(to: str) -> EmailMultiAlternatives:
    words = Words(
        _("Drover can send mails"), [_("Somebody tried it with “manage.py mail_test”.")], "/", _("Open Drover")
    )
    return message(words, to=to, name="", number=f"test.{token_hex(8)}")


def name_of(person: User) -> str:
    return person.get_full_name() or person.username


def message(words: Words, *, to: str, name: str, number: str) -> EmailMultiAlternatives:
    """The same number is the same mail: a second copy of it can be known as one."""
    site = urlsplit(settings.PUBLIC_URL)
    context = {
        "title": words.title,
        "lines": words.lines,
        "link": settings.PUBLIC_URL + words.path,
        "action": words.action,
        "foot": words.foot,
        "foot_link": settings.PUBLIC_URL + words.foot_path if words.foot_path else "",
        "site": settings.PUBLIC_URL,
        "site_name": site.netloc,
    }
    headers = {
        "Message-ID": f"<{number}@{site.hostname}>",
        "Auto-Submitted": "auto-generated",
        "X-Auto-Response-Suppress": "All",
    }
    made = EmailMultiAlternatives(
        words.title, as_text(context), to=[formataddr((one_line(name), to)) if name else to], headers=headers
    )
    made.attach_alternative(render_to_string("notices/mail.html", context), "text/html")
    return made


def as_text(context: dict[str, Any]) -> str:
    parts = [context["title"], "\n".join(context["lines"]), f"{context['action']}:\n{context['link']}"]
    choose = _("Choose which mails you get: %(link)s") % {"link": context["foot_link"]} if context["foot_link"] else ""
    foot = "\n".join(str(part) for part in ("-- ", context["foot"], choose) if part)
    return "\n\n".join(part for part in (*parts, foot) if part) + "\n"
