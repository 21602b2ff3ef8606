# p2pnode: `make demo` plays a campaign, `make test` runs every test.
.DEFAULT_GOAL := help
.PHONY: help demo test lint bench js peers clean probe

PYTHON ?= python3
PIP := -m pip install --quiet --disable-pip-version-check -c constraints.txt
BIN := .venv/bin
LINT := .venv-lint/bin
READY := .venv/.ready
LINT_READY := .venv-lint/.ready

help: ## say what can be made
	@sed -n 's/^\([a-z]*\):.*## /\1\t/p' Makefile | expand -t 8

demo: $(READY) ## start a neighbourhood of nodes and play Ten Red Balloons
	$(BIN)/p2pnode demo

test: $(READY) ## run every test, print coverage by branch
	@$(BIN)/python -m compileall -q cli p2pnode protocols # once, not in each process
	$(BIN)/python -m pytest -n 3 --dist worksteal --cov --cov-branch --cov-report=
	@$(BIN)/coverage report --skip-covered -m | tail -n 40

lint: $(LINT_READY) ## check style, types and layers
	$(LINT)/ruff check
	$(LINT)/ruff format --check
	$(LINT)/mypy
	$(LINT)/lint-imports

bench: $(READY) ## measure, print a table
	$(BIN)/python -m tests.bench

peers: ## fetch what `make bench` measures beside ours (Node 20 for most of it)
	@mkdir -p .peers
	$(PYTHON) -m venv .peers/venv
	.peers/venv/bin/python -m pip install --quiet --disable-pip-version-check \
	  -r tests/bench/peer_programs/requirements.txt
	cp tests/bench/peer_programs/package.json .peers/
	cd .peers && npm install --no-audit --no-fund --no-package-lock --loglevel=error

js: $(READY) ## install js-libp2p with npm and let it talk to our nodes
	cd tests/js-libp2p && npm install --no-package-lock --no-audit --no-fund --ignore-scripts
	$(BIN)/python -m pytest tests/integration/test_js_libp2p.py

clean: ## remove what make made
	rm -rf .venv .venv-lint .peers .coverage .hypothesis .mypy_cache .ruff_cache .pytest_cache \
	  .import_linter_cache build dist tests/js-libp2p/node_modules
	find . -name __pycache__ -prune -exec rm -rf {} +

$(READY): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory probe
	$(PYTHON) -m venv .venv
	$(BIN)/python $(PIP) -e '.[test]'
	@touch $@

# Lint has an environment of its own, without libp2p: libp2p brings trio-stubs, which
# hide trio's own types from mypy.
$(LINT_READY): pyproject.toml constraints.txt
	@$(MAKE) --no-print-directory probe
	$(PYTHON) -m venv .venv-lint
	$(LINT)/python -c 'import tomllib; \
	  project = tomllib.load(open("pyproject.toml", "rb"))["project"]; \
	  wanted = project["dependencies"] + sum(project["optional-dependencies"].values(), []); \
	  print(*(line for line in wanted if "libp2p" not in line), sep="\n")' \
	  > .venv-lint/wanted.txt
	$(LINT)/python $(PIP) -r .venv-lint/wanted.txt
	@touch $@

# libp2p needs fastecdsa, which is compiled when it is installed.
probe:
	@$(PYTHON) -c 'import sys; sys.exit(not (3, 11) <= sys.version_info < (3, 14))' \
	  2>/dev/null || { echo "p2pnode needs Python 3.11, 3.12 or 3.13, '$(PYTHON) --version' says" \
	  "'$$($(PYTHON) --version 2>&1 | head -n 1)': choose another with" \
	  "'make PYTHON=python3.12 ...', or on Debian run" \
	  "'sudo apt install python3 python3-venv python3-dev'." >&2; exit 1; }
	@missing=; include=$$($(PYTHON) -c \
	  'import sysconfig; print(sysconfig.get_path("include"))'); \
	$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || missing="$$missing python3-venv"; \
	command -v gcc >/dev/null || missing="$$missing gcc"; \
	[ -f "$$include/Python.h" ] || missing="$$missing python3-dev"; \
	echo '#include <gmp.h>' | gcc -E - >/dev/null 2>&1 || missing="$$missing libgmp-dev"; \
	[ -z "$$missing" ] || { echo "p2pnode cannot be set up, because this is missing:" \
	  "$$missing; on Debian run 'sudo apt install$$missing'." | tr -s ' ' >&2; exit 1; }
