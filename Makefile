# The two commands are `make up` and `make test`; the rest is for those who work on the shop.

SHELL := /bin/sh
TARGET := $(or $(CARGO_TARGET_DIR),target)
SHOPCTL := $(TARGET)/debug/shopctl

.PHONY: up test check build clients openapi postman alerts contract fuzz chaos chaos-proof chaos-programs otel-programs model coverage bench bench-programs bench-reads bench-orders bench-work bench-login bench-footprint bench-growth bench-live bench-lists snapshots

## Run the whole shop on port 3000, in the foreground. Missing servers are installed.
up: build
	$(SHOPCTL) up --yes $(UP)

## Run every test against private servers on free ports. Needs nothing running, disturbs nothing that is.
test: build chaos-programs otel-programs clients
	$(SHOPCTL) services run --yes -- cargo test --workspace --locked $(TEST)

## What is checked besides the tests: format, lints, docs, dependencies, and that a normal build has no faults on purpose and exports nothing.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cargo clippy -p shop-common -p shop-api -p shop-worker -p shop-chaos --features chaos --all-targets --locked -- -D warnings
	cargo clippy -p shop-common -p shop-api -p shop-worker -p shop-e2e --features otel --all-targets --locked -- -D warnings
	@tree=$$(cargo tree --locked --edges normal --prefix none) || exit 1; \
	if printf '%s\n' "$$tree" | grep '^fail v'; then \
		echo 'error: a normal build has the failpoints of the feature `chaos`'; exit 1; fi; \
	if printf '%s\n' "$$tree" | grep '^opentelemetry'; then \
		echo 'error: a normal build has the exporter of the feature `otel`'; exit 1; fi
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items --locked
	command -v cargo-deny >/dev/null || cargo install --locked cargo-deny
	cargo deny --locked check bans licenses sources

## Rounds of faults against real programs: `make chaos SEED=7 ROUNDS=300`. Full disks (F9) take root.
chaos: build chaos-programs
	$(SHOPCTL) services run --yes -- $(TARGET)/debug/chaos --seed $(or $(SEED),1) --rounds $(or $(ROUNDS),30) $(CHAOS)

## Plant each known bug in turn: every one must turn the rig red.
chaos-proof: build chaos-programs
	$(SHOPCTL) services run --yes -- $(TARGET)/debug/chaos --prove --seed $(or $(SEED),1) $(CHAOS)

## Make up inputs for one of the parsers in `fuzz/`: `make fuzz TARGET=cursor SECONDS=60`. Coverage is measured with options that are not stable in
## Rust, so the stable compiler is told to take them. No address sanitizer: the shop has no `unsafe`, and runs twice as fast without.
fuzz:
	command -v cargo-fuzz >/dev/null || cargo install --locked cargo-fuzz
	cp Cargo.lock fuzz/Cargo.lock
	RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none \
		$(if $(findstring command,$(origin TARGET)),$(TARGET),cursor) -- -max_total_time=$(or $(SECONDS),60) $(FUZZ)

## Visit the larger worlds of the lease protocol's model, which takes minutes.
model:
	cargo run -p shop-model --locked

## Which lines the tests reach, as a table. The programs that the end-to-end tests start are not counted.
coverage: build
	command -v cargo-tarpaulin >/dev/null || cargo install --locked cargo-tarpaulin
	SHOP_PROGRAMS=$(abspath $(TARGET))/debug $(SHOPCTL) services run --yes -- \
		cargo tarpaulin --workspace --locked --engine llvm --skip-clean --timeout 300 \
		--target-dir $(TARGET)/coverage --out stdout $(COVERAGE)

## Live status beside a socket.io server on Node: some ten minutes, on a machine that has nothing else to do.
bench-live: build
	cargo build --release --locked -p shop-api -p live
	npm ci --prefix bench/live/rival
	$(SHOPCTL) services run --yes -- $(TARGET)/release/live --programs $(TARGET)/release $(LIVE)

## All that docs/performance.md is about, on a machine that has nothing else to do: some two hours. Tables on stdout, reports as JSON in
## the folder `bench` beside the programs. Each target also goes alone; BENCH are the options of all: `make bench-orders BENCH='--runs 1 --only hot'`.
bench: bench-reads bench-orders bench-work bench-login bench-footprint bench-growth

## Pages of the catalogue beside servers that only send the same bytes.
bench-reads: bench-programs
	$(call measure,reads,reads measure)

## Orders placed over HTTP beside pgbench doing the least that an order takes.
bench-orders: bench-programs
	$(call measure,orders,bench-orders)

## Jobs beside pgbench, BullMQ and Redis' own tools; how late they begin; several workers and apis.
bench-work: bench-programs
	npm ci --prefix bench/work/rival
	$(call measure,work,bench-work)

## Logins beside the hash alone, and what they do to others.
bench-login: bench-programs
	$(call measure,login,login rate)

## Memory, start, a command, an import beside COPY.
bench-footprint: bench-programs
	$(call measure,footprint,bench-footprint)

## How costs grow with products, orders, waiting jobs and sockets; draws the charts of docs/performance.md anew.
bench-growth: bench-programs
	$(call measure,growth,bench-growth)

measure = mkdir -p $(TARGET)/bench && $(TARGET)/release/shopctl services run --yes -- \
	$(TARGET)/release/$(2) --programs $(TARGET)/release --json $(TARGET)/bench/$(1).json $(BENCH)

bench-programs:
	cargo build --release --locked -p shop-api -p shop-worker -p shopctl -p reads -p login \
		-p bench-orders -p bench-work -p bench-footprint -p bench-growth

## Pages of a shop with millions of rows beside those of a small one: some ten minutes, most of them to fill it.
bench-lists: build
	$(SHOPCTL) services run --yes -- $(TARGET)/debug/lists $(LISTS)

## Write the OpenAPI document anew, after a change of the API.
openapi:
	cargo run --quiet --locked -p shop-api --example openapi > docs/openapi.json.new
	mv docs/openapi.json.new docs/openapi.json

## Write the Postman collection anew, after a change of the OpenAPI document.
postman:
	node e2e/clients/postman.mjs > docs/postman.json.new
	mv docs/postman.json.new docs/postman.json

## Check the alerts, and run their tests.
alerts:
	e2e/promtool/install.sh
	PATH="$$PATH:$(CURDIR)/e2e/promtool/bin"; promtool check rules deploy/prometheus/alerts.yml && \
		promtool check config deploy/prometheus/prometheus.yml && promtool test rules deploy/prometheus/alerts_test.yml

## Hold the API against its document for long: `make contract EXAMPLES=5000 SEED=7`. See e2e/contract/README.md.
contract: build clients
	SHOP_CONTRACT_EXAMPLES=$(or $(EXAMPLES),1000) SHOP_CONTRACT_SEED=$(or $(SEED),1) \
		$(SHOPCTL) services run --yes -- cargo test --locked -p shop-e2e --test contract -- --nocapture

## Write anew what tests hold the output of shopctl against: the help of each command, and the examples of documents.
snapshots: build
	SNAPSHOTS=overwrite cargo test --quiet --locked -p shopctl help
	SNAPSHOTS=overwrite $(SHOPCTL) services run --yes -- cargo test --quiet --locked -p shop-e2e --test documents --test operating

build:
	cargo build --workspace --bins --examples --locked

# What the tests of clients need besides: Node, Chromium, websocat, schemathesis, promtool.
clients:
	e2e/clients/install.sh
	e2e/contract/install.sh
	e2e/promtool/install.sh

# The api and the worker with failpoints and planted bugs, under names of their own.
chaos-programs:
	cargo build -p shop-chaos --features chaos --bins --locked

# The api and the worker that send spans to a collector, likewise. Of the whole workspace, and as examples, so that they are
# built of the same dependencies as all else.
otel-programs:
	cargo build --workspace --features shop-e2e/otel --example otel-api --example otel-worker --locked
