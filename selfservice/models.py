"""What people and groups may have at most, and what is reserved of it."""

from django.db import models
from django.db.models import F, Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import Group, User
from access.reach import Reach
from selfservice.measures import MEASURES, Amount

BOTH_NONE = Q(user=None, group=None)


class Quota(models.Model):
    """The most that a person, or a group, may have. The row of nobody is for each person without one of their own.

    A measure that is empty has no limit.
    """

    user = models.OneToOneField(User, null=True, blank=True, on_delete=models.CASCADE, related_name="quota")
    group = models.OneToOneField(Group, null=True, blank=True, on_delete=models.CASCADE, related_name="quota")
    vms = models.PositiveIntegerField(_("VMs"), null=True, blank=True)
    running_vms = models.PositiveIntegerField(_("running VMs"), null=True, blank=True)
    vcpus = models.PositiveIntegerField(_("vCPUs"), null=True, blank=True)
    memory_bytes = models.PositiveBigIntegerField(_("memory"), null=True, blank=True)
    disk_bytes = models.PositiveBigIntegerField(_("disks"), null=True, blank=True)

    reach = Reach("access.view")

    class Meta:
        # everybody's, then of people, then of groups, on every database
        ordering = [F("group__name").asc(nulls_first=True), F("user__username").asc(nulls_first=True), "id"]
        constraints = [
            models.CheckConstraint(condition=Q(user=None) | Q(group=None), name="quota_one_holder"),
            models.UniqueConstraint(models.Value(1), condition=BOTH_NONE, name="quota_one_for_all"),
        ]

    def __str__(self) -> str:
        holder = self.user or self.group
        return str(holder) if holder else str(_("everybody"))

    def limits(self) -> dict[str, int | None]:
        return {name: getattr(self, name) for name in MEASURES}

    @property
    def is_unlimited(self) -> bool:
        return all(limit is None for limit in self.limits().values())


class Reservation(models.Model):
    """A part of a quota that somebody was promised. It counts until it is released, in the place of its VM.

    Written in the transaction that takes a request; kept afterwards with the reason it ended for.
    """

    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="reservations")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.SET_NULL, related_name="reservations")
    vm = models.ForeignKey("vms.Vm", null=True, blank=True, on_delete=models.SET_NULL, related_name="reservations")
    label = models.CharField(max_length=200)  # what for, in the user's words
    vms = models.PositiveIntegerField(default=1)
    running_vms = models.PositiveIntegerField(default=1)
    vcpus = models.PositiveIntegerField()
    memory_bytes = models.PositiveBigIntegerField()
    disk_bytes = models.PositiveBigIntegerField()
    created_at = models.DateTimeField(default=timezone.now)
    released_at = models.DateTimeField(null=True, blank=True)
    why = models.CharField(max_length=200, blank=True)  # it was released

    class Meta:
        ordering = ["id"]
        indexes = [
            # the few that count, among all that ever did
            models.Index(fields=["user"], name="reservation_of_user", condition=Q(released_at=None)),
            models.Index(fields=["group"], name="reservation_of_group", condition=Q(released_at=None)),
            models.Index(fields=["vm"], name="reservation_of_vm", condition=Q(released_at=None)),
        ]

    def __str__(self) -> str:
        return self.label

    def amount(self) -> Amount:
        return Amount(*(getattr(self, name) for name in MEASURES))
