"""What people and groups may have at most, what is reserved of it; what is offered to them, and what they asked for."""

from django.db import models
from django.db.models import F, Q
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from access.models import Group, User
from access.reach import Reach
from selfservice.measures import MEASURES, Amount
from selfservice.states import COLOUR, RequestState, Step
from storage.models import Image, Pool

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
    snapshots = models.PositiveIntegerField(_("snapshots"), null=True, blank=True)

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
    request = models.ForeignKey("Request", null=True, blank=True, on_delete=models.CASCADE, related_name="reservations")
    label = models.CharField(max_length=200)  # what for, in the user's words
    vms = models.PositiveIntegerField(default=1)
    running_vms = models.PositiveIntegerField(default=1)
    vcpus = models.PositiveIntegerField()
    memory_bytes = models.PositiveBigIntegerField()
    disk_bytes = models.PositiveBigIntegerField()
    snapshots = models.PositiveIntegerField(default=0)
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


class Offer(models.Model):
    """What people may ask for. What exactly is in its versions: changing an offer changes nothing made of it."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    summary = models.CharField(_("in one line"), max_length=200, blank=True)
    text = models.TextField(_("text"), blank=True)  # Markdown
    picture = models.BinaryField(null=True)  # WebP, as selfservice.pictures makes it
    picture_at = models.DateTimeField(null=True)  # since when it is this one; None: there is none
    position = models.PositiveIntegerField(_("place in the list"), default=100)
    is_for_everybody = models.BooleanField(_("everybody may ask for it"), default=True)
    groups = models.ManyToManyField(Group, related_name="offers", blank=True)
    people = models.ManyToManyField(User, related_name="offers", blank=True)
    archived_at = models.DateTimeField(null=True, blank=True)
    created_at = models.DateTimeField(default=timezone.now)

    reach = Reach("selfservice.catalogue")

    class Meta:
        ordering = ["position", "name"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("selfservice:offer", args=[self.pk])

    @property
    def picture_url(self) -> str:
        """With its age in it, so that browsers may keep it; "" if there is none."""
        if self.picture_at is None:
            return ""
        return f"{reverse('selfservice:picture', args=[self.pk])}?{self.picture_at:%Y%m%d%H%M%S}"

    @property
    def is_archived(self) -> bool:
        return self.archived_at is not None

    def latest(self) -> "OfferVersion":
        """The one that is asked for now. An offer is made together with its first."""
        return self.versions.select_related("image", "pool").latest("number")


class Approval(models.TextChoices):
    ALWAYS = "always", _("somebody decides about each request")
    LIMITS = "limits", _("by itself, up to limits")


class OfferVersion(models.Model):
    """How VMs of an offer are made, from a moment on. Never changed: requests point to theirs."""

    offer = models.ForeignKey(Offer, on_delete=models.CASCADE, related_name="versions")
    number = models.PositiveIntegerField()
    made_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    made_at = models.DateTimeField(default=timezone.now)

    family = models.CharField(max_length=64)  # of images: its latest version, if none is pinned
    is_pinned = models.BooleanField(default=False)
    image = models.ForeignKey(Image, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    pool = models.ForeignKey(Pool, null=True, on_delete=models.SET_NULL, related_name="+")
    pool_name = models.CharField(max_length=64)  # should it be gone
    network = models.CharField(max_length=100)  # "network:default", "bridge:br0"
    most_vms = models.PositiveIntegerField(default=1)  # in one request
    least_vcpus = models.PositiveIntegerField(default=1)
    vcpus = models.PositiveIntegerField(default=1)  # what the form begins with
    most_vcpus = models.PositiveIntegerField(default=1)
    least_memory_bytes = models.PositiveBigIntegerField()
    memory_bytes = models.PositiveBigIntegerField()
    most_memory_bytes = models.PositiveBigIntegerField()
    least_disk_bytes = models.PositiveBigIntegerField()
    disk_bytes = models.PositiveBigIntegerField()
    most_disk_bytes = models.PositiveBigIntegerField()
    login = models.CharField(max_length=32, blank=True)  # the user in the VM; "": the image's own
    user_data = models.TextField(blank=True)  # ours, with <places> for the fields
    fields = models.JSONField(default=list)  # what the asker fills in: selfservice.first_boot.Field
    lease_days = models.PositiveIntegerField(null=True, blank=True)  # None: it does not expire
    most_lease_days = models.PositiveIntegerField(null=True, blank=True)
    approval = models.CharField(max_length=6, choices=Approval.choices, default=Approval.ALWAYS)
    # by itself up to these, of one request together; None: however much the offer allows
    free_vms = models.PositiveIntegerField(null=True, blank=True)
    free_vcpus = models.PositiveIntegerField(null=True, blank=True)
    free_memory_bytes = models.PositiveBigIntegerField(null=True, blank=True)
    free_disk_bytes = models.PositiveBigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["offer", "number"], name="offer_version_once")]

    def __str__(self) -> str:
        return f"{self.offer} v{self.number}"


class Request(models.Model):
    """A wish for VMs of an offer, and what became of it. Its state is changed by `selfservice.steps.change` alone."""

    asker = models.ForeignKey(User, on_delete=models.CASCADE, related_name="requests")
    group = models.ForeignKey(Group, null=True, blank=True, on_delete=models.SET_NULL, related_name="requests")
    version = models.ForeignKey(OfferVersion, on_delete=models.PROTECT, related_name="requests")
    pattern = models.CharField(_("name"), max_length=60)  # "web" or "web-##"
    count = models.PositiveIntegerField(default=1)
    vcpus = models.PositiveIntegerField()  # of each VM, as the two below
    memory_bytes = models.PositiveBigIntegerField()
    disk_bytes = models.PositiveBigIntegerField()
    lease_days = models.PositiveIntegerField(null=True, blank=True)
    values = models.JSONField(default=dict)  # of the version's fields
    ssh_keys = models.JSONField(default=list)  # as they were when it was asked for
    reason = models.TextField(_("reason"), blank=True)

    state = models.CharField(max_length=10, choices=RequestState.choices, default=RequestState.PENDING)
    asked_at = models.DateTimeField(default=timezone.now)
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decided_at = models.DateTimeField(null=True, blank=True)
    escalated_at = models.DateTimeField(null=True, blank=True)
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    until = models.DateTimeField(null=True, blank=True)  # when its lease ends; set when it is ready
    most_until = models.DateTimeField(null=True, blank=True)  # as far as it can be extended without approval
    # what follows of it: selfservice.terms
    leased_at = models.DateTimeField(null=True, blank=True)  # when the lease began, or was extended last
    stage_until = models.DateTimeField(null=True, blank=True)  # what ended is archived then, what is archived deleted
    next_at = models.DateTimeField(null=True, blank=True)  # when the clock has something to do for it
    warned_days = models.FloatField(null=True, blank=True)  # so long before the end people were told last
    autostarts = models.JSONField(default=list)  # UUIDs of the VMs that started with their hosts, to be so again
    pinned_at = models.DateTimeField(null=True, blank=True)
    pinned_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    returned_at = models.DateTimeField(null=True, blank=True)  # given back: it is deleted as soon as possible
    unused_at = models.DateTimeField(null=True, blank=True)  # when it was suggested for return
    kept_at = models.DateTimeField(null=True, blank=True)  # when somebody said that it is needed all the same
    longer_days = models.PositiveIntegerField(null=True, blank=True)  # a wish for more time than the offer allows
    longer_why = models.TextField(blank=True)
    longer_at = models.DateTimeField(null=True, blank=True)  # None: there is no such wish

    reach = Reach("selfservice.view", owner="asker", group="group")

    class Meta:
        ordering = ["-id"]
        indexes = [
            models.Index(fields=["asker", "-id"]),
            models.Index(fields=["state", "id"]),
            # the few that the clock and the inbox ask for, among all that ever were
            models.Index(fields=["next_at"], name="request_next", condition=Q(next_at__isnull=False)),
            models.Index(fields=["longer_at"], name="request_longer", condition=Q(longer_at__isnull=False)),
        ]

    def __str__(self) -> str:
        return str(_("request %(n)s")) % {"n": self.pk}

    def get_absolute_url(self) -> str:
        return reverse("selfservice:request", args=[self.pk])

    @property
    def colour(self) -> str:
        return COLOUR[RequestState(self.state)]

    def amounts(self) -> list[Amount]:
        """What each of its VMs takes of a quota."""
        return [Amount(1, 1, self.vcpus, self.memory_bytes, self.disk_bytes)] * self.count


class LabClass(models.Model):
    """A VM of an offer for each of a group's people. Each seat is an ordinary request, approved by its maker."""

    name = models.CharField(_("name"), max_length=60)
    group = models.ForeignKey(Group, on_delete=models.CASCADE, related_name="classes")
    version = models.ForeignKey(OfferVersion, on_delete=models.PROTECT, related_name="classes")
    pattern = models.CharField(_("names of the VMs"), max_length=60)  # "<class>-<user>"
    wants_snapshot = models.BooleanField(_("start snapshot"), default=True)
    made_by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")
    created_at = models.DateTimeField(default=timezone.now)
    ended_at = models.DateTimeField(null=True, blank=True)  # all of it was given back
    job = models.ForeignKey("jobs.Job", null=True, blank=True, on_delete=models.SET_NULL, related_name="+")

    reach = Reach("classes.view", group="group")

    class Meta:
        ordering = [F("ended_at").desc(nulls_first=True), "-id"]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("selfservice:class", args=[self.pk])


class Seat(models.Model):
    """One person of a class, and the request that their VM is made by."""

    lab_class = models.ForeignKey(LabClass, on_delete=models.CASCADE, related_name="seats")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="seats")
    request = models.OneToOneField(Request, on_delete=models.CASCADE, related_name="seat")

    class Meta:
        ordering = ["id"]
        constraints = [models.UniqueConstraint(fields=["lab_class", "user"], name="seat_once")]

    def __str__(self) -> str:
        return f"{self.user} in {self.lab_class}"


class RequestEvent(models.Model):
    """One step of a request: from which state to which, who, why, when. The two are the same where nothing changed."""

    request = models.ForeignKey(Request, on_delete=models.CASCADE, related_name="events")
    before = models.CharField(max_length=10, choices=RequestState.choices, blank=True)
    after = models.CharField(max_length=10, choices=RequestState.choices)
    by = models.ForeignKey(User, null=True, on_delete=models.SET_NULL, related_name="+")  # None: Drover itself
    at = models.DateTimeField(default=timezone.now)
    step = models.CharField(max_length=10, choices=Step.choices)
    why = models.TextField(blank=True)

    class Meta:
        ordering = ["id"]

    @property
    def colour(self) -> str:
        return COLOUR[RequestState(self.after)]
