"""Operations on VMs, one module per subject; importing them registers them."""
