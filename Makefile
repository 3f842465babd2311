# Gridlatch: the commands a person types. `make` alone lists them.
SHELL := /bin/bash
CARGO ?= cargo
# Where `make up` keeps its state; empty is the program's own default, which `gridlatch ev charge` looks at too.
DATA ?=
STATE = $(or $(DATA),$(or $(GRIDLATCH_DATA),$(or $(XDG_STATE_HOME),$(HOME)/.local/state)/gridlatch))
# Extra arguments for `gridlatch up`, for instance ARGS=--demo
ARGS ?=
# dev builds fast; `make up PROFILE=release` runs fast.
PROFILE ?= dev

.PHONY: help
help: ## list these commands
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /make \1\t/' | expand -t 20

.PHONY: up
up: deps-build ## build and start everything on this machine (Ctrl-C stops it)
	$(CARGO) build --profile $(PROFILE) --package gridlatch
	@exec $(CARGO) run --quiet --profile $(PROFILE) --package gridlatch -- up $(if $(DATA),--data $(DATA)) $(ARGS)

.PHONY: test
test: deps-test peers ## install what the tests need and run them all
	@[ "$$(id -u)" = 0 ] || echo "make test: without root, tests on network namespaces are skipped by name" >&2
	@# Keys in a TPM need the TSS to build, which a bare machine may lack: one build, with it where it is there.
	@features=; \
	if pkg-config --exists tss2-esys; then features=tpm; \
	else echo "make test: no libtss2-dev; tests of keys in a TPM are skipped" >&2; [ "$$CI" != true ] || exit 1; fi; \
	set -x; GRIDLATCH_FEATURES=$$features $(CARGO) test --workspace --no-fail-fast \
		$${features:+--features gridlatch/tpm}

.PHONY: test-staples
test-staples: deps-test ## staples for the whole chain, with the newest OpenSSL built in (takes minutes more)
	$(CARGO) test --package gridlatch-tls --features openssl-vendored --target-dir target/openssl-vendored stapl

.PHONY: check
check: ## what CI checks before the tests: format, lints, tidy, licences, docs
	.ci/run check

.PHONY: fuzz
fuzz: ## explore all fuzz targets with libFuzzer, SECONDS_EACH=60 (needs nightly Rust and cargo-fuzz)
	@scripts/fuzz.sh $(TARGETS)

.PHONY: clean-data
clean-data: ## forget everything `make up` has stored
	rm -rf "$(STATE)"

.PHONY: deps-build deps-test peers
deps-build:
	@scripts/install-deps.sh build
deps-test:
	@scripts/install-deps.sh test
# The Python environments of the foreign peers; the tests would build them too, but not say so as clearly.
peers:
	@scripts/peers.sh || echo "make test: no peer environments; tests with those peers are skipped by name" >&2
