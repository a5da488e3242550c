"""A cluster of real libvirt hosts on one Linux machine, for trying the product and for its tests."""
