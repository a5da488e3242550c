"""People and their API tokens."""

import hashlib
import secrets
from datetime import datetime

from django.contrib.auth.models import AbstractUser
from django.db import models
from django.utils import timezone
from django.utils.translation import gettext_lazy as _


class Role(models.TextChoices):
    ADMINISTRATOR = "administrator", _("administrator")
    OPERATOR = "operator", _("operator")
    USER = "user", _("lab user")


class User(AbstractUser):
    """A person. The role decides what they may do (`access.rules`)."""

    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.USER)
    theme = models.CharField(_("theme"), max_length=5, default="auto")

    def initials(self) -> str:
        name = self.get_full_name() or self.username
        return "".join(word[0] for word in name.split()[:2]).upper() or "?"


class ApiToken(models.Model):
    """A token for the API: shown once when made, kept only as a SHA-256 digest."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def make(cls, user: User, name: str, expires_at: datetime | None = None) -> tuple["ApiToken", str]:
        """A new token row and its secret, which is not kept anywhere."""
        secret = "drover_" + secrets.token_urlsafe(32)
        digest = cls.digest_of(secret)
        return cls.objects.create(user=user, name=name, digest=digest, expires_at=expires_at), secret

    @classmethod
    def user_of(cls, secret: str) -> User | None:
        """The active person behind a token's secret, or None for an unknown, expired or disabled one."""
        token = cls.objects.select_related("user").filter(digest=cls.digest_of(secret)).first()
        now = timezone.now()
        if token is None or not token.user.is_active or (token.expires_at and token.expires_at <= now):
            return None
        if token.last_used_at is None or (now - token.last_used_at).total_seconds() > 60:
            cls.objects.filter(pk=token.pk).update(last_used_at=now)
        return token.user
