#!/bin/sh
# In a mount namespace of its own: the host's network in /sys, its cgroup, its root file system; then systemd.
set -eu
umount -l /sys
mount -t sysfs sysfs /sys
mount -t cgroup2 cgroup2 /sys/fs/cgroup
echo $$ > "/sys/fs/cgroup/$HOST_GROUP/run/cgroup.procs"
mkdir -p "$HOST_DIR/root" "$HOST_DIR/work"
mount -t overlay overlay -o "lowerdir=$HOST_LOWER,upperdir=$HOST_DIR/upper,workdir=$HOST_DIR/work" "$HOST_DIR/root"
export SYSTEMD_NSPAWN_API_VFS_WRITABLE=1
exec systemd-nspawn --quiet --keep-unit --register=no --boot --directory="$HOST_DIR/root" --machine="$HOST_NAME" \
    --network-namespace-path="/run/netns/$HOST_NETNS" --capability=all --resolv-conf=off --timezone=off \
    --link-journal=no --console=read-only "$@"
