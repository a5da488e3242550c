"""Operations on VMs, one module per subject; importing them registers them."""

from vms import migration
from vms.operations import bulk, change, create, delete, power

__all__ = ["bulk", "change", "create", "delete", "migration", "power"]
