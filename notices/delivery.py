"""Sending what is due. The rows are the queue: a lost message of Celery, a killed worker or a server that is away costs
time, never a mail.

Who sends a mail takes it first, so that several workers never send it twice. Only a worker that is killed between the
server's "yes" and the note of it leaves a mail that is sent once more, as the same mail (its Message-ID).
"""

import logging
import smtplib
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from cryptography.fernet import InvalidToken
from django.conf import settings
from django.core.mail import EmailMultiAlternatives, get_connection
from django.db import transaction
from django.db.models import F, QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from kombu.exceptions import KombuError
from redis.exceptions import RedisError

from notices import mail
from notices.models import Letter, Notice

log = logging.getLogger(__name__)
Row = Notice | Letter
MODELS: tuple[type[Row], ...] = (Letter, Notice)
TAKEN = timedelta(minutes=10)  # so long whoever took a mail has for it
FIRST, LONGEST = timedelta(seconds=30), timedelta(minutes=15)
GIVE_UP = timedelta(days=1)
ON_ONE_LINE = 50  # mails; some servers take no more in one connection


class NotSent(Exception):
    """This one mail: the server does not want it, now or for ever."""

    def __init__(self, why: str, *, for_ever: bool) -> None:
        super().__init__(why)
        self.why, self.for_ever = why, for_ever


class NoServer(Exception):
    """No mail can be sent at the moment."""


def soon() -> None:
    """After this transaction."""
    transaction.on_commit(_dispatch, robust=True)


def _dispatch() -> None:
    from notices.tasks import send

    try:
        send.apply_async(expires=60)
    except (KombuError, RedisError, OSError) as error:
        log.warning("mails wait for the clock: the broker does not answer: %s", error)


def send_due() -> int:
    """Send all that is due, and return how many were sent. Any number of workers may do it at once."""
    if not settings.EMAIL_HOST:
        return 0
    sent = 0
    rows = _taken()
    try:
        for row in rows:
            with Line() as line:
                sent += _send(line, row)
                for _number, more in zip(range(ON_ONE_LINE - 1), rows, strict=False):
                    sent += _send(line, more)
    except NoServer as error:
        log.warning("mails wait: %s", error)
        for model in MODELS:
            _put_off(_due(model), str(error))
    return sent


def _due(model: type[Row]) -> QuerySet[Any]:
    return model._default_manager.filter(mail_due_at__lte=timezone.now())


def _taken() -> Iterator[Row]:
    """The due mails, each ours alone from the moment it comes out."""
    for model in MODELS:
        parts = ("invitation__made_by",) if model is Letter else ("user",)
        while row := _due(model).select_related(*parts).order_by("pk").first():
            ours = _due(model).filter(pk=row.pk, mail_due_at=row.mail_due_at)
            if ours.update(mail_due_at=timezone.now() + TAKEN):
                yield row


class Line:
    """A connection to the mail server. Raises NoServer if there is none to be had."""

    def __init__(self) -> None:
        self.backend = get_connection()

    def __enter__(self) -> "Line":
        return self

    def send(self, message: EmailMultiAlternatives) -> None:
        """Raises NotSent or NoServer."""
        try:
            self.backend.open()
            self.backend.send_messages([message])
        except smtplib.SMTPRecipientsRefused as error:
            code, words = next(iter(error.recipients.values()))
            raise NotSent(said(code, words), for_ever=code >= 500) from error
        except smtplib.SMTPDataError as error:
            raise NotSent(said(error.smtp_code, error.smtp_error), for_ever=error.smtp_code >= 500) from error
        except smtplib.SMTPAuthenticationError as error:
            raise _no_server(_("refuses the login"), said(error.smtp_code, error.smtp_error)) from error
        except smtplib.SMTPResponseException as error:
            raise _no_server(_("refuses"), said(error.smtp_code, error.smtp_error)) from error
        except ValueError as error:
            raise NotSent(_("It can't be written: %(why)s") % {"why": error}, for_ever=True) from error
        except (smtplib.SMTPException, OSError) as error:
            raise _no_server(_("does not answer"), str(error) or type(error).__name__) from error

    def __exit__(self, *error: object) -> None:
        try:
            self.backend.close()
        except (smtplib.SMTPException, OSError) as late:
            log.info("the mail server did not say goodbye: %s", late)


def _no_server(verb: str, words: str) -> NoServer:
    return NoServer(f"{server()} {verb}: {words}")


def server() -> str:
    return f"{settings.EMAIL_HOST}:{settings.EMAIL_PORT}"


def said(code: int, words: bytes | str) -> str:
    text = words.decode(errors="replace") if isinstance(words, bytes) else words
    return f"{code} {' '.join(text.split())}"


def _send(line: Line, row: Row) -> bool:
    try:
        line.send(written(row))
    except NotSent as error:
        if error.for_ever:
            _give_up(row, error.why)
        else:
            _put_off(type(row)._default_manager.filter(pk=row.pk), error.why)
        return False
    except NoServer as error:
        _put_off(type(row)._default_manager.filter(pk=row.pk), str(error))
        raise
    _close(row, mailed_at=timezone.now(), mail_error="")
    return True


def written(row: Row) -> EmailMultiAlternatives:
    """The mail as it is sent. Raises NotSent if nobody is to get it any more."""
    if timezone.now() - row.created_at > GIVE_UP:
        raise NotSent(row.mail_error or _("It is too old."), for_ever=True)
    try:
        if isinstance(row, Letter):
            if not row.invitation.is_open:
                raise NotSent(_("The invitation is over."), for_ever=True)
            return mail.of_letter(row)
        if not row.user.is_active or not row.user.email:
            raise NotSent(_("There is no address to send it to."), for_ever=True)
        return mail.of_notice(row)
    except InvalidToken as error:
        raise NotSent(_("Its link can't be read any more: the secret key has changed."), for_ever=True) from error


def _close(row: Row, **columns: Any) -> None:
    """It is not sent again."""
    columns |= {"sealed_path": ""} if isinstance(row, Letter) else {}
    type(row)._default_manager.filter(pk=row.pk).update(mail_due_at=None, mail_tries=F("mail_tries") + 1, **columns)


def _give_up(row: Row, why: str) -> None:
    log.warning("the mail %s %s is given up: %s", type(row).__name__.lower(), row.pk, why)
    _close(row, mail_error=why[:300])


def _put_off(rows: QuerySet[Any], why: str) -> None:
    """Try these again, the later the more often it was tried already."""
    for tries in rows.order_by().values_list("mail_tries", flat=True).distinct():
        again = timezone.now() + wait_after(tries)
        rows.filter(mail_tries=tries).update(mail_due_at=again, mail_tries=tries + 1, mail_error=why[:300])


def wait_after(tries: int) -> timedelta:
    return min(LONGEST, FIRST * 2 ** min(tries, 10))


class Waiting(NamedTuple):
    why: str
    since: datetime


def waiting_since() -> Waiting | None:
    """Why mails can't be sent, and since when the oldest of them waits; None if none was tried twice in vain."""
    found = [
        model._default_manager.filter(mail_due_at__isnull=False, mail_tries__gte=2).order_by("created_at").first()
        for model in MODELS
    ]
    late = [row for row in found if row is not None]
    return min((Waiting(row.mail_error, row.created_at) for row in late), key=lambda one: one.since, default=None)
