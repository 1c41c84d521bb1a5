# Two commands set everything up from a bare machine with Python 3.11 and pip: make demo, make test.
PYTHON ?= python3.11
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help install demo test slow lint types clean

help:
	@echo "make demo    install, then train and evaluate on the built-in collection, offline"
	@echo "make test    install, then run the tests"
	@echo "make slow    the tests that take minutes"
	@echo "make lint    ruff, as CI runs it"
	@echo "make types   mypy, as CI runs it"
	@echo "make clean   remove the environment and what the demo wrote"

install: $(READY)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25"
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[all,dev]"
	touch $(READY)

demo: $(READY)
	rm -rf runs/demo
	$(BIN)/herbzoo quickstart --output runs/demo

test: $(READY)
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

slow: $(READY)
	$(BIN)/python -m pytest -m slow

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

clean:
	rm -rf $(VENV) runs/demo
