# The two commands of the README. Each makes its own virtual environment at first use.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint docs clean

demo: .venv/demo
	$(BIN)/naqsh compare --out runs/demo
	@echo "open runs/demo/report.html"

test: .venv/test
	$(BIN)/python -m pytest -n 2 $(PYTEST)

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -W -q docs docs/_build

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet -c constraints.txt -e .
	touch $@

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[test,parity]'
	$(BIN)/python -m pip install --quiet --no-deps pytorch-fid torch-fidelity
	touch $@

clean:
	rm -rf .venv runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
