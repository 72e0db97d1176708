# `make test` is the whole gate, from a fresh clone; `make quick` is for between two edits.
SHELL := /bin/bash
bin := .venv/bin
SECONDS ?= 3600
SEED ?= 1
# One process more than there are CPUs: many tests wait.
WORKERS ?= $(shell nproc | awk '{print ($$1 < 8 ? $$1 : 8) + 1}')
beside = --numprocesses $(WORKERS) --dist loadfile --no-loadscope-reorder

.PHONY: help setup test check lint quick test-kernels torture docs docs-site bpf web deb try-deb lock bench clean

help:  ## list the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 16

setup:  ## set up the virtual environment with what tests need
	@scripts/setup.sh dev

test: setup  ## set up, then check everything
	@$(MAKE) --no-print-directory check

check: lint  ## check everything (after set-up)
	@echo "== the tests that may run beside each other, in $(WORKERS) processes"; beside=0; \
	$(bin)/python -m pytest -m "not alone" $(beside) || beside=$$?; \
	echo "== the tests that watch the whole machine, in two processes"; watching=0; \
	$(bin)/python -m pytest -m "alone and not solitary" --numprocesses 2 --dist loadfile --no-loadscope-reorder || watching=$$?; \
	echo "== the tests that want the machine for themselves"; alone=0; \
	$(bin)/python -m pytest -m solitary || alone=$$?; \
	echo "== beside each other: exit status $$beside; watching the machine: $$watching; alone: $$alone"; \
	exit $$((beside ? beside : watching ? watching : alone))

lint:
	$(bin)/ruff format --check .
	$(bin)/ruff check .
	$(bin)/mypy
	$(bin)/lint-imports
	$(bin)/shellcheck start_kernelsight.sh scripts/*.sh packaging/*.sh .ci/run
	$(bin)/kernelsight docs --check

quick: setup  ## the tests that take less than a few seconds each
	$(bin)/python -m pytest -m "not slow and not alone" $(beside)
	$(bin)/python -m pytest -m "alone and not slow"

test-kernels: setup  ## run every tracer on other kernels, in virtual machines
	$(bin)/python -m pytest tests/kernels

torture: setup  ## kill the daemon, starve the store and look for bytes that break them, each for SECONDS (an hour) at most, from SEED
	$(bin)/python benchmarks/kill.py --lines 600000 --longest-s 1 --reuse 3 --seconds $(SECONDS) --seed $(SEED)
	$(bin)/python tests/faults/torture.py --kills 300 --seconds $(SECONDS) --seed $(SEED)
	$(bin)/python -m pip install --quiet $$($(bin)/python -c \
	  'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["torture"])')
	$(bin)/python tests/torture/fuzz_ingest.py --seconds $(SECONDS) --seed $(SEED)
	$(bin)/python -m pytest -m "hypothesis and not alone" --hypothesis-profile thorough --timeout $(SECONDS) --maxfail 20

docs:  ## write the generated pages again
	$(bin)/kernelsight docs --write

docs-site: setup  ## build the pages as a static site, in build/site
	$(bin)/python -m pip install --quiet $$($(bin)/python -c \
	  'import tomllib; print(*tomllib.load(open("pyproject.toml", "rb"))["dependency-groups"]["docs-site"])')
	$(bin)/mkdocs build --quiet

bpf:  ## compile the eBPF programs again, for both architectures (needs clang-14)
	$(MAKE) -C bpf

web:  ## bundle what of the web pages runs in the browser again (needs npm)
	npm --prefix web ci --ignore-scripts --no-audit --no-fund
	npm --prefix web run check
	npm --prefix web run build

deb:  ## build a Debian package for this Debian and architecture, in dist/
	packaging/build_deb.sh

try-deb: deb  ## install the package on a clean Debian with systemd, in a container (root, debootstrap, systemd-container)
	packaging/try_deb.sh dist/kernelsight_*.deb

lock:  ## pin the dependencies again (needs uv)
	scripts/lock.sh

bench: setup  ## run the benchmarks
	@for program in benchmarks/*.py; do echo "== $$program"; $(bin)/python "$$program" || exit 1; done

clean:  ## remove what was built; .venv and data/ stay
	rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -not -path './.venv/*' -prune -exec rm -rf {} +
