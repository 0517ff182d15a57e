# Every target creates what it needs. PYTHON: a Python 3.10-3.13. TORCH_INDEX: a package index to take torch and torchvision
# from (the CPU-only index that pytorch.org names, say); empty takes what the platform's default index offers.
PYTHON ?= python3
TORCH_INDEX ?=
VENV ?= .venv
# MONAI Label has an environment of its own, for a Python 3.10 or 3.11
LABEL_PYTHON ?= python3.11
LABEL_VENV ?= .venv-label
LABEL_PIP := $(LABEL_VENV)/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints/monailabel.txt
BIN := $(VENV)/bin
# one process for each core, at most four, with one thread each: many small tests gain nothing from more threads
TESTS := OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n auto --maxprocesses 4 --dist loadfile
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: demo test test-slow test-wheel test-browser test-notebooks test-federated docs test-label label-env lint format typecheck benchmark clean
.DEFAULT_GOAL := help

help:
	@echo "make demo       install, then generate data, train U-Net++, evaluate, segment and draw (after installation under 3 minutes on 2 cores)"
	@echo "make test       install with the test tools, then lint, type-check and run the tests"
	@echo "make test-slow  the tests that take longer (two-process training, every network end to end)"
	@echo "make test-wheel  build the wheel, install it into a fresh environment and use it in an empty folder"
	@echo "make label-env  create an environment with MONAI Label in .venv-label (docs/monailabel.md)"
	@echo "make test-label start a MONAI Label server and drive it as clients do"
	@echo "make test-browser  open reports and the page of medseg app in Chromium (the one of the machine: apt-get install chromium)"
	@echo "make test-notebooks  execute the notebooks in a kernel"
	@echo "make test-federated  train at several sites under NVFlare's simulator"
	@echo "make docs       build the documentation site in site/"
	@echo "make benchmark  measure the timings in docs/benchmarks.md"

$(BIN)/python:
	@$(PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v >= (3, 10) else f"Python 3.10 or newer is needed, this is {v[0]}.{v[1]}: make PYTHON=python3.12")'
	$(PYTHON) -m venv $(VENV)

# a step of its own, so that an index that failed is asked again
$(VENV)/.torch: | $(BIN)/python
	$(if $(TORCH_INDEX),$(PIP) --index-url $(TORCH_INDEX) torch torchvision)
	@touch $@

$(VENV)/.installed: pyproject.toml | $(VENV)/.torch
	@echo "Installing medseg-monai and its dependencies into $(VENV) (the README says what is downloaded)"
	$(PIP) -e .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(VENV)/.torch
	@echo "Installing medseg-monai with its test tools into $(VENV)"
	$(PIP) -e '.[dev]'
	@touch $@ $(VENV)/.installed

$(VENV)/.installed-benchmark: $(VENV)/.installed-dev
	$(PIP) -e '.[benchmark]'
	@touch $@

demo: $(VENV)/.installed
	$(BIN)/python scripts/demo.py

test: lint typecheck
	$(TESTS) -m "not slow and not gpu and not label and not browser and not notebook and not federated"

test-slow: $(VENV)/.installed-dev
	$(BIN)/python -m pytest -m "slow and not gpu and not label and not browser and not notebook and not federated"

# an environment of its own for each try: what the wheel does not ask for is not there
test-wheel:
	@WHEEL=$$(mktemp -d) && trap 'rm -rf "$$WHEEL"' EXIT && set -e && mkdir "$$WHEEL/empty" "$$WHEEL/other" && \
	$(PYTHON) -m venv "$$WHEEL/venv" && PIP="$$WHEEL/venv/bin/python -m pip install --quiet --disable-pip-version-check" && \
	$(if $(TORCH_INDEX),$$PIP --index-url $(TORCH_INDEX) torch &&) $$PIP build && \
	"$$WHEEL/venv/bin/python" -m build --outdir "$$WHEEL/dist" . && $$PIP "$$WHEEL"/dist/*.whl && \
	cd "$$WHEEL/empty" && "$$WHEEL/venv/bin/medseg" --version && PYTHONPATH= "$$WHEEL/venv/bin/python" "$(CURDIR)/tests/installed_journey.py" && \
	cd "$$WHEEL/other" && PYTHONPATH= "$$WHEEL/venv/bin/python" "$(CURDIR)/tests/installed_further.py"

label-env: $(LABEL_VENV)/.installed

# MONAI Label without its own requirements: sam2 among them needs another torch
$(LABEL_VENV)/.installed: pyproject.toml constraints/monailabel.txt constraints/monailabel-requirements.txt
	@$(LABEL_PYTHON) -c 'import sys; v = sys.version_info[:2]; sys.exit(0 if v in ((3, 10), (3, 11)) else f"MONAI Label needs Python 3.10 or 3.11, this is {v[0]}.{v[1]}: make label-env LABEL_PYTHON=python3.11")'
	$(LABEL_PYTHON) -m venv $(LABEL_VENV)
	$(if $(TORCH_INDEX),$(LABEL_PIP) --index-url $(TORCH_INDEX) torch torchvision)
	$(LABEL_PIP) --requirement constraints/monailabel-requirements.txt
	$(LABEL_PIP) --no-deps monailabel==0.8.5
	$(LABEL_PIP) -e . pytest hypothesis
	@touch $@

test-label: $(LABEL_VENV)/.installed
	$(LABEL_VENV)/bin/python -m pytest -m label tests/journeys/test_label_server.py tests/journeys/test_label_trust.py tests/journeys/test_hostile_requests.py

test-browser: $(VENV)/.installed-dev
	$(PIP) -e '.[browser]'
	$(BIN)/python -m pytest -m browser

test-notebooks: $(VENV)/.installed-dev
	$(PIP) -e '.[notebooks]'
	$(BIN)/python -m pytest -m notebook

test-federated: $(VENV)/.installed-dev
	$(PIP) -e '.[federated]'
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m federated

# a site that needs nothing from elsewhere; an unknown link is an error
docs: $(VENV)/.installed-dev
	$(PIP) -e '.[docs]'
	$(BIN)/python scripts/build_docs.py

lint: $(VENV)/.installed-dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

typecheck: $(VENV)/.installed-dev
	$(BIN)/mypy

format: $(VENV)/.installed-dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

benchmark: $(VENV)/.installed-benchmark
	$(BIN)/python benchmarks/datapath.py
	$(BIN)/python benchmarks/networks.py
	$(BIN)/python benchmarks/predict.py

clean:
	rm -rf $(VENV) demo .mypy_cache .ruff_cache .pytest_cache .hypothesis
