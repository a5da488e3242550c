"""What the clock does for the audit."""

import logging

from celery import shared_task
from django.conf import settings
from django.utils.translation import gettext as _

from audit import chain
from audit.entries import record
from audit.models import Chain

log = logging.getLogger(__name__)


@shared_task(name="audit.seal")
def seal() -> None:
    chain.seal()


@shared_task(name="audit.forget_old")
def forget_old() -> None:
    """Also says in the log where the chain ends: a log that is kept elsewhere is one more witness."""
    gone = chain.forget_old(settings.AUDIT_KEEP_DAYS)
    if gone:
        words = _("Forget %(n)s entries older than %(days)s days") % {"n": gone, "days": settings.AUDIT_KEEP_DAYS}
        record("audit.forget", words, details={"entries": gone, "days": settings.AUDIT_KEEP_DAYS})
    end = Chain.objects.filter(pk=1).first()
    if end is not None:
        log.info("the audit ends with entry %s, %s", end.number, end.digest)
