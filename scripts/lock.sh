#!/usr/bin/env bash
# Pin the dependencies of pyproject.toml, with hashes, for every supported Python and platform.
# Needs uv. Extras stay, as pip wants whatever it installs by hash named as it is asked for. The files hold no address of a registry: pip takes whichever is configured.
set -euo pipefail
cd "$(dirname "$(readlink -f "${BASH_SOURCE[0]}")")/.."

options=(--universal --generate-hashes --no-header --no-annotate --no-emit-index-url --no-strip-extras --quiet "$@")

uv pip compile "${options[@]}" pyproject.toml --extra dev -o requirements-dev.lock
# Constrained by the above, so that what is run is what is tested. Of the extras, all that need no account elsewhere.
uv pip compile "${options[@]}" -c requirements-dev.lock pyproject.toml \
  --extra exports --extra mcp --extra terminal --extra web -o requirements.lock
# The build backend and what it needs for an editable install are pinned too, so that a set-up
# tomorrow runs the same code as a set-up today.
uv pip compile "${options[@]}" -c requirements-dev.lock --group build -o requirements-build.lock
