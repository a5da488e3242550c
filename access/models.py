"""People, their groups, what was granted to them, their API tokens."""

import hashlib
import secrets
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from django.contrib.auth.models import AbstractUser
from django.core.exceptions import ObjectDoesNotExist
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access import scopes
from access.reach import Reach


class Role(models.TextChoices):
    ADMINISTRATOR = "administrator", _("administrator")
    OPERATOR = "operator", _("operator")
    AUDITOR = "auditor", _("auditor")  # reads all, changes nothing
    APPROVER = "approver", _("approver")  # a lab user who also decides requests
    USER = "user", _("lab user")


CONSOLE_ONLY = "console"  # a role that is only ever granted, on a VM
GRANTED = [*Role.choices, (CONSOLE_ONLY, _("console only"))]


class User(AbstractUser):
    """A person. The role, and what was granted to them, decide what they may do (`access.rules`)."""

    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.USER)
    theme = models.CharField(_("theme"), max_length=5, default="auto")
    has_second_factor = models.BooleanField(default=False)  # as allauth's authenticators say: access.factors
    must_change_password = models.BooleanField(default=False)  # somebody else has set it: access.duties

    reach = Reach("people.view", owner="pk")

    def refresh_from_db(self, *args: Any, **kwargs: Any) -> None:
        super().refresh_from_db(*args, **kwargs)
        self.__dict__.pop("_rights", None)  # access.rights

    def get_absolute_url(self) -> str:
        return reverse("access:person", args=[self.pk])

    def initials(self) -> str:
        name = self.get_full_name() or self.username
        return "".join(word[0] for word in name.split()[:2]).upper() or "?"


class Group(models.Model):
    """A course or a project: people who belong together, and the VMs that are theirs (`Vm.group`)."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    description = models.TextField(_("description"), blank=True)
    members = models.ManyToManyField(User, through="Membership", related_name="member_of")
    created_at = models.DateTimeField(default=timezone.now)

    reach = Reach("groups.view", group="pk")

    class Meta:
        ordering = ["name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("access:group", args=[self.pk])


class Membership(models.Model):
    """A person in a group. A manager sees its people, and may do with its VMs what an operator may."""

    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="memberships")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="memberships")
    is_manager = models.BooleanField(_("manager"), default=False)
    since = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-is_manager", "user__username"]
        constraints = [models.UniqueConstraint(fields=["group", "user"], name="membership_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.group}"


def _at_most_one(*names: str) -> models.Q:
    """At most one of these columns is set."""
    rest = {name: models.Q(**{f"{other}__isnull": True for other in names if other != name}) for name in names}
    return models.Q(*rest.values(), _connector=models.Q.OR)


class GrantQuerySet(models.QuerySet["Grant"]):
    def in_force(self) -> "GrantQuerySet":
        """Those that have not ended."""
        return self.filter(models.Q(until=None) | models.Q(until__gt=timezone.now()))


class Grant(models.Model):
    """A role, given to a person or to all of a group, on one VM, on a group's VMs, on one pool, or on everything."""

    to_user = models.ForeignKey(User, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    to_group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    role = models.CharField(_("role"), max_length=20, choices=GRANTED)
    on_vm = models.ForeignKey("vms.Vm", null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    on_group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="grants_on")
    on_pool = models.ForeignKey("storage.Pool", null=True, blank=True, on_delete=models.CASCADE, related_name="grants")
    until = models.DateTimeField(_("until"), null=True, blank=True)
    given_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="grants_given")
    given_at = models.DateTimeField(default=timezone.now)
    is_share = models.BooleanField(default=False)  # by whoever the VM belongs to, who ends it: access.shares

    objects = GrantQuerySet.as_manager()
    reach = Reach("access.view")

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.CheckConstraint(
                condition=models.Q(to_user=None, to_group__isnull=False)
                | models.Q(to_user__isnull=False, to_group=None),
                name="grant_one_subject",
            ),
            models.CheckConstraint(condition=_at_most_one("on_vm", "on_group", "on_pool"), name="grant_one_target"),
        ]

    def __str__(self) -> str:
        try:
            return f"{self.get_role_display()} for {self.subject} on {self.target or 'everything'}"
        except ObjectDoesNotExist:  # it is being deleted with what it was given on
            return f"{self.get_role_display()} for {self.subject}"

    @property
    def subject(self) -> "User | Group | None":
        return self.to_user or self.to_group

    @property
    def target(self) -> models.Model | None:
        """What it is given on; None is everything."""
        return self.on_vm or self.on_group or self.on_pool

    @property
    def is_over(self) -> bool:
        return self.until is not None and self.until <= timezone.now()


class ApiToken(models.Model):
    """A token for the API: shown once when made, kept only as a SHA-256 digest."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="api_tokens")
    name = models.CharField(max_length=100)
    digest = models.CharField(max_length=64, unique=True)
    may_change = models.BooleanField(default=True)  # not only read
    areas = models.JSONField(default=list)  # access.scopes: ["vms"]; empty: everything its person may do
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(null=True, blank=True)
    last_used_at = models.DateTimeField(null=True, blank=True)

    @staticmethod
    def digest_of(secret: str) -> str:
        return hashlib.sha256(secret.encode()).hexdigest()

    @classmethod
    def make(
        cls,
        user: User,
        name: str,
        expires_at: datetime | None = None,
        *,
        may_change: bool = True,
        areas: Iterable[str] = (),
    ) -> tuple["ApiToken", str]:
        """A new token row and its secret, which is not kept anywhere."""
        secret = "drover_" + secrets.token_urlsafe(32)
        scope = {"may_change": may_change, "areas": scopes.sorted_areas(areas)}
        made = cls.objects.create(user=user, name=name, digest=cls.digest_of(secret), expires_at=expires_at, **scope)
        return made, secret

    @property
    def is_limited(self) -> bool:
        """To less than what its person may do."""
        return bool(self.areas) or not self.may_change

    @property
    def scope(self) -> str:
        """In words."""
        parts = scopes.words_of(self.areas)
        if not self.may_change:
            parts.insert(0, str(_("reads only")))
        return " · ".join(parts) or str(_("everything"))

    def is_valid(self, now: datetime) -> bool:
        return self.user.is_active and (self.expires_at is None or self.expires_at > now)

    def is_for(self, area: str, *, change: bool) -> bool:
        return (not self.areas or area in self.areas) and (self.may_change or not change)

    @classmethod
    def of(cls, secret: str) -> "ApiToken | None":
        """The token with its person, or None for an unknown or expired one, or of a person who may not log in."""
        token = cls.objects.select_related("user").filter(digest=cls.digest_of(secret)).first()
        now = timezone.now()
        if token is None or not token.is_valid(now):
            return None
        if token.last_used_at is None or (now - token.last_used_at).total_seconds() > 60:
            cls.objects.filter(pk=token.pk).update(last_used_at=now)
        return token


class RequiredFactor(models.Model):
    """A role whose people need a second factor."""

    role = models.CharField(_("role"), max_length=20, choices=Role.choices, unique=True)

    def __str__(self) -> str:
        return str(self.get_role_display())


class DirectoryEntry(models.Model):
    """Who of the directory a person is, by what identifies an entry for ever."""

    user = models.OneToOneField(User, on_delete=models.CASCADE, related_name="directory_entry")
    subject = models.CharField(max_length=200, unique=True)  # entryUUID; objectGUID as hexadecimal digits
    linked_at = models.DateTimeField(default=timezone.now)

    def __str__(self) -> str:
        return self.subject


class Invitation(models.Model):
    """A link that makes one person: shown once when made, kept only as a SHA-256 digest."""

    digest = models.CharField(max_length=64, unique=True)
    username = models.CharField(_("username"), max_length=150, blank=True)  # empty: who comes chooses
    email = models.EmailField(_("e-mail"), blank=True)
    role = models.CharField(_("role"), max_length=20, choices=Role.choices, default=Role.USER)
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="invitations")
    made_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="invitations_made")
    made_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField(_("valid until"))
    used_at = models.DateTimeField(null=True, blank=True)
    used_by = models.OneToOneField(
        User, null=True, blank=True, on_delete=models.SET_NULL, related_name="invitation_used"
    )

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return str(self.username or self.email or _("anybody"))

    @property
    def is_open(self) -> bool:
        return self.used_at is None and self.expires_at > timezone.now()


class WebSession(models.Model):
    """A login by a browser: where it came from. The session itself is Django's, and may be over (access.sessions)."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="web_sessions")
    session_key = models.CharField(max_length=40, unique=True)
    address = models.CharField(max_length=45, blank=True)
    agent = models.CharField(max_length=300, blank=True)
    way = models.CharField(max_length=20, blank=True)
    began_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.address} {browser_of(self.agent)}".strip()

    @property
    def browser(self) -> str:
        return browser_of(self.agent)


def browser_of(agent: str) -> str:
    """ "Firefox, Linux", as far as a browser says it."""
    browsers = (("Edg", "Edge"), ("OPR", "Opera"), ("Firefox", "Firefox"), ("Chrom", "Chrome"), ("Safari", "Safari"))
    systems = ("Android", "iPhone", "iPad", "Windows", "Mac OS", "Linux")
    name = next((name for sign, name in browsers if sign in agent), "")
    system = next((system for system in systems if system in agent), "")
    return ", ".join(one for one in (name, system) if one) or agent[:40]


class SshKey(models.Model):
    """A public key of a person: what Drover puts into the VMs they ask for."""

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="ssh_keys")
    text = models.TextField()  # as in authorized_keys: "ssh-ed25519 AAAA… me@laptop"
    fingerprint = models.CharField(max_length=60)  # "SHA256:…", as ssh-keygen -l shows it
    added_at = models.DateTimeField(default=timezone.now)

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["user", "fingerprint"], name="ssh_key_once")]

    def __str__(self) -> str:
        return self.label or self.fingerprint

    @property
    def kind(self) -> str:
        return self.text.split(None, 1)[0]

    @property
    def label(self) -> str:
        """What its owner wrote behind it, usually where it lies."""
        return (self.text.split(None, 2) + ["", ""])[2].strip()
