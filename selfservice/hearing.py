"""The kinds of notices about requests and VMs, of which people choose what they hear of."""

from django.utils.translation import gettext_lazy as _

from notices import kinds
from notices.kinds import Kind

kinds.register(
    Kind(
        "inbox",
        _("Requests that I may decide"),
        _("new ones, and those that wait too long"),
        "selfservice.decide",
        "inbox",
    ),
    Kind("request", _("My requests"), _("approved, rejected, ready, failed"), icon="package"),
    Kind("lease", _("The end of my VMs"), _("soon, reached, archived, deleted"), icon="hourglass"),
    Kind("share", _("VMs that somebody shares with me"), icon="share"),
    Kind("class", _("Classes"), icon="school"),
    Kind("trouble", _("Builds that failed"), _("with all that is known about it"), "access.manage", "alert-triangle"),
)
