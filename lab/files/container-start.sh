#!/bin/sh
# Keeps one container host running; starts it again when it reboots. The environment says which (hosts.py sets it),
# the arguments are systemd-nspawn's.
set -u
here=$(dirname "$0")
while :; do
    nsenter --net="/run/netns/$HOST_NETNS" unshare --mount --propagation private "$here/container-inside.sh" "$@"
    # 133 is a reboot: a machine that starts again finds its network cards as new
    [ $? = 133 ] || exit 0
    cd "$LAB_SOURCE" && "$LAB_PYTHON" -m lab rewire "$HOST_NAME" || exit 1
done
