# Everything is in scripts/; `make help` lists what there is.
.PHONY: help up lab lab-down check test bench lock clean

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## /  make \1\t/p' Makefile

up: ## install what is missing and start Drover (Ctrl-C ends it)
	@setpriv --pdeathsig TERM scripts/up
