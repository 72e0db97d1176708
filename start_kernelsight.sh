#!/usr/bin/env bash
# Set up what is missing, then run the whole system until Ctrl-C. Options: ./start_kernelsight.sh --help
set -euo pipefail
root=$(cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")" && pwd)

"$root/scripts/setup.sh" run
# Wherever it is called from, the database is the checkout's own, unless another one is named.
export KERNELSIGHT_DB_PATH=${KERNELSIGHT_DB_PATH:-$root/data/kernelsight.db}
exec "$root/.venv/bin/kernelsight" start "$@"
