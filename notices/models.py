"""What people are told, and how they want to hear of it."""

from django.db import models
from django.utils import timezone

from access.models import Invitation, User
from notices.kinds import KINDS, Kind


class Mail(models.Model):
    """What the delivery of one mail needs (notices.delivery)."""

    mail_due_at = models.DateTimeField(null=True, blank=True)  # when to try (again); None: nothing to send
    mail_tries = models.PositiveSmallIntegerField(default=0)
    mailed_at = models.DateTimeField(null=True, blank=True)
    mail_error = models.CharField(max_length=300, blank=True)  # of the last try

    class Meta:
        abstract = True


class NoticeQuerySet(models.QuerySet["Notice"]):
    def shown_to(self, user: User) -> "NoticeQuerySet":
        """Those that this person reads in Drover, newest first."""
        return self.filter(user=user, in_app=True)

    def unread(self) -> "NoticeQuerySet":
        return self.filter(read_at=None)


class Notice(Mail):
    """One thing told to one person: in Drover, by mail, or both. Plain text, in the language of whoever told it."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notices")
    kind = models.CharField(max_length=20)
    title = models.CharField(max_length=200)
    body = models.TextField(blank=True)  # a line each
    url = models.CharField(max_length=500, blank=True)  # a path inside Drover
    key = models.CharField(max_length=150, blank=True)  # what is told with a key is told once
    created_at = models.DateTimeField(default=timezone.now)
    in_app = models.BooleanField(default=True)
    read_at = models.DateTimeField(null=True, blank=True)

    objects = NoticeQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(fields=["user", "key"], condition=~models.Q(key=""), name="notice_once"),
        ]
        indexes = [
            models.Index(fields=["user", "-id"], name="notice_of_user", condition=models.Q(in_app=True)),
            models.Index(fields=["user"], name="notice_unread", condition=models.Q(in_app=True, read_at=None)),
            models.Index(fields=["mail_due_at"], name="notice_mail_due", condition=models.Q(mail_due_at__isnull=False)),
            models.Index(fields=["created_at"], name="notice_created"),
        ]

    def __str__(self) -> str:
        return self.title

    @property
    def lines(self) -> list[str]:
        return self.body.splitlines()

    @property
    def about(self) -> Kind | None:
        """None: of a room that is not there any more."""
        return KINDS.get(self.kind)


class Letter(Mail):
    """An invitation on its way by mail. The link it brings is a secret: encrypted, and forgotten when it is sent."""

    invitation = models.OneToOneField(Invitation, on_delete=models.CASCADE, related_name="letter")
    sealed_path = models.TextField(blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    class Meta:
        indexes = [
            models.Index(fields=["mail_due_at"], name="letter_mail_due", condition=models.Q(mail_due_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return self.invitation.email


class Choice(models.Model):
    """How a person wants to hear of one kind. Without a row it is as the kind says."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="notice_choices")
    kind = models.CharField(max_length=20)
    app = models.BooleanField()
    mail = models.BooleanField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["user", "kind"], name="notice_choice_once")]

    def __str__(self) -> str:
        return f"{self.user}: {self.kind}"
