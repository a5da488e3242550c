# What there is: make help. How it is done: scripts/.
# compiled once, not at every start of every process
unexport PYTHONDONTWRITEBYTECODE
.PHONY: help up lab lab-down check test bench lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /make \1\t/p' Makefile | expand -t 16

up: ## install what is missing and start Drover (Ctrl-C ends it)
	@DROVER_MAKE=$$PPID exec setpriv --pdeathsig TERM scripts/up

lab: ## build a cluster of real libvirt hosts on this machine and add it to the running Drover
	@scripts/lab.sh up

lab-down: ## remove it without a trace
	@scripts/lab.sh down

check: ## format, lint, types, import directions, migrations, fast tests (under 90 s)
	@scripts/check.sh

test: ## everything: also PostgreSQL, the lab and the browser (under 30 min)
	@setpriv --pdeathsig TERM scripts/test.sh

bench: ## measure and print the table of docs/speed.md
	@scripts/venv.sh dev && .venv/bin/python -m bench

lock: ## write the lock files anew
	@scripts/lock.sh

clean: ## remove what was installed below this folder; your data in var/ stays
	rm -rf .venv .node node_modules .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis var/static
