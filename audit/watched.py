"""Changes of people, groups, grants, tokens and quotas, which are no jobs: seen where rows are saved and deleted."""

from typing import Any

from django.apps import apps
from django.db.models import Model
from django.db.models.signals import post_save, pre_delete, pre_save
from django.utils.translation import gettext_lazy as _

from audit.actions import name
from audit.entries import record
from audit.things import KIND_OF, Thing, thing_of

# Which columns tell something: others (last use, theme) change without an entry.
WATCHED = {
    "access.User": ("username", "first_name", "last_name", "email", "role", "is_active", "is_superuser"),
    "access.Group": ("name", "description"),
    "access.Membership": ("is_manager",),
    "access.Grant": ("role", "until", "on_vm", "on_group", "on_pool"),
    "access.ApiToken": ("name", "expires_at", "may_change", "areas"),
    "access.RequiredFactor": ("role",),
    "access.Invitation": ("username", "email", "role", "group", "expires_at"),
    "access.SshKey": ("fingerprint",),
    "vms.ScreenLink": ("vm", "until"),
    "selfservice.Quota": ("user", "group", "vms", "running_vms", "vcpus", "memory_bytes", "disk_bytes", "snapshots"),
}
WORDS = {
    "person": (_("New person"), _("Change person"), _("Remove person")),
    "group": (_("New group"), _("Change group"), _("Remove group")),
    "membership": (_("Into a group"), _("Change membership"), _("Out of a group")),
    "grant": (_("Grant"), _("Change grant"), _("Withdraw grant")),
    "token": (_("New API token"), _("Change API token"), _("Revoke API token")),
    "required-factor": (_("Require second factor"), _("Change required factor"), _("Require second factor no more")),
    "invitation": (_("Invite"), _("Change invitation"), _("Withdraw invitation")),
    "ssh-key": (_("New SSH key"), _("Change SSH key"), _("Remove SSH key")),
    "screen-link": (_("New view-only link"), _("Change view-only link"), _("End view-only link")),
    "quota": (_("New quota"), _("Change quota"), _("Remove quota")),
}
BEFORE = "_audit_before"


def listen() -> None:
    for label in WATCHED:
        model = apps.get_model(label)
        kind = KIND_OF[label]
        for verb, words in zip(("made", "changed", "removed"), WORDS[kind], strict=True):
            name(key_of(label, verb), words)
        pre_save.connect(before_save, sender=model, dispatch_uid=f"audit.{label}")
        post_save.connect(after_save, sender=model, dispatch_uid=f"audit.{label}")
        pre_delete.connect(before_delete, sender=model, dispatch_uid=f"audit.{label}")


def key_of(label: str, verb: str) -> str:
    """The stable key of a change: "access.person_made" for label "access.User"."""
    return f"{label.partition('.')[0]}.{KIND_OF[label]}_{verb}"


def before_save(sender: type[Model], instance: Model, raw: bool, update_fields: Any, **more: Any) -> None:
    """Remember what the row said, if something that tells is written."""
    fields = WATCHED[sender._meta.label]
    if raw or instance.pk is None or (update_fields is not None and not set(update_fields) & set(fields)):
        setattr(instance, BEFORE, None)
        return
    setattr(instance, BEFORE, sender._default_manager.filter(pk=instance.pk).values(*fields).first())


def after_save(sender: type[Model], instance: Model, created: bool, raw: bool, **more: Any) -> None:
    if raw:
        return
    if created:
        _tell(instance, "made", {name: value for name, value in _values(instance).items() if value not in (None, "")})
        return
    old, new = getattr(instance, BEFORE, None), _values(instance)
    if old is not None:
        changed = {name: [_word(old[name]), new[name]] for name in new if _word(old[name]) != new[name]}
        if changed:
            _tell(instance, "changed", changed)
    if getattr(instance, "_password", None) is not None:  # set_password was called, and this save stores it
        record("access.password", on=instance)


def before_delete(sender: type[Model], instance: Model, **more: Any) -> None:
    """Before, for afterwards what it is called by may be gone too. Both are one transaction."""
    _tell(instance, "removed", {})


def _tell(instance: Model, verb: str, details: dict[str, Any]) -> None:
    thing = named(instance)
    record(key_of(instance._meta.label, verb), on=thing, details=details)


def named(instance: Model) -> Thing:
    """A token is called what it is for; whose it is says its person."""
    thing = thing_of(instance)
    if thing.kind == "token":
        return thing._replace(label=f"{instance.name} ({instance.user})")  # type: ignore[attr-defined]
    return thing


def _values(instance: Model) -> dict[str, Any]:
    columns = {name: instance._meta.get_field(name) for name in WATCHED[instance._meta.label]}
    return {name: _word(getattr(instance, column.attname)) for name, column in columns.items()}  # type: ignore[union-attr]


def _word(value: Any) -> Any:
    return value if value is None or isinstance(value, bool | int | str) else str(value)
