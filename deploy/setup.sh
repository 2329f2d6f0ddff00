#!/usr/bin/env bash
# Installs what Antiphon needs from Debian, once; says at once "nothing to do" afterwards.
#
#   deploy/setup.sh run     what building and running needs (the default)
#   deploy/setup.sh test    that, and the real receivers and tools that the tests judge us by
#   deploy/setup.sh fuzz    what building and running needs, and what fuzzing does
#   deploy/setup.sh list run|test|fuzz    only print the packages
#
# Promises: no service is started while installing, and none that this script brought is left enabled;
# a service that was there before is not touched. Where it cannot install (another distribution, no root
# and no sudo) it names what is missing and fails. Rust itself is never installed, only checked.
set -euo pipefail

MIN_RUST=1.92

# Building: GStreamer's headers, libopus (its library runs too), the linker. Running: its plugins, speech for the simulator, `ip` and
# `unshare` for the private network of the demo.
RUN_PACKAGES=(
  gcc libc6-dev make pkg-config ca-certificates libopus-dev
  libgstreamer1.0-dev libgstreamer-plugins-base1.0-dev
  gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good gstreamer1.0-plugins-bad
  gstreamer1.0-libav gstreamer1.0-alsa
  espeak-ng glib-networking iproute2 util-linux
)
# Testing: AirPlay receivers, the rack of sound outputs that they play into, a name service of their own,
# the collector that reads our metrics, and the browser that looks at our page.
TEST_PACKAGES=(
  shairport-sync avahi-daemon avahi-utils dbus-daemon dbus-bin python3-dbusmock
  pulseaudio pulseaudio-utils pulseaudio-module-zeroconf pulseaudio-module-raop libasound2-plugins
  snapclient snapserver libportaudio2 linuxptp ethtool fonts-dejavu-core
  prometheus chromium curl procps
)
# Fuzzing: libFuzzer is C++.
FUZZ_PACKAGES=(g++)
# Packages that bring services, and those services.
declare -A SERVICES=(
  [avahi-daemon]="avahi-daemon.service avahi-daemon.socket"
  [shairport-sync]="shairport-sync.service"
  [prometheus]="prometheus.service"
  [snapclient]="snapclient.service"
  [snapserver]="snapserver.service"
  [linuxptp]="timemaster.service"
)

say() { printf 'setup: %s\n' "$*"; }
die() { printf 'setup: %s\n' "$*" >&2; exit 1; }

installed() { dpkg-query -W -f='${db:Status-Status}\n' "$1" 2>/dev/null | grep -qx installed; }

# Runs as root. Arguments: packages.
install_packages() {
  local policy=/usr/sbin/policy-rc.d kept='' package fresh=()
  for package in "${!SERVICES[@]}" pulseaudio; do
    installed "$package" || fresh+=("$package")
  done
  if [ -e "$policy" ] || [ -L "$policy" ]; then
    kept=$(mktemp -d /usr/sbin/.policy-rc.d.XXXXXX)
    mv "$policy" "$kept/policy-rc.d"
  fi
  # shellcheck disable=SC2064  # the values of now are meant
  trap "rm -f '$policy'; if [ -n '$kept' ]; then mv '$kept/policy-rc.d' '$policy'; rmdir '$kept'; fi" EXIT
  trap 'exit 130' INT TERM HUP
  printf '#!/bin/sh\nexit 101\n' > "$policy"
  chmod 755 "$policy"

  export DEBIAN_FRONTEND=noninteractive
  apt-get -q -o DPkg::Lock::Timeout=600 update
  apt-get -q -y -o DPkg::Lock::Timeout=600 install --no-install-recommends "$@"

  # Only what this very run brought is switched off.
  for package in "${fresh[@]}"; do
    installed "$package" || continue
    if [ "$package" = pulseaudio ]; then
      systemctl --global disable pulseaudio.service pulseaudio.socket >/dev/null 2>&1 || true
      continue
    fi
    # shellcheck disable=SC2086  # a list of units
    systemctl disable --now ${SERVICES[$package]} >/dev/null 2>&1 \
      || systemctl disable ${SERVICES[$package]} >/dev/null 2>&1 || true
    update-rc.d "$package" disable >/dev/null 2>&1 || true
  done
}

debian_packages() {
  local package missing=()
  for package in "$@"; do
    installed "$package" || missing+=("$package")
  done
  [ ${#missing[@]} -eq 0 ] && return 0
  say "installing: ${missing[*]}"
  if [ "$(id -u)" = 0 ]; then
    bash "$0" --install "${missing[@]}"
  elif command -v sudo >/dev/null; then
    local ask=()
    [ -t 0 ] || ask=(-n)
    sudo "${ask[@]}" bash "$0" --install "${missing[@]}" \
      || die "sudo did not install them; as root: apt-get install --no-install-recommends ${missing[*]}"
  else
    die "no root and no sudo here; as root: apt-get install --no-install-recommends ${missing[*]}"
  fi
}

# Another distribution: look for the things themselves.
other_distribution() {
  local missing=() name element
  for name in gstreamer-1.0 gstreamer-app-1.0 gstreamer-audio-1.0 gstreamer-net-1.0 gstreamer-controller-1.0; do
    pkg-config --atleast-version=1.22 "$name" 2>/dev/null || missing+=("$name >= 1.22 (development files)")
  done
  pkg-config --exists opus 2>/dev/null || missing+=("opus (development files)")
  for name in cc make pkg-config gst-inspect-1.0 espeak-ng ip unshare nsenter; do
    command -v "$name" >/dev/null || missing+=("$name")
  done
  if command -v gst-inspect-1.0 >/dev/null; then
    for element in souphttpsrc mpg123audiodec lamemp3enc flacenc opusdec opusparse vorbisdec avdec_aac avenc_aac; do
      gst-inspect-1.0 --exists "$element" || missing+=("GStreamer element $element")
    done
  fi
  if [ "$1" = test ]; then
    for name in shairport-sync avahi-daemon avahi-browse dbus-daemon dbus-send pulseaudio pactl parecord prometheus curl; do
      command -v "$name" >/dev/null || missing+=("$name")
    done
    /usr/bin/python3 -c 'import dbusmock' 2>/dev/null || missing+=("python-dbusmock for /usr/bin/python3")
  fi
  [ ${#missing[@]} -eq 0 ] && return 0
  say "this is not Debian or a child of it, so nothing is installed here. Missing:" >&2
  printf 'setup:   %s\n' "${missing[@]}" >&2
  exit 1
}

check_rust() {
  command -v cargo >/dev/null && command -v rustc >/dev/null \
    || die "no Rust here: install Rust $MIN_RUST or newer (rustup is the usual way), then try again"
  local have
  have=$(rustc --version | awk '{print $2}')
  [ "$(printf '%s\n%s\n' "$MIN_RUST" "${have%%-*}" | sort -V | head -n 1)" = "$MIN_RUST" ] \
    || die "Rust $have is too old: $MIN_RUST or newer is needed (rustup update stable)"
}

# Arguments: the subcommand of cargo that must be there, its package.
check_cargo_tool() {
  cargo "$1" --version >/dev/null 2>&1 && return 0
  say "installing $2 (some minutes)"
  cargo install --locked "$2" </dev/null || die "$2 could not be installed; try: cargo install --locked $2"
}

# The Sendspin clients that the tests judge us by, in the folder of built things: the reference client of PyPI, which wants
# Python 3.12 or newer, and the library of npm. Exact versions; a stamp says that they are there.
SENDSPIN_PYTHON=(sendspin==9.0.0 aiosendspin==10.2.1)
SENDSPIN_NODE=(@sendspin/sendspin-js@3.2.1)

# Prints a Python of 3.12 or newer; fails where there is none.
new_python() {
  local candidate
  for candidate in python3.14 python3.13 python3.12 python3 "${PYENV_ROOT:-$HOME/.pyenv}"/versions/3.1[2-9]*/bin/python; do
    if "$candidate" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null; then
      command -v "$candidate"
      return 0
    fi
  done
  return 1
}

sendspin_peers() {
  local peers python
  peers=${CARGO_TARGET_DIR:-$(dirname "$0")/../target}/peers
  if [ "$(cat "$peers/venv/stamp" 2>/dev/null)" != "${SENDSPIN_PYTHON[*]}" ]; then
    if python=$(new_python); then
      say "installing ${SENDSPIN_PYTHON[*]} into $peers/venv"
      mkdir -p "$peers"
      if "$python" -m venv --clear "$peers/venv" \
          && "$peers/venv/bin/pip" install --quiet --disable-pip-version-check "${SENDSPIN_PYTHON[@]}"; then
        printf '%s\n' "${SENDSPIN_PYTHON[*]}" > "$peers/venv/stamp"
      else
        say "the Python package sendspin could not be installed; its tests will say that it is missing" >&2
      fi
    else
      say "no Python of 3.12 or newer with venv here (python3.12, python3.13, pyenv): tests with the Sendspin reference" \
        "client will say that it is missing" >&2
    fi
  fi
  if [ "$(cat "$peers/node/stamp" 2>/dev/null)" != "${SENDSPIN_NODE[*]}" ]; then
    if command -v npm >/dev/null; then
      say "installing ${SENDSPIN_NODE[*]} into $peers/node"
      mkdir -p "$peers/node"
      if npm install --silent --no-save --no-audit --no-fund --ignore-scripts --prefix "$peers/node" \
          "${SENDSPIN_NODE[@]}" </dev/null; then
        printf '%s\n' "${SENDSPIN_NODE[*]}" > "$peers/node/stamp"
      else
        say "${SENDSPIN_NODE[*]} could not be installed; its test will say that it is missing" >&2
      fi
    else
      say "no npm here: the test with ${SENDSPIN_NODE[*]} will say that it is missing" >&2
    fi
  fi
}

mode=${1:-run}
case $mode in
  --install) shift; install_packages "$@"; exit ;;
  list)
    case ${2:-run} in
      run) printf '%s\n' "${RUN_PACKAGES[@]}" ;;
      test) printf '%s\n' "${RUN_PACKAGES[@]}" "${TEST_PACKAGES[@]}" ;;
      fuzz) printf '%s\n' "${RUN_PACKAGES[@]}" "${FUZZ_PACKAGES[@]}" ;;
      *) die "list run, test or fuzz" ;;
    esac
    exit ;;
  run) packages=("${RUN_PACKAGES[@]}") ;;
  test) packages=("${RUN_PACKAGES[@]}" "${TEST_PACKAGES[@]}") ;;
  fuzz) packages=("${RUN_PACKAGES[@]}" "${FUZZ_PACKAGES[@]}") ;;
  *) sed -n '4,7p' "$0" >&2; exit 2 ;;
esac

if command -v apt-get >/dev/null && command -v dpkg-query >/dev/null; then
  debian_packages "${packages[@]}"
else
  other_distribution "$mode"
fi
check_rust
case $mode in
  test)
    check_cargo_tool nextest cargo-nextest
    sendspin_peers
    ;;
  fuzz) check_cargo_tool fuzz cargo-fuzz ;;
esac
