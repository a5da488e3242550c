"""The mail server of the settings, believed by its certificate: the system's authorities, or one of our own."""

import ssl

from django.conf import settings
from django.core.mail.backends.smtp import EmailBackend
from django.utils.functional import cached_property


class Server(EmailBackend):
    @cached_property
    def ssl_context(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=settings.EMAIL_CA_FILE or None)
