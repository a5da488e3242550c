"""What people are told about requests and VMs of their own."""

from django.utils.translation import gettext_lazy as _

from notices import kinds
from notices.kinds import Kind

kinds.register(
    Kind("inbox", _("Requests that wait for me"), needs="selfservice.decide", icon="inbox"),
    Kind("request", _("My requests"), _("approved, rejected, ready, failed"), icon="package"),
    Kind("lease", _("The end of my VMs"), _("soon, reached, archived, deleted"), icon="hourglass"),
    Kind("share", _("VMs that somebody shares with me"), icon="share"),
    Kind("class", _("Classes"), icon="school"),
)
