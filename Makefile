# make crawl   builds .venv, crawls the demo shop and shows what came out
# make test    every test but the slow ones
# make help    the rest
#
# Needs make and Python 3.11 or newer with venv and pip; PYTHON=/path/to/python chooses one.

.DEFAULT_GOAL := help
.PHONY: help crawl test slow check fmt fuzz bench ci clean

BIN := .venv/bin
ITEMS := .crawler/books.jsonl
FUZZ_SECONDS ?= 60

help:
	@echo 'make crawl   build .venv, crawl the demo shop, show the first items'
	@echo 'make test    every test but the slow ones'
	@echo 'make slow    the slow tests (real sites, kills; some need packages of the system)'
	@echo 'make check   format, lint, strict types'
	@echo 'make fmt     put the format right, and what lint can mend'
	@echo 'make fuzz    look for inputs that break fetch or parse, FUZZ_SECONDS=60 for each of two targets (Linux)'
	@echo 'make bench   this framework beside Scrapy, Crawlee, wget2 and bare aiohttp on one site (Linux; needs nginx)'
	@echo 'make ci      the whole gate: .ci/run'
	@echo 'make clean   remove .venv, caches and the items of make crawl; jobs stay'

crawl: .venv/run.stamp
	@mkdir -p $(dir $(ITEMS))
	$(BIN)/crawler crawl books -O $(ITEMS)
	@echo && echo "$$(wc -l < $(ITEMS)) books in $(ITEMS); the first three:" && head -n 3 $(ITEMS)

test: .venv/dev.stamp
	$(BIN)/python -m pytest -m 'not slow' -n auto --maxprocesses 4 --dist loadfile

# What blames a line for a stall is tested alone: beside other tests the machine itself is often to blame.
slow: .venv/dev.stamp
	$(BIN)/python -m pytest -m slow tests/diagnostics tests/end_to_end/test_stalls.py
	$(BIN)/python -m pytest -m slow --ignore tests/diagnostics --ignore tests/end_to_end/test_stalls.py -n auto --maxprocesses 4 --dist loadfile

check: .venv/dev.stamp
	$(BIN)/ruff format --check
	$(BIN)/ruff check
	$(BIN)/mypy

fmt: .venv/dev.stamp
	$(BIN)/ruff format
	$(BIN)/ruff check --fix

# A crash is written to .fuzz/crash-*; give it to the target as its argument to see it again.
fuzz: .venv/dev.stamp
	$(BIN)/python -m pip install --quiet --group fuzz
	$(BIN)/python tests/fuzz/seeds.py .fuzz
	$(BIN)/python tests/fuzz/fuzz_parts.py .fuzz/parts -artifact_prefix=.fuzz/ -max_total_time=$(FUZZ_SECONDS) -timeout=10
	$(BIN)/python tests/fuzz/fuzz_web.py .fuzz/web -artifact_prefix=.fuzz/ -max_total_time=$(FUZZ_SECONDS) -timeout=10

# The others are installed into environments of their own; wget2 is measured if the system has it.
bench: .venv/dev.stamp .bench/scrapy/stamp .bench/crawlee/stamp
	$(BIN)/python bench/versus.py

.bench/scrapy/stamp .bench/crawlee/stamp: .bench/%/stamp: .venv/run.stamp
	$(BIN)/python -m venv .bench/$*
	.bench/$*/bin/python -m pip install --quiet --upgrade $(if $(filter crawlee,$*),'crawlee[parsel]',$*)
	@touch $@

ci:
	.ci/run

clean:
	rm -rf .venv .bench .fuzz .mypy_cache .pytest_cache .ruff_cache .hypothesis $(ITEMS)

# The stamps say that .venv holds what pyproject.toml asks for: to run, and to develop. pip older than 25.1 does not
# know --group.
.venv/dev.stamp: .venv/run.stamp
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

.venv/run.stamp: pyproject.toml
	@python="$(PYTHON)"; \
	for candidate in python3.13 python3.14 python3.12 python3.11 python3 python; do \
	  [ -z "$$python" ] || break; \
	  $$candidate -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && python=$$candidate; \
	done; \
	if [ -z "$$python" ]; then \
	  echo 'No Python 3.11 or newer with venv was found. Install one (Debian: apt install python3-venv),' >&2; \
	  echo 'or name it: make PYTHON=/path/to/python' >&2; exit 1; \
	fi; \
	echo "building .venv with $$python"; "$$python" -m venv .venv
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1'
	$(BIN)/python -m pip install --quiet --editable .
	$(BIN)/python -m compileall -q crawler
	@touch $@
