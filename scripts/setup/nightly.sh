#!/bin/sh
# The system packages of the nightly tests: installed when their programs are missing, as ./bedplate does it.
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd -P)
cache=${BEDPLATE_CACHE:-${XDG_CACHE_HOME:-${HOME:-/root}/.cache}/bedplate}
pinned_node=$root/node_modules/.bin/node
yes=${BEDPLATE_YES:-}
command=nightly

. "$root/scripts/setup/setup.sh"
want_programs qemu-system-x86_64:qemu-system-x86 mke2fs:e2fsprogs xz:xz-utils
