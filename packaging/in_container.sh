#!/bin/sh
# Runs inside the container that try_deb.sh boots, as root: install, look, restart, remove, purge. Says what failed in /result.
exec >/result 2>&1
set -eu
fail() { echo "FAILED: $*"; systemctl --no-pager --full status 'kernelsight*' || true; journalctl --no-pager -n 60 -u 'kernelsight*' || true; exit 1; }
await() { what=$1; shift; i=0; until "$@" >/dev/null 2>&1; do i=$((i + 1)); [ $i -lt 120 ] || fail "$what"; sleep 1; done; }
files() { find / -xdev -path /proc -prune -o -path /sys -prune -o -path /run -prune -o -path /tmp -prune -o -path /var/log -prune \
  -o -path /var/lib/dpkg -prune -o -path /var/cache -prune -o -path /root -prune -o -path /result -prune -o -path /var/lib/systemd -prune \
  -o -print | sort; }
parts="collect ingest watch agent"
active() { for part in $parts; do systemctl is-active --quiet "kernelsight-$part" || return 1; done; }
as_user() { setpriv --reuid=kernelsight --regid=kernelsight --init-groups env HOME=/tmp "$@"; }
rows() { as_user kernelsight status --json --db-path /var/lib/kernelsight/kernelsight.db | grep -q '"table": *"load_metrics"'; }

files >/tmp/before
dpkg -i /root/kernelsight_*.deb
await "the parts are not active" active
await "no rows were stored" rows
for part in $parts; do
  user=$(stat -c %U "/proc/$(systemctl show -P MainPID "kernelsight-$part")")
  case $part in collect) [ "$user" != root ] || fail "collect runs as root" ;; *) [ "$user" = kernelsight ] || fail "$part runs as $user" ;; esac
done
caps=$(awk '/CapEff/ {print $2}' "/proc/$(systemctl show -P MainPID kernelsight-ingest)/status")
[ "$caps" = 0000000000000000 ] || fail "ingest has capabilities $caps"
# Killed, a part comes back, and nothing that was stored is gone.
kill -9 "$(systemctl show -P MainPID kernelsight-ingest)"
kill -9 "$(systemctl show -P MainPID kernelsight-collect)"
sleep 1
await "the parts did not come back" active
await "no rows after a kill" rows
# A part that hangs is ended by its watchdog: it is stopped here, and systemd must have started it again.
hanging=$(systemctl show -P MainPID kernelsight-collect)
kill -STOP "$hanging"
again() { [ "$(systemctl show -P MainPID kernelsight-collect)" != "$hanging" ] && active; }
await "a part that hangs was not started again" again
systemctl stop kernelsight.target 'kernelsight-*.service' kernelsight-events.socket
as_user kernelsight status --db-path /var/lib/kernelsight/kernelsight.db
kernelsight --version
dpkg --remove kernelsight
[ -f /var/lib/kernelsight/kernelsight.db ] || fail "removing took the database"
dpkg --purge kernelsight
files >/tmp/after
diff /tmp/before /tmp/after | grep -vE '^[<>] /etc/(passwd|group|shadow|gshadow|subuid|subgid)-?$|^[0-9,]+[acd][0-9,]+$|^---$' >/tmp/left || true
[ ! -s /tmp/left ] || { cat /tmp/left; fail "files are left"; }
echo PASSED
