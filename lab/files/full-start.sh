#!/bin/sh
# Runs one full host: a User Mode Linux kernel as a process. The environment says which (full.py sets it),
# the arguments are the kernel's.
set -eu
cd "$HOST_DIR"
exec nsenter --net="/run/netns/$HOST_NETNS" linux.uml "$@" < /dev/null
