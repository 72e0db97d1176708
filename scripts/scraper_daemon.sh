#!/bin/sh
# The documented ./build/src/telemetry/scraper_daemon: prints what /proc and /sys say, one JSON event a line.
# Set-up copies it there; options are those of `kernelsight collect`.
root=$(cd "$(dirname "$(readlink -f "$0")")/../../.." && pwd) || exit 1
exec "$root/.venv/bin/kernelsight" collect "$@" \
  memory vmstat load cpu pressure block network tcp tcp_retransmit process cgroup filesystem
