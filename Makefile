# make sample         the embedded recipe, from nothing to a word error rate
# make test           the tests; MARKED="…" chooses others, as pytest's -m does
# make test-all       and more kills, faults and benchmarks: half an hour
# make test-sample    `make sample` in a new folder, and what it wrote
# make demo           try the model in a browser; the sample's: make demo RECIPE=sample
# make lint           ruff
# make benchmark      the notebook beside this pipeline, on one corpus: docs/benchmarks.md
# make faults         provoke a fault of the machine in every stage, and kill them
# make audit          look every pinned version up in PyPI's list of vulnerabilities
# make licences       write the table of docs/licences.md anew
# make test-browser   the report and the demo in a headless Chromium, installed first
# make test-export    exports for other runtimes: docs/exports.md
# make test-remote    a DVC remote on S3, played by a local server
PYTHON ?= python3
RECIPE ?= .
# Of pyproject.toml, to install.
EXTRAS ?= dev
PYTEST = PATH="$(CURDIR)/.venv/bin:$$PATH" python -m pytest
AT_A_TIME = --numprocesses logical --maxprocesses 4 --dist loadfile --no-loadscope-reorder --durations 15
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: sample test test-all test-sample demo test-browser test-export test-remote lint benchmark faults \
  audit licences

sample: .venv/installed
	cd sample && PATH="$(CURDIR)/.venv/bin:$$PATH" dvc repro
	@.venv/bin/asr card --recipe sample

test: .venv/installed
	$(PYTEST) $(AT_A_TIME) $(if $(MARKED),-m "$(MARKED)")

test-all:
	$(MAKE) test MARKED="not (sample or browser or export or remote or real)"

test-sample: .venv/installed
	$(PYTEST) -m sample

demo: .venv/installed
	.venv/bin/asr demo --recipe $(RECIPE) $(ARGS)

benchmark: .venv/installed
	.venv/bin/python -m benchmarks.run $(ARGS)

test-browser: .venv/installed
	$(PIP_INSTALL) --editable ".[browser]"
	$(PYTEST) -m browser

test-export: .venv/installed
	$(PIP_INSTALL) --editable ".[export]"
	$(PYTEST) -m export

test-remote: .venv/installed
	$(PIP_INSTALL) --editable ".[remote]"
	$(PYTEST) -m remote

faults: .venv/installed
	PATH="$(CURDIR)/.venv/bin:$$PATH" python -m tests.faults
	PATH="$(CURDIR)/.venv/bin:$$PATH" python -m tests.kills

# Without --strict it takes "could not be looked up" for "nothing found".
audit: .venv/installed
	$(PIP_INSTALL) --editable ".[audit]"
	.venv/bin/pip-audit --strict --disable-pip --no-deps --requirement constraints.txt

licences: .venv/installed
	$(PIP_INSTALL) --editable ".[audit,browser,dev,export,remote]"
	.venv/bin/python -m tests.licences

lint: .venv/installed
	.venv/bin/ruff check .

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11, 4) or sys.exit("Python 3.11.4 or newer is needed; make PYTHON=python3.12 …")'
	$(PYTHON) -m venv --upgrade-deps .venv  # the pip of Python 3.11 takes twice as long
	$(PIP_INSTALL) --no-compile --editable ".[$(EXTRAS)]"  # Python compiles what is imported, a small part
	touch $@
