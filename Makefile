# Everything a newcomer runs. Needs make and a Python of 3.11 or newer; Node comes with the Python packages.

BIN := .venv/bin
PY := $(BIN)/python
PYTHONS := $(or $(PYTHON),python3 python3.14 python3.13 python3.12 python3.11 python)
JS := $(shell find js -name node_modules -prune -o -type f -print 2>/dev/null)
SUITES := lint types unit faults kernel cluster nbval vitest browser test-openclaw
WAITING := tests/faults tests/security
SERVERS := $(addprefix tests/,cluster deploy distributed doctor metrics sharing)

# What a user may have chosen for all notebooks, and ours must not show.
CHOICES := ANTHROPIC_API_KEY GEMINI_API_KEY OPENAI_API_KEY OPENCLAW_GATEWAY_URL OPENCLAW_MODEL

# The kernel of this environment, before any other of the same name that the user has.
export JUPYTER_PREFER_ENV_PATH := 1
unexport JUPYTER_PATH

.PHONY: help lab demo test $(SUITES) bench soak late fuzz levels clean

help: ## what there is to run
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

lab: .venv/lab ## JupyterLab with the quickstart open
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) notebooks/quickstart.ipynb

demo: .venv/lab ## the quickstart here in the terminal, in under three minutes
	@$(PY) notebooks/demo.py

test: .venv/test ## every suite down to browser, and a recap; CI adds one more with BESIDE
	@MAKE="$(MAKE)" $(PY) tests/tools/suites.py unit browser kernel faults $(BESIDE) cluster nbval types lint vitest

lint: .venv/test ## style: ruff, tsc
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	PATH="$(abspath $(BIN)):$$PATH" npm --prefix js run lint

types: .venv/test ## types: mypy --strict
	$(BIN)/mypy

unit: .venv/test ## pytest, without what has a suite of its own below
	$(BIN)/pytest tests $(foreach folder,tests/kernel tests/browser tests/conformance $(WAITING) $(SERVERS),--ignore=$(folder))

faults: .venv/test ## faults and attacks
	$(BIN)/pytest $(WAITING)

kernel: .venv/test ## in real kernels, of three ipykernel versions
	$(BIN)/pytest tests/kernel

cluster: .venv/test ## what a cluster is made of, with the real Redis, haproxy, nginx, Prometheus and Dask
	$(BIN)/pytest $(SERVERS)

nbval: .venv/test ## the notebooks give what they have saved
	env $(foreach name,$(CHOICES),-u $(name)) OPENCLAW_NB_RENDER=static OPENCLAW_NB_SNAPSHOTS=$(abspath build/snapshots) $(BIN)/pytest --nbval --nbval-current-env --nbval-sanitize-with tests/nbval.cfg notebooks

vitest: .venv/test ## the front end's own tests
	PATH="$(abspath $(BIN)):$$PATH" npm --prefix js test

browser: .venv/test ## in JupyterLab and Notebook 7, in Chromium
	$(BIN)/pytest tests/browser

test-openclaw: .venv/test ## against the real OpenClaw, which the first time is installed: 2.3 GB outside this folder
	$(PY) -m tests.conformance.install || test -z "$$CI"
	$(BIN)/pytest tests/conformance

bench: .venv/bench ## measurements, printed and kept under build/
	$(PY) -m tests.bench

soak: .venv/test ## random faults: make soak MINUTES=n [FAULTS=n] [SEED=n]
	$(PY) -m tests.faults.soak $(if $(MINUTES),--minutes $(MINUTES)) $(if $(FAULTS),--faults $(FAULTS)) $(if $(SEED),--seed $(SEED))

late: .venv/test ## sockets are looked at late, as on a busy machine: make late [TESTS=folders] [LATE=chance,seconds]
	PYTHONPATH=$(abspath tests/tools/late) $(if $(LATE),LATE=$(LATE)) $(BIN)/pytest $(or $(TESTS),tests/answers tests/client tests/gateway tests/faults)

fuzz: .venv/test ## any bytes into all that reads frames: make fuzz [SECONDS=n]
	$(PY) -m tests.tools.fuzz $(or $(SECONDS),60)

levels: .venv/test ## how well levels are predicted: make levels [DATA=labelled tasks] [CORRECTIONS=file]
	$(PY) -m tests.tools.levels table $(if $(DATA),--data $(DATA)) $(if $(CORRECTIONS),--corrections $(CORRECTIONS))

clean: ## remove all that make has made
	rm -rf .venv build dist openclaw_nb/static js/node_modules .mypy_cache .pytest_cache .ruff_cache .hypothesis

# -- the environment: one folder, and an empty file in it for each set of packages that is installed ---------------

.venv/made:
	@for python in $(PYTHONS); do \
	  if "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "making .venv with $$("$$python" --version)"; \
	    "$$python" -m venv .venv && touch $@; exit; \
	  fi; \
	done; \
	echo "openclaw_nb needs Python 3.11 or newer, and '$(PYTHONS)' is not; say where one is: make PYTHON=/path/to/python" >&2; \
	exit 1

.venv/lab .venv/test .venv/bench: .venv/%: .venv/made pyproject.toml $(JS)
	@echo "installing into .venv; the first time takes a minute or two"
	@$(PY) -m pip install --quiet --disable-pip-version-check --no-compile -e '.[$*]'
	@touch $@
