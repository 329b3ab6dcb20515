# The two commands of the README. Each makes its own virtual environment at first use; what is never
# imported of it need not be compiled, which takes half of the time.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test portable lint docs clean

demo: .venv/demo
	$(BIN)/naqsh compare --out runs/demo
	@echo "open runs/demo/report.html"

test: .venv/test
	$(BIN)/python -m pytest -n 2 --dist loadfile $(PYTEST)

# Files of tests that compute, run once more with the instructions of a plainer processor and two
# threads: equal to the bit are only runs of the same shapes on the same machine.
PLAIN := ONEDNN_MAX_CPU_ISA=AVX2 ATEN_CPU_CAPABILITY=default OMP_NUM_THREADS=2
NUMERICAL := $(addprefix tests/test_,$(addsuffix .py,vae maf dequantise normalise noise process \
	schedule denoiser rows whole_batch))

portable: .venv/test
	$(PLAIN) $(BIN)/python -m pytest $(NUMERICAL) $(PYTEST)

lint: .venv/test
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

docs: .venv/demo
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[docs]'
	$(BIN)/python -m sphinx -W -q docs docs/_build
	$(BIN)/python -m sphinx -W -q docs/fa docs/_build/fa

.venv/demo: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e .
	touch $@

.venv/test: .venv/demo
	$(BIN)/python -m pip install --quiet --no-compile -c constraints.txt -e '.[test,parity]'
	$(BIN)/python -m pip install --quiet --no-compile --no-deps pytorch-fid torch-fidelity
	touch $@

clean:
	rm -rf .venv runs build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
