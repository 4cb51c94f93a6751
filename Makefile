# Aerie. The commands are told in CONTRIBUTING.md; the first two are all that a newcomer needs.

# Outside the clone, so that a second clone or a second run is quick. One profile and one target
# folder for everything: the dependencies (RocksDB's C++ above all) are built once.
export CARGO_TARGET_DIR := $(or $(CARGO_TARGET_DIR),$(HOME)/.cache/aerie/target)

# The kernel alone, built with optimisation in seconds (tests/kernel/Cargo.toml says more): the
# simulation takes a fifth of the time there. An exploration takes all the memory and processors.
KERNEL := CARGO_TARGET_DIR=$(CARGO_TARGET_DIR)/kernel
KERNEL_TEST := cargo test --manifest-path tests/kernel/Cargo.toml --no-fail-fast
SIM_ARGS := --test sim --test register
MODEL_ARGS := --test model -- --nocapture --test-threads 1

BIN := $(CARGO_TARGET_DIR)/debug
DEMO_DIR ?= $(HOME)/.cache/aerie/demo
DEMO_PORT ?= 15432
DEMO_ARGS ?=

.PHONY: demo test setup setup-bench demo-failover demo-stop check fix bench bench-failover test-long
.DEFAULT_GOAL := test

# A cluster on loopback: starts it, shows it at work, leaves it running. A test target is named so
# that cargo resolves features as `cargo test` does; otherwise every dependency is built twice.
demo: setup
	cargo build --bins --test tidy
	@$(BIN)/hawq demo --dir $(DEMO_DIR) --port $(DEMO_PORT) --detach $(DEMO_ARGS)
	@. $(DEMO_DIR)/env.sh && PATH="$(BIN):$$PATH" && set -x \
	  && psql -X -P pager=off -c 'select * from gp_segment_configuration order by 1' \
	  && psql -X -P pager=off -c 'select summary_state, log_time from gp_master_mirroring' \
	  && hawq state
	@echo
	@echo "It is running. For this shell:  . $(DEMO_DIR)/env.sh; PATH=$(BIN):\$$PATH"
	@echo "Then go on with the walk in README.md. To stop it:  make demo-stop"

# Kills the primary of the demo with -9 and shows when clients can write again, by nobody's hand.
demo-failover:
	@. $(DEMO_DIR)/env.sh && PATH="$(BIN):$$PATH" && start=$$(date +%s%N) \
	  && hawq demo kill primary --dir $(DEMO_DIR) \
	  && until psql -X -q -c "create schema after_$$start" 2>/dev/null; do :; done \
	  && echo "psql with the same hosts writes again after $$((($$(date +%s%N) - start) / 1000000)) ms" \
	  && hawq state
	@echo "The dead one comes back with:  hawq demo restart NAME --dir $(DEMO_DIR)"

demo-stop:
	$(BIN)/hawq demo stop --dir $(DEMO_DIR)

# Everything that continuous integration runs.
test: check
	cargo test --no-run --lib --bins --test e2e --test tidy
	sync # Otherwise the first tests wait for what the build has written.
	cargo test --no-fail-fast --lib --bins --test e2e --test tidy
	$(KERNEL) $(KERNEL_TEST) $(SIM_ARGS)
	$(KERNEL) $(KERNEL_TEST) $(MODEL_ARGS)
	tests/mutations/run --quick

# Never edits the tree.
check: setup
	cargo fmt --check
	cargo fmt --check --manifest-path tests/kernel/Cargo.toml
	cargo clippy --all-targets -- -D warnings

fix: setup
	cargo fmt
	cargo clippy --all-targets --fix --allow-dirty --allow-staged -- -D warnings
	cargo fmt
	cargo fmt --manifest-path tests/kernel/Cargo.toml

setup:
	@.ci/setup

setup-bench:
	@.ci/setup bench

# What takes longer than a commit should: more seeds, more kills.
test-long: setup
	$(KERNEL) SIM_SEEDS=20000 DOUBLE_FAULTS=all $(KERNEL_TEST) $(SIM_ARGS)
	E2E_KILLS=500 cargo test --test e2e
	$(KERNEL) MODEL_FAULTS=2 MODEL_MINUTES=20 $(KERNEL_TEST) $(MODEL_ARGS)
	tests/mutations/run

# Against PostgreSQL in the same run. Only our crate is built anew with optimisation; the
# dependencies keep what [profile.dev.package."*"] says.
bench: setup setup-bench
	CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench wire

# From a fault to the first commit after it. BENCH_ARGS=--help tells what can be chosen.
bench-failover: setup
	CARGO_PROFILE_DEV_OPT_LEVEL=3 cargo bench --profile dev --bench failover -- $(BENCH_ARGS)
