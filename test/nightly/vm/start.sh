# PID 1 of the guest: runs the checks, takes in orphans meanwhile, and powers off.
busybox=/vm/busybox
$busybox ip link set lo up
# The host's files are an overlay's lower layer here: only this guest is without them.
$busybox rm -f /usr/sbin/iptables /usr/sbin/nft
$busybox hostname guest
. /vm/environment
cd "$ROOT"
$busybox timeout -k 5 "$LIMIT" "$NODE" --disable-warning=ExperimentalWarning test/nightly/vm/guest.ts
echo "guest.ts: exit code $?"
$busybox poweroff -f
