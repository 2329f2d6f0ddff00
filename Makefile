# What a person types. Each target installs what it needs first (deploy/setup.sh says what, and is quick when
# there is nothing to do), builds with the network, and runs without it: demo and tests live in a private
# network namespace, so that nothing they send can leave the machine.
#
#   make run      the demo: a hub, a simulated Alexa service and three speakers, no account needed
#   make shell    for a second terminal: a shell that reaches the running demo
#   make test     every test                  make lint   what must be clean before a commit
#   make bench    every figure, a line each   make fuzz   one minute on each parser of outside bytes
#   make sync-report   how well real receivers play together, beside the rivals' senders (SECONDS=30 for a quick look)
#   make crowd    32 real receivers of three kinds at one hub for ten minutes (MINUTES=1 for a quick look)
#
# RELEASE=1 builds optimised. TESTS="..." passes arguments to nextest, for example TESTS="-p antiphon-avs".

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help run shell build setup setup-test setup-fuzz test lint bench sync-report crowd fuzz

CARGO ?= cargo
OUT := $(or $(CARGO_TARGET_DIR),$(CURDIR)/target)
BIN := $(OUT)/$(if $(RELEASE),release,debug)
PRIVATE := tests/support/in-namespace
SKIPPED := $(OUT)/skipped-tests.txt
FUZZ_SECONDS ?= 60
SECONDS ?= 300
MINUTES ?= 10

help:
	@sed -n '5,13s/^#\( \|$$\)//p' Makefile

setup:
	@deploy/setup.sh run
setup-test:
	@deploy/setup.sh test
setup-fuzz:
	@deploy/setup.sh fuzz

build: setup
	@$(CARGO) build --locked $(if $(RELEASE),--release) -p antiphon -p antiphon-simulator --bins

run: build
	@exec $(PRIVATE) --or-plain --as demo env PATH="$(BIN):$$PATH" antiphon demo $(DEMO)

shell:
	@exec $(PRIVATE) --or-plain --join demo env PATH="$(BIN):$$PATH" $(or $(CMD),bash)

test: setup-test
	$(CARGO) nextest run --locked --workspace --no-run
	$(PRIVATE) $(CARGO) test --locked --workspace --doc --quiet
	@rm -f "$(SKIPPED)"
	@status=0; ANTIPHON_SKIPPED="$(SKIPPED)" $(PRIVATE) $(CARGO) nextest run --locked --workspace $(TESTS) || status=$$?; \
	  if [ -s "$(SKIPPED)" ]; then echo; echo "SKIPPED, for want of something on this machine:"; cat "$(SKIPPED)"; fi; \
	  exit $$status

lint: setup
	$(CARGO) fmt --all --check
	$(CARGO) clippy --locked --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS="-D warnings" $(CARGO) doc --locked --workspace --no-deps --quiet
	@for package in aws-lc-sys openssl-sys; do \
	  if $(CARGO) tree --locked --workspace --target all --edges all --invert $$package 2>/dev/null | grep .; then \
	    echo "lint: $$package must not be linked: TLS is rustls with ring" >&2; exit 1; fi; done
	@for script in .ci/run deploy/*.sh tests/support/in-namespace; do bash -n $$script; done

bench: setup-test
	$(CARGO) bench --locked --workspace --bench '*' --no-run
	@$(PRIVATE) $(CARGO) bench --locked --quiet --workspace --bench '*'

# ONLY="4 snapclients,mixed" runs a part; CALIBRATE=1 prints what the calibration table's rows should be.
sync-report: setup-test
	$(CARGO) bench --locked -p antiphon --bench sync --no-run
	@$(PRIVATE) $(CARGO) bench --locked --quiet -p antiphon --bench sync -- --seconds $(SECONDS) --out "$(OUT)/sync" \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(CALIBRATE),--calibrate)

crowd: setup-test
	$(CARGO) bench --locked -p antiphon --bench crowd --no-run
	@$(PRIVATE) $(CARGO) bench --locked --quiet -p antiphon --bench crowd -- --minutes $(MINUTES)

# No sanitizer: our code has no unsafe block, so panics and time are what is hunted, and a stable compiler does.
fuzz: setup-fuzz
	@cd crates/fuzz && for target in $$($(CARGO) fuzz list --fuzz-dir .); do \
	  echo "== $$target"; mkdir -p corpus/$$target; \
	  $(CARGO) fuzz run --fuzz-dir . --sanitizer none $$target corpus/$$target seeds/$$target \
	    -- -max_total_time=$(FUZZ_SECONDS) -max_len=4096 -timeout=10; done
