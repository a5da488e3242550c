"""Pages of the VMs: lists, one VM, actions, creation. A GET reads the database only."""
