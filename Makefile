# make run and make test set up all they need in .venv; see README.md.

.DEFAULT_GOAL := run
SHELL := /bin/sh
VENV := .venv
PYTHON := $(VENV)/bin/python
PIP_INSTALL := $(PYTHON) -m pip install --quiet --disable-pip-version-check --require-hashes

.PHONY: run test test-slow test-wheel torture torture-machine check bench bench-builds words pictures \
  requirements clean

run: $(VENV)/installed-run
	@$(VENV)/bin/kvmwizard $(ARGS)

# Many tests wait for other programs: twice as many as there are processors keep these busy.
test: $(VENV)/installed-test
	$(PYTHON) -m pytest -n $$(($$(nproc) * 2)) -m "not slow" $(ARGS)

# What is done in `make test` a few times is done here as often as it takes: about two hours.
torture: $(VENV)/installed-test
	$(PYTHON) -m pytest -n 2 --full $(ARGS) tests/torture

# A whole machine, restarted into kernels that are built for it, and one whose power is cut: half an hour.
torture-machine: $(VENV)/installed-test
	$(PYTHON) -m pytest -n 2 -m long $(ARGS)

test-slow: $(VENV)/installed-test
	$(PYTHON) -m pytest -n 2 -m "slow and not long" $(ARGS)

# What users install is the wheel: the tests run against it, away from the checkout.
test-wheel: $(VENV)/installed-test
	rm -rf dist
	$(PYTHON) -m build --wheel --no-isolation --outdir dist . >/dev/null
	@away=$$(mktemp -d) && trap 'rm -rf "$$away"' EXIT && \
	  $(PYTHON) -m venv "$$away/venv" && \
	  "$$away/venv/bin/pip" install --quiet --require-hashes --requirement requirements-dev.txt && \
	  "$$away/venv/bin/pip" install --quiet --no-deps --no-index dist/*.whl && \
	  cp -r tests pyproject.toml README.md CHANGELOG.md "$$away" && \
	  cd "$$away" && "$$away/venv/bin/kvmwizard" --version && \
	  "$$away/venv/bin/python" -m pytest -n auto -m "not slow and not root" $(ARGS)

check: $(VENV)/installed-test
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(PYTHON) -m mypy
	$(VENV)/bin/lint-imports

bench: $(VENV)/installed-test
	$(PYTHON) -m tests.bench $(ARGS)

# Kernels and QEMUs, built several times over: a quarter of an hour and more.
bench-builds: $(VENV)/installed-test
	$(PYTHON) -m tests.bench --builds $(ARGS)

# The template that translators start from.
words: $(VENV)/installed-test
	$(PYTHON) -m tests.words

# The README's pictures, of the pages as they are.
pictures: $(VENV)/installed-test
	$(PYTHON) -m tests.pictures

# uv writes one list for every platform and Python; the hashes hold whatever index serves the files.
requirements:
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make requirements" \
	  pyproject.toml --output-file requirements.txt
	uv pip compile --quiet --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --custom-compile-command "make requirements" \
	  pyproject.toml --group dev --output-file requirements-dev.txt

$(VENV)/installed-run: requirements.txt | $(VENV)/bin/kvmwizard
	@$(PIP_INSTALL) --requirement requirements.txt
	@touch $@

$(VENV)/installed-test: requirements-dev.txt | $(VENV)/bin/kvmwizard
	@$(PIP_INSTALL) --requirement requirements-dev.txt
	@touch $@ $(VENV)/installed-run

# The checkout itself is what runs: nothing is built or copied. The first line, which takes neither
# spaces nor long paths, names a shell; Python then takes the second and third for a text.
$(VENV)/bin/kvmwizard: | $(VENV)/bin/pip
	@printf '%s\n' '#!/bin/sh' "'''exec' \"\$${0%/*}/python\" \"\$$0\" \"\$$@\"" "' '''" 'import sys' \
	  'sys.path.insert(0, "$(CURDIR)")' 'from kvmwizard.cli import main' 'sys.exit(main())' >$@
	@chmod 0755 $@

# Debian and Ubuntu ship venv without ensurepip until python3-venv is installed; root installs
# it, anyone else borrows the system's own pip.
$(VENV)/bin/pip:
	@if ! { mkdir -p $(VENV) && [ -w $(VENV) ]; } 2>/dev/null; then \
	  echo "$(VENV) in $(CURDIR) cannot be made or written to, and is to hold what kvmwizard needs." >&2; \
	  echo "Name a folder of yours instead: make $(MAKECMDGOALS) VENV=\$$HOME/.cache/kvmwizard-venv" >&2; \
	  exit 2; \
	fi; \
	for candidate in python3 python3.14 python3.13 python3.12 python3.11 /usr/bin/python3; do \
	  if "$$candidate" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    python=$$candidate; break; \
	  fi; \
	done; \
	if [ -z "$${python:-}" ]; then \
	  echo "kvmwizard needs Python 3.11 or newer, and none was found. Install python3, then try again." >&2; \
	  exit 2; \
	fi; \
	if "$$python" -m venv $(VENV) >/dev/null 2>&1; then exit 0; fi; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
	  echo "Installing python3-venv, which $$python needs to make $(VENV)." >&2; \
	  { apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y python3-venv; } >/dev/null && \
	    "$$python" -m venv --clear $(VENV) && exit 0; \
	fi; \
	"$$python" -m venv --clear --without-pip $(VENV) && \
	  "$$python" -m pip --python $(PYTHON) install --quiet pip && exit 0; \
	rm -rf $(VENV); \
	echo "This Python cannot make a virtual environment: ensurepip and pip are missing." >&2; \
	echo "Install them (Debian, Ubuntu: sudo apt-get install python3-venv; Fedora: sudo dnf install python3-pip), then try again." >&2; \
	exit 2

clean:
	rm -rf $(VENV) dist .mypy_cache .ruff_cache .pytest_cache
