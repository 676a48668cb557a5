# make sample         the embedded recipe, from nothing to a word error rate
# make test           the tests
# make lint           ruff
# make benchmark      the notebook beside this pipeline, on one corpus: docs/benchmarks.md
# make test-browser   the report in a headless Chromium, installed first
PYTHON ?= python3
PIP_INSTALL = .venv/bin/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt

.PHONY: sample test test-browser lint benchmark

sample: .venv/installed
	cd sample && PATH="$(CURDIR)/.venv/bin:$$PATH" dvc repro
	@.venv/bin/python -m asr.summary sample

test: .venv/installed
	PATH="$(CURDIR)/.venv/bin:$$PATH" python -m pytest

benchmark: .venv/installed
	.venv/bin/python -m benchmarks.run $(ARGS)

test-browser: .venv/installed
	$(PIP_INSTALL) --editable ".[browser]"
	.venv/bin/python -m pytest -m browser

lint: .venv/installed
	.venv/bin/ruff check .

.venv/installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Python 3.11 or newer is needed; make PYTHON=python3.12 …")'
	$(PYTHON) -m venv .venv
	$(PIP_INSTALL) --editable ".[dev]"
	touch $@
