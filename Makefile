# make demo    set up, then the main job on the embedded backbone
# make test    set up, then all tests that need neither a GPU nor the internet
# make setup   a virtual environment in .venv
# make clean   remove what setup and tests made

VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed

export OMP_WAIT_POLICY := PASSIVE
export TOKENIZERS_PARALLELISM := false
export HF_HUB_OFFLINE := 1

.PHONY: demo test setup clean

# The embedded backbone's layers are too small to share: a second thread makes the demo slower.
demo: export OMP_NUM_THREADS := 1
demo: $(STAMP)
	$(BIN)/clinprompt demo

# Two processes of one thread each: a file's tests stay together, so that what they share is made once.
test: export OMP_NUM_THREADS := 1
test: $(STAMP)
	$(BIN)/python -m pytest -n 2 --dist loadfile

setup: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@for python in python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if $$python -c 'import sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "setting up $(VENV) with $$python"; test -x $(BIN)/python || $$python -m venv $(VENV); exit; \
	  fi; \
	done; echo "clinprompt needs Python 3.11 or newer on the PATH, and found none." >&2; exit 1
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(STAMP)

clean:
	rm -rf $(VENV) build dist .pytest_cache .hypothesis .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
