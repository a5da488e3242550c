"""The form of an offer: what it is, how large, where, first boot, for whom, for how long."""

from typing import Any

from django import forms
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from access.models import Group
from access.people import by_names
from jobs.errors import Refused
from selfservice import first_boot, pictures
from selfservice.models import Approval, Offer, OfferVersion
from selfservice.offers import VERSION_COLUMNS
from selfservice.terms import MOST_DAYS
from storage.models import Image
from ui.forms import LongSelect, number_in
from virt import names
from virt.user_data import normalise
from vms.create_form import LATEST, image_choices, source_choices, usable_pools, usual_source
from vms.forms import SizeField
from vms.spec import MAX_COUNT

GIB = 1024**3
CODE = {"spellcheck": "false", "class": "code"}
TRIPLES = ("vcpus", "memory_bytes", "disk_bytes")


def count_field(label: Any, most: int, *, initial: int | None = 1, required: bool = True, hint: Any = "") -> Any:
    wheel = forms.NumberInput(attrs={"min": 1, "max": most})
    return forms.IntegerField(
        label=label, initial=initial, required=required, min_value=1, max_value=most, widget=wheel, help_text=hint
    )


class OfferForm(forms.Form):
    name = forms.CharField(label=gettext_lazy("Name"), max_length=100)
    summary = forms.CharField(label=gettext_lazy("In one line"), max_length=200, required=False)
    text = forms.CharField(
        label=gettext_lazy("Text"),
        required=False,
        max_length=20_000,
        widget=forms.Textarea(attrs={"rows": 5}),
        help_text=gettext_lazy("Markdown: **bold**, - lists, [links](https://…)."),
    )
    picture = forms.FileField(
        label=gettext_lazy("Picture"), required=False, widget=forms.FileInput(attrs={"accept": "image/*"})
    )
    drop_picture = forms.BooleanField(label=gettext_lazy("Without a picture"), required=False)
    position = forms.IntegerField(
        label=gettext_lazy("Place in the list"), initial=100, min_value=0, max_value=10_000, required=False
    )

    image = forms.ChoiceField(label=gettext_lazy("Image"), widget=LongSelect)
    pool = forms.ChoiceField(label=gettext_lazy("Pool for the disks"), widget=LongSelect)
    network = forms.ChoiceField(label=gettext_lazy("Network"), widget=LongSelect)
    most_vms = count_field(gettext_lazy("VMs in one request"), MAX_COUNT)
    least_vcpus = count_field(gettext_lazy("vCPUs: at least"), names.MAX_VCPUS)
    vcpus = count_field(gettext_lazy("usually"), names.MAX_VCPUS)
    most_vcpus = count_field(gettext_lazy("at most"), names.MAX_VCPUS, initial=2)
    least_memory_bytes = SizeField(label=gettext_lazy("Memory: at least"), initial=GIB)
    memory_bytes = SizeField(label=gettext_lazy("usually"), initial=2 * GIB)
    most_memory_bytes = SizeField(label=gettext_lazy("at most"), initial=4 * GIB)
    least_disk_bytes = SizeField(label=gettext_lazy("Disk: at least"), initial=10 * GIB)
    disk_bytes = SizeField(label=gettext_lazy("usually"), initial=10 * GIB)
    most_disk_bytes = SizeField(label=gettext_lazy("at most"), initial=20 * GIB)

    login = forms.CharField(
        label=gettext_lazy("User in the VM"),
        required=False,
        max_length=32,
        help_text=gettext_lazy("May use sudo. Empty: the image's own user."),
    )
    user_data = forms.CharField(
        label=gettext_lazy("First-boot template"),
        required=False,
        strip=False,
        max_length=100_000,
        widget=forms.Textarea(attrs={"rows": 7, "placeholder": "#cloud-config\ntimezone: <timezone>", **CODE}),
        help_text=gettext_lazy("User-data for cloud-init; <name> alone as a value is what is filled in for a field."),
    )
    fields_text = forms.CharField(
        label=gettext_lazy("Fields that are filled in"),
        required=False,
        max_length=10_000,
        widget=forms.Textarea(attrs={"rows": 3, "placeholder": "timezone*: Europe/Berlin | UTC: Time zone", **CODE}),
        help_text=gettext_lazy(
            "One a line, name: kind: label. Kinds: text, number, yes, or choices with | between them; * for a must."
        ),
    )

    lease_days = count_field(
        gettext_lazy("Days"), MOST_DAYS, initial=14, required=False, hint=gettext_lazy("Empty: they do not expire.")
    )
    most_lease_days = count_field(
        gettext_lazy("At most, with extending"),
        MOST_DAYS,
        initial=60,
        required=False,
        hint=gettext_lazy("Empty: no limit."),
    )
    approval = forms.ChoiceField(
        label=gettext_lazy("Approval"),
        choices=Approval.choices,
        initial=Approval.ALWAYS,
        widget=forms.RadioSelect(attrs={"class": "form-check-input"}),
    )
    free_vms = count_field(gettext_lazy("VMs"), MAX_COUNT, initial=None, required=False)
    free_vcpus = count_field(gettext_lazy("vCPUs"), 100_000, initial=None, required=False)
    free_memory_bytes = SizeField(label=gettext_lazy("Memory"), required=False)
    free_disk_bytes = SizeField(label=gettext_lazy("Disks"), required=False)

    is_for_everybody = forms.BooleanField(label=gettext_lazy("Everybody may ask for it"), required=False, initial=True)
    groups = forms.ModelMultipleChoiceField(
        label=gettext_lazy("Groups"), queryset=Group.objects.all(), required=False, widget=forms.SelectMultiple
    )
    people = forms.CharField(
        label=gettext_lazy("People"),
        required=False,
        max_length=5000,
        help_text=gettext_lazy("Usernames with spaces between them."),
    )

    def __init__(self, data: Any = None, files: Any = None, *, offer: Offer | None = None) -> None:
        super().__init__(data, files)
        self.offer = offer
        sources = source_choices()
        pools = [(str(pool.pk), pool.name) for pool in usable_pools()]
        options: dict[str, Any] = {"image": image_choices()[:-1], "pool": pools, "network": sources[1:]}
        for name, choices in options.items():
            self.fields[name].choices = choices  # type: ignore[attr-defined]
        self.fields["network"].initial = usual_source(sources)
        if offer is not None:
            self._begin_with(offer, offer.latest())
        if offer is None or offer.picture_at is None:
            del self.fields["drop_picture"]

    def _begin_with(self, offer: Offer, version: OfferVersion) -> None:
        now: dict[str, Any] = {name: getattr(version, name) for name in VERSION_COLUMNS}
        now |= {name: getattr(offer, name) for name in ("name", "summary", "text", "position", "is_for_everybody")}
        now["image"] = str(version.image_id) if version.is_pinned else LATEST + version.family
        now["pool"] = str(version.pool_id)
        now["fields_text"] = first_boot.written(first_boot.Field.all_of(version.fields))
        now["groups"] = list(offer.groups.all())
        now["people"] = " ".join(offer.people.values_list("username", flat=True))
        self.initial = now

    def clean_picture(self) -> bytes | None:
        given = self.cleaned_data.get("picture")
        if not given:
            return None
        try:
            return pictures.read(given.read(pictures.MOST_BYTES + 1))
        except Refused as refused:
            raise forms.ValidationError(str(refused.message)) from refused

    def clean_people(self) -> list[Any]:
        found, unknown = by_names(self.cleaned_data["people"].replace(",", " ").split())
        if unknown:
            raise forms.ValidationError(_("Nobody is called %(names)s.") % {"names": ", ".join(unknown)})
        return found

    def clean_login(self) -> str:
        login = str(self.cleaned_data["login"])
        try:
            return names.check_user_name(login) if login else ""
        except names.Refused as refused:
            raise forms.ValidationError(_(refused.template) % refused.params) from refused

    def clean(self) -> dict[str, Any]:
        data = super().clean() or {}
        for name in TRIPLES:
            figures = [data.get(key) for key in (f"least_{name}", name, f"most_{name}")]
            known = [figure for figure in figures if figure is not None]
            if len(known) == len(figures) and known != sorted(known):
                self.add_error(name, _("It must lie between the other two."))
        if (data.get("most_lease_days") or MOST_DAYS) < (data.get("lease_days") or 0):
            self.add_error("most_lease_days", _("The maximum is smaller than the figure itself."))
        if data.get("most_lease_days") and not data.get("lease_days"):
            self.add_error("lease_days", _("Say how long they last at first, or leave both empty."))
        self._check_image(data)
        self._check_template(data)
        return data

    def _check_image(self, data: dict[str, Any]) -> None:
        chosen = str(data.get("image") or "")
        key = number_in(chosen)
        rows = (
            Image.objects.filter(pk=key) if key is not None else Image.objects.filter(name=chosen.removeprefix(LATEST))
        )
        image = rows.order_by("-created_at", "-pk").first()
        self.chosen = image
        least = data.get("least_disk_bytes")
        if image is not None and least is not None and least < image.virtual_size_bytes:
            self.add_error("least_disk_bytes", _("The disk can't be smaller than its image."))
        if least is not None:
            for name in ("least_memory_bytes", "least_disk_bytes"):
                self._ask(names.check_memory_bytes if "memory" in name else names.check_disk_bytes, name, data)

    def _ask(self, check: Any, name: str, data: dict[str, Any]) -> None:
        try:
            check(data.get(name) or 0)
        except names.Refused as refused:
            self.add_error(name, _(refused.template) % refused.params)

    def _check_template(self, data: dict[str, Any]) -> None:
        self.declared: list[first_boot.Field] = []
        try:
            self.declared = first_boot.read_fields(data.get("fields_text") or "")
        except Refused as refused:
            self.add_error("fields_text", str(refused.message))
            return
        if wrong := first_boot.check(data.get("user_data") or "", self.declared):
            self.add_error("user_data", " ".join(wrong))

    def values(self) -> dict[str, Any]:
        """As `offers.save` takes it."""
        data = self.cleaned_data
        found = {name: data[name] for name in VERSION_COLUMNS if name in data}
        found |= {name: data[name] for name in ("name", "summary", "text", "is_for_everybody", "groups", "people")}
        pool = next(pool for pool in usable_pools() if str(pool.pk) == data["pool"])
        is_pinned = not data["image"].startswith(LATEST)
        found |= {
            "position": 100 if data["position"] is None else data["position"],
            "family": self.chosen.name if self.chosen else "",
            "is_pinned": is_pinned,
            "image": self.chosen if is_pinned else None,
            "pool": pool,
            "pool_name": pool.name,
            "user_data": normalise(data["user_data"]) if data["user_data"].strip() else "",
            "fields": [one.as_json() for one in self.declared],
        }
        if data.get("picture"):
            found["picture"] = data["picture"]
        elif data.get("drop_picture"):
            found["picture"] = None
        return found
