# All commands are in dev/; `make` alone lists them.
PYTHON ?= python3
export DEV_DIR ODOO_PATH MATOMO PYTEST_ARGS SEED ORDERS ALL BENCH SMOKE
# Caches, too, belong into the one folder that git ignores.
export PYTHONPYCACHEPREFIX := $(or $(DEV_DIR),$(CURDIR)/.dev)/pycache
# They are written even where the environment forbids it: without them each start of
# Odoo compiles all of it.
export PYTHONDONTWRITEBYTECODE :=

COMMANDS := help demo test test-standard golden chaos bench test-odoo lint format
COMMANDS += pot odoo matomo stop clean
.PHONY: $(COMMANDS)
.DEFAULT_GOAL := help

$(COMMANDS):
	@$(PYTHON) dev/cli.py $@
