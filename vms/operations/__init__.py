"""Operations on VMs, one module per subject; importing them registers them."""

from vms import migration, torn_move
from vms.operations import bulk, change, create, delete, power, rebuild, snapshots

__all__ = ["bulk", "change", "create", "delete", "migration", "power", "rebuild", "snapshots", "torn_move"]
