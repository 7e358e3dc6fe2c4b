.PHONY: control-plane test-deps

# Real components for tests/real: built or unpacked into .cache, only what is missing.
control-plane:
	python3 tests/real/components.py

# What the real components take from the system itself: the only step that needs root.
test-deps:
	@missing=; \
	command -v ip > /dev/null || missing="$$missing iproute2"; \
	command -v setpriv > /dev/null || missing="$$missing util-linux"; \
	ldconfig -p | grep -q 'libseccomp\.so\.2' || missing="$$missing libseccomp2"; \
	command -v go > /dev/null || echo "Go is missing, see https://go.dev/dl: etcd, CoreDNS and Kubernetes are built with it"; \
	if [ -z "$$missing" ]; then echo "no package is missing"; \
	elif ! command -v apt-get > /dev/null; then echo "install, by their Debian names:$$missing"; exit 1; \
	elif [ "$$(id -u)" != 0 ]; then echo "as root: apt-get install$$missing"; exit 1; \
	else set -x; apt-get update && apt-get install --yes $$missing; fi
