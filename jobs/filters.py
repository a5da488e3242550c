"""The filters of the list of jobs. They live in the address, so that a view can be kept and sent."""

from typing import Any

from django import forms
from django.db.models import Q, QuerySet
from django.utils.translation import gettext_lazy as _

from access.models import User
from access.rules import Person, everywhere
from jobs import discretion
from jobs.models import Job
from jobs.operations import all_operations
from jobs.states import ACTIVE, State
from ui.forms import LongSelect

GROUPS = {
    "active": ACTIVE,
    "bad": frozenset({State.FAILED, State.ERRORED}),
}
STATES = [("", _("any state")), ("active", _("not ended")), ("bad", _("failed or errored")), *State.choices]
KINDS = [
    ("", _("on anything")),
    ("vm", _("on VMs")),
    ("host", _("on hosts")),
    ("pool", _("on pools")),
    ("image", _("on images")),
    ("network", _("on networks")),
]


def says(person: Person, text: str) -> Q:
    """Jobs in whose words this text is, of those that this person reads: what is hidden is not found either."""
    if discretion.sees_all(person):
        return Q(title__icontains=text) | Q(error__icontains=text)
    kinds = [name for name, kind in all_operations().items() if text.lower() in str(kind.verb).lower()]
    return Q(target_label__icontains=text) | Q(operation__in=kinds)


class JobFilter(forms.Form):
    """What is wrong in an address is ignored: a list is shown, not an error."""

    q = forms.CharField(label=_("Text"), required=False, max_length=100)
    state = forms.ChoiceField(label=_("State"), choices=STATES, required=False, widget=LongSelect)
    operation = forms.ChoiceField(label=_("Operation"), required=False, widget=LongSelect)
    kind = forms.ChoiceField(label=_("Kind"), choices=KINDS, required=False, widget=LongSelect)
    key = forms.CharField(required=False, max_length=40, widget=forms.HiddenInput)
    user = forms.ChoiceField(label=_("Person"), required=False, widget=LongSelect)
    since = forms.DateField(label=_("From"), required=False, widget=forms.DateInput({"type": "date"}))
    until = forms.DateField(label=_("To"), required=False, widget=forms.DateInput({"type": "date"}))

    def __init__(self, *args: Any, person: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.person = person
        verbs = [(name, f"{kind.verb} ({name.partition('.')[0]})") for name, kind in all_operations().items()]
        self.fields["operation"].choices = [("", _("any operation")), *verbs]  # type: ignore[attr-defined]
        if everywhere(person, "jobs.all"):
            names = list(User.objects.order_by("username").values_list("username", "username"))
            self.fields["user"].choices = [("", _("anybody")), ("-", "Drover"), *names]  # type: ignore[attr-defined]
        else:
            del self.fields["user"]

    def apply(self, jobs: QuerySet[Job]) -> QuerySet[Job]:
        self.is_valid()
        values = getattr(self, "cleaned_data", {})
        query = Q()
        if state := values.get("state"):
            query &= Q(state__in=GROUPS.get(state, {state}))
        if text := values.get("q"):
            query &= says(self.person, text)
        if user := values.get("user"):
            query &= Q(user=None) if user == "-" else Q(user__username=user)
        for name, column in (("operation", "operation"), ("kind", "target_kind"), ("key", "target_key")):
            if value := values.get(name):
                query &= Q(**{column: value})
        if since := values.get("since"):
            query &= Q(created_at__date__gte=since)
        if until := values.get("until"):
            query &= Q(created_at__date__lte=until)
        if not query:  # the plain list shows a job's parts with it
            query = Q(parent=None)
        return jobs.filter(query)

    def is_narrowed(self) -> bool:
        return any(self.cleaned_data.get(name) for name in self.fields)
