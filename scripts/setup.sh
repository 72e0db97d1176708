#!/usr/bin/env bash
# Set up everything that running (`setup.sh run`) or testing (`setup.sh dev`) needs, in this checkout.
# Says what it does, does only what is missing, and may be run as often as one likes, as any user.
set -euo pipefail

root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.." && pwd)
level=${1:-run}
venv=$root/.venv
readonly root level venv
case $level in
run | dev) ;;
*)
  echo "setup: '$level' is neither run nor dev" >&2
  exit 2
  ;;
esac

say() { printf 'setup: %s\n' "$*"; }
fail() {
  printf 'setup: %s\n' "$*" >&2
  exit 1
}

# --- python ------------------------------------------------------------------------------------------

is_recent() { "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1; }

find_python() {
  local candidate
  for candidate in ${PYTHON:+"$PYTHON"} python3 python3.13 python3.12 python3.11 /usr/bin/python3 \
    "$HOME"/.pyenv/versions/3.1[1-9]*/bin/python3; do
    candidate=$(command -v "$candidate" 2>/dev/null) || continue
    if is_recent "$candidate"; then
      # The real interpreter, not a shim that may mean another one tomorrow.
      "$candidate" -c 'import sys; print(sys.executable)'
      return
    fi
  done
  fail "no Python 3.11 or newer found (looked for \$PYTHON, python3, python3.13 … python3.11, ~/.pyenv).
       On Debian 12 or Ubuntu 24.04:  apt-get install python3
       On Ubuntu 22.04:               apt-get install python3.11 python3.11-venv
       Elsewhere: install one and run this again with PYTHON=/path/to/python3"
}

# --- Debian packages, from packages.debian -------------------------------------------------------------

satisfied() { # condition of the third column
  local what=${1#*:}
  case $1 in
  command:*) command -v "$what" >/dev/null ;;
  file:*) compgen -G "$what" >/dev/null ;; # may be a pattern
  python-module:*) "$python" -c "import $what" >/dev/null 2>&1 ;;
  *) fail "packages.debian: I don't know the condition '$1'" ;;
  esac
}

apt() {
  DEBIAN_FRONTEND=noninteractive apt-get -o Acquire::Retries=3 -o DPkg::Lock::Timeout=300 "$@" >&2
}

need_packages() { # purpose...
  local package purpose condition why missing=()
  while read -r package purpose condition why; do
    [[ $package == '' || $package == '#'* || " $* " != *" $purpose "* ]] && continue
    satisfied "$condition" && continue
    say "the Debian package $package is missing ($why)"
    missing+=("$package")
  done <"$root/packages.debian"
  ((${#missing[@]})) || return 0
  if ! command -v apt-get >/dev/null; then
    say "there is no apt-get here; install by hand what corresponds to: ${missing[*]}"
  elif ((EUID != 0)); then
    say "not root, so they are left out; to install them, type:  sudo apt-get install ${missing[*]}"
  else
    say "apt-get install ${missing[*]}"
    apt install -y --no-install-recommends "${missing[@]}" ||
      { apt update && apt install -y --no-install-recommends "${missing[@]}"; } ||
      say "apt-get could not install ${missing[*]}; going on without"
  fi
}

# --- the virtual environment ---------------------------------------------------------------------------

make_venv() {
  say "virtual environment .venv with $("$python" --version) ($python)"
  if "$python" -c 'import ensurepip' >/dev/null 2>&1; then
    "$python" -m venv --clear "$venv"
  elif "$python" -c 'import virtualenv' >/dev/null 2>&1; then
    "$python" -m virtualenv --quiet --clear "$venv"
  elif command -v uv >/dev/null; then
    uv venv --quiet --seed --clear --python "$python" "$venv"
  elif "$python" -m pip --python "$python" --version >/dev/null 2>&1; then
    # The interpreter has no ensurepip, but the system's pip (22.3 or newer) can fill another environment.
    "$python" -m venv --clear --without-pip "$venv"
    "$python" -m pip --python "$venv/bin/python" install --quiet pip
  else
    fail "$python cannot make a virtual environment: it has no ensurepip. Type:
       sudo apt-get install $(venv_package)
       and run this again (virtualenv, uv or python3-pip would do as well)"
  fi
}

venv_package() { # Debian's default Python has python3-venv, any other python3.N-venv
  local version
  version=$("$python" -c 'import sys; print("python%d.%d" % sys.version_info[:2])')
  if [[ $(readlink -f /usr/bin/python3) == */"$version" ]]; then echo python3-venv; else echo "$version-venv"; fi
}

install_dependencies() {
  local lock=requirements.lock
  [[ $level == dev ]] && lock=requirements-dev.lock
  say "dependencies, pinned, from $lock and requirements-build.lock"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: \
    -r "$root/$lock" -r "$root/requirements-build.lock" || fail "pip could not install $lock (see above)"
  say "kernelsight itself, from src/"
  "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation \
    --editable "$root" || fail "pip could not install kernelsight (see above)"
}

# --- what the documented commands expect to find ----------------------------------------------------------

# `from db_manager import DatabaseManager`, as documented, in every Python of the virtual environment.
add_documented_modules() {
  local packages
  packages=$("$venv/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$root/src/pipeline" >"$packages/kernelsight-documented-modules.pth"
}

write_launcher() {
  local launcher=$root/build/src/telemetry/scraper_daemon
  mkdir -p "$root/data" "${launcher%/*}"
  cmp -s "$root/scripts/scraper_daemon.sh" "$launcher" && return
  say "launcher build/src/telemetry/scraper_daemon"
  install -m 755 "$root/scripts/scraper_daemon.sh" "$launcher"
}

# What was set up, for which files, by which Python, and where: a virtual environment can't be moved.
fingerprint() {
  {
    printf '%s\n' "$root" "$level"
    "$venv/bin/python" --version
    cat "$root"/requirements*.lock "$root/pyproject.toml" "$root/scripts/setup.sh" "$root/packages.debian"
  } | sha256sum | cut -d ' ' -f 1
}

is_set_up() {
  [[ -x $venv/bin/kernelsight && -e $stamp && $(<"$stamp") == "$(fingerprint)" ]] &&
    cmp -s "$root/scripts/scraper_daemon.sh" "$root/build/src/telemetry/scraper_daemon"
}

stamp=$venv/.set-up-for-$level
is_set_up && exit 0

[[ -w $root ]] || fail "$root is not writable for $(id -un), and is not set up yet; run this once as its owner"
# Two set-ups at once would trip over each other: the second waits, and finds all done.
mkdir -p "$root/build"
exec 9>"$root/build/.set-up.lock"
command -v flock >/dev/null && flock 9
is_set_up && exit 0

python=$(find_python)
if [[ $level == dev ]]; then need_packages run test; else need_packages run; fi
if ! is_recent "$venv/bin/python" || ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then make_venv; fi
install_dependencies
add_documented_modules
write_launcher
fingerprint >"$stamp"
say "ready ($level)"
