# Needs make, and Python 3.11 to 3.13 with venv; where there is no make (Windows), README.md has the plain pip lines.
PYTHON ?= python3
VENV ?= .venv
OUT ?= report
WORKERS ?= auto
ARGS ?=

python := $(VENV)/bin/python
suite := test,torch
parallel := --numprocesses $(WORKERS) --dist loadfile
measured := flows stiffness_map scaling clock memory first_call training ensembles statistics ridge group_lasso nonconvex \
            nuclear oracle proxes

.PHONY: report test test-light lint bench clean
.DEFAULT_GOAL := report

report: $(VENV)/.installed-run  ## the theory report, into report/index.html
	$(python) -m proofs_check report --out $(OUT) $(ARGS)

test: $(VENV)/.installed-$(suite)  ## the whole suite; a skip for lack of torch or of data that are there fails
	$(python) -m pytest --full $(parallel) $(ARGS)

test-light: $(VENV)/.installed-test  ## the suite without PyTorch: names and counts what it leaves out
	$(python) -m pytest --light $(parallel) $(ARGS)

lint: $(VENV)/.installed-dev
	$(python) -m ruff check .
	$(python) -m ruff format --check .
	$(python) -m mypy
	$(VENV)/bin/lint-imports

bench: $(VENV)/.installed-$(suite),bench,bench-solvers
	for name in $(measured); do $(python) -m benchmarks.peers.$$name $(ARGS) || exit 1; done
	$(python) -m benchmarks.peers.render

clean:
	rm -rf $(VENV) build dist *.egg-info report .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache

# One stamp for each set of extras, so that a second call starts at once. A package that is in $(VENV) already and
# fits constraints.txt is kept: put PyTorch's CPU build there first to spare the GPU packages of the default one.
$(VENV)/.installed-%: setup.cfg pyproject.toml constraints.txt | $(VENV)/.created
	$(python) -m pip install --disable-pip-version-check --quiet -c constraints.txt -e '.$(if $(filter run,$*),,[$*])'
	@touch $@

$(VENV)/.created:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed, this is " \
	  + sys.version.split()[0] + ": name another one, for instance make PYTHON=python3.12")'
	@$(python) -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv $(VENV)
	@touch $@
