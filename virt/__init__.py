"""The only door to libvirt and SSH. No Django models, no room is imported here."""
