"""Operations on vms."""
