#!/bin/busybox sh
# The initramfs: the host's files read-only, the disk over them for what is written, cgroup v2 and nothing else.
# Fails loudly: without PID 1 the kernel panics, and qemu ends.
set -eu
/bin/busybox --install -s /bin
mkdir -p /proc /sys /dev /host /disk /root
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
for module in /modules/*; do insmod "$module"; done
mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro host /host
mount -t ext4 /dev/vda /disk
mkdir -p /disk/over/upper /disk/over/work /disk/tmp
mount -t overlay -o lowerdir=/host,upperdir=/disk/over/upper,workdir=/disk/over/work overlay /root
mkdir -p /root/proc /root/sys /root/dev /root/run /root/vm
mount --move /disk /root/vm
mount --move /proc /root/proc
mount --move /sys /root/sys
mount --move /dev /root/dev
mkdir -p /root/dev/pts /root/dev/shm
mount -t devpts devpts /root/dev/pts
mount -t tmpfs tmpfs /root/dev/shm
mount -t tmpfs tmpfs /root/run
mount -t cgroup2 cgroup2 /root/sys/fs/cgroup
# A pivot_root, as runc does it, needs a root that is a mount: not the initramfs.
exec switch_root /root /vm/busybox sh /vm/start.sh
