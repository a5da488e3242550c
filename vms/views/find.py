"""Fetching a VM through what this person may see."""

from uuid import UUID

from django.shortcuts import get_object_or_404

from access.rules import PersonRequest, visible
from vms.models import Vm


def find_vm(request: PersonRequest, uuid: UUID, *, with_xml: bool = False) -> Vm:
    """The VM, or 404. Its definitions are large: only a page that shows them reads them."""
    rows = Vm.objects.select_related("host", "owner", "image", "job")
    if not with_xml:
        rows = rows.defer("definition", "live_definition")
    return get_object_or_404(visible(request.user, rows), uuid=uuid)
