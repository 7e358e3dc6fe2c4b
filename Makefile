# Two commands do all the set-up: `make demo` shows it, `make test` proves it.
PYTHON ?= python3
BIN := .venv/bin

.PHONY: demo test lint unit control-plane test-deps demo-snapshot bench clean

demo: $(BIN)/k8sdiag
	@$(BIN)/k8sdiag audit --demo; code=$$?; [ $$code -eq 1 ] || exit $$code; \
	echo; echo "Exit code 1: there are critical findings, as there should be in the demo."

# Format, lint, types, walls, then every test: pure ones, real components, the built wheel.
# Real components that can't be provided here skip their tests, with the reason in the summary.
test: $(BIN)/.dev lint
	-$(PYTHON) tests/real/components.py
	$(BIN)/pytest

lint: $(BIN)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Only what needs no cluster, no network and no root: seconds.
unit: $(BIN)/.dev
	$(BIN)/pytest --ignore=tests/real --ignore=tests/test_wheel.py

$(BIN)/python:
	$(PYTHON) -m venv .venv

$(BIN)/k8sdiag: pyproject.toml | $(BIN)/python
	$(BIN)/python -m pip install --quiet --editable .
	@touch $@

$(BIN)/.dev: $(BIN)/k8sdiag
	$(BIN)/python -m pip install --quiet --upgrade 'pip>=25.1' # the first that knows --group
	$(BIN)/python -m pip install --quiet --group dev
	@touch $@

# Needs root and some minutes: see tests/real/record_demo.py.
demo-snapshot: $(BIN)/.dev control-plane
	$(BIN)/python -m tests.real.record_demo k8sdiag/demo.json.gz

bench: $(BIN)/.dev
	$(BIN)/python -m bench.reads
	$(BIN)/python -m bench.dns
	$(BIN)/python -m bench.pulls
	$(BIN)/python -m bench.exporter
	$(BIN)/python -m bench.etcd

clean:
	rm -rf .venv dist

# Real components for tests/real: built or unpacked into .cache, only what is missing.
control-plane:
	$(PYTHON) tests/real/components.py

# What the real components take from the system itself: the only step that needs root.
test-deps:
	@missing=; \
	command -v ip > /dev/null || missing="$$missing iproute2"; \
	command -v setpriv > /dev/null || missing="$$missing util-linux"; \
	ldconfig -p | grep -q 'libseccomp\.so\.2' || missing="$$missing libseccomp2"; \
	command -v strace > /dev/null || missing="$$missing strace"; \
	ldconfig -p | grep -q 'libdevmapper\.so\.1\.02' || missing="$$missing libdevmapper1.02.1"; \
	command -v gcc > /dev/null || missing="$$missing gcc libc6-dev"; \
	command -v go > /dev/null || echo "Go is missing, see https://go.dev/dl: etcd, CoreDNS and Kubernetes are built with it"; \
	if [ -z "$$missing" ]; then echo "no package is missing"; \
	elif ! command -v apt-get > /dev/null; then echo "install, by their Debian names:$$missing"; exit 1; \
	elif [ "$$(id -u)" != 0 ]; then echo "as root: apt-get install$$missing"; exit 1; \
	else set -x; apt-get update && apt-get install --yes $$missing; fi
