# The project's commands; `make` alone lists them.

# One directory for everything that is built, outside the checkout: the C++ core of gRPC takes ten minutes once.
cache := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/secrets-store-csi-driver
export CARGO_TARGET_DIR ?= $(cache)/target
# Where rustup and Go's own installer put things, for shells that were not told.
export PATH := $(PATH):$(HOME)/.cargo/bin:/usr/local/go/bin

# Always this profile: another one would build the C++ core again, and this one is what ships.
cargo_flags := --release --locked
# The packages of the programs: the driver, the operator and the reference provider. Tests run what was built of them.
products := -p secrets-store-csi-driver -p secrets-store-operator -p secrets-store-reference-provider
# For what mounts: root in a mount namespace of its own.
sandbox := --config 'target."cfg(unix)".runner = ["$(CURDIR)/tests/sandbox.sh"]'

cargo_deny_version := 0.20.2
cargo_deny := $(cache)/cargo-deny-$(cargo_deny_version)/bin/cargo-deny
go_bin := $(cache)/go

# Who the shipped programs say they are. All of it is the commit's, so that everybody who builds it gets the same bytes.
# Its time has a name of ours: build scripts that compile C begin anew when SOURCE_DATE_EPOCH changes.
version := v$(shell sed -n 's/^version = "\(.*\)"$$/\1/p' Cargo.toml | head -n 1)
commit_time := $(or $(SOURCE_DATE_EPOCH),$(shell git log -1 --format=%ct 2>/dev/null),0)
identity := BUILD_VERSION=$(version) COMMIT_TIME=$(commit_time) \
	BUILD_DATE=$(shell date -u -d @$(commit_time) +%Y-%m-%d-%H:%M) \
	GIT_COMMIT=$(shell git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
# The same for tests, by other names: these are not compiled in, so nothing is compiled again because of them.
tested := $(foreach variable,$(identity),TEST_$(variable))
static := $(CARGO_TARGET_DIR)/static
machine := $(shell uname -m)
image := $(CARGO_TARGET_DIR)/image/secrets-store-csi-driver-$(version).tar
operator_image := $(CARGO_TARGET_DIR)/image/secrets-store-csi-operator-$(version).tar
image_here := $(CARGO_TARGET_DIR)/image/$(machine)/secrets-store-csi-driver-$(version).tar
operator_image_here := $(CARGO_TARGET_DIR)/image/$(machine)/secrets-store-csi-operator-$(version).tar
# The kubelets that the driver is run under, oldest first.
kubernetes := $(shell ls tests/node/kubelet | sort -V)
newest_kubernetes := $(lastword $(kubernetes))
export IMAGE_NAME ?= localhost/secrets-store-csi-driver
export OPERATOR_IMAGE_NAME ?= localhost/secrets-store-csi-operator
# Made anew when what it has to hold changes.
sbom_venv := $(cache)/sbom-check-$(shell sha256sum tests/sbom/requirements.txt | cut -c 1-12)
scripts := .ci/run deploy/operator/*.sh scripts/*.sh scripts/*/*.sh tests/*.sh tests/*/*.sh tests/e2e/*/*.sh

# Given to the shell through the environment, so that any path and any text can be typed.
export DEMO_DIR := $(value DIR)
export E2E_CASE := $(value CASE)
export NODE_CASE := $(value CASE)
export NODE_KUBERNETES := $(or $(value KUBERNETES),$(newest_kubernetes))
export CRASH_KILLS := $(value KILLS)
export CRASH_SEED := $(value SEED)
export CRASH_FULL := $(value FULL)
export SOAK_TIME := $(value TIME)
export SOAK_SEED := $(value SEED)

export FUZZ_TIME := $(value TIME)
export FUZZ_TARGET := $(value TARGET)

.PHONY: help build test demo sanity e2e e2e-operator node node-smoke node-matrix bundle-check crash faults limits \
	defences soak soak-static lint bench bench-static bench-compare static static-here test-static test-emulated \
	nightly image image-here test-image fuzz fuzz-smoke fuzz-coverage sbom sbom-check advisories parity proto \
	proto-check audit-lines fmt clean

help: ## list these commands
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-14s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

build: ## build the driver, the operator and the reference provider
	@scripts/ensure-tools.sh build
	cargo build $(cargo_flags) $(products) --bins

test: ## run the unit and integration tests, in a namespace of their own
	@scripts/ensure-tools.sh build mount
	cargo build $(cargo_flags) $(products) --bins
	cargo test $(cargo_flags) $(sandbox) --workspace

demo: ## show the life of a pod's secrets; with DIR=directory, those of your own
	@test -z "$$DEMO_DIR" || test -d "$$DEMO_DIR" || { echo "DIR=$$DEMO_DIR is not a directory" >&2; exit 1; }
	@scripts/ensure-tools.sh build mount
	@cargo build $(cargo_flags) $(products) -p secrets-store-demo --bins
	@cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-demo -- "$$DEMO_DIR"

sanity: ## run csi-sanity, the conformance suite, against the driver (needs Go)
	@scripts/ensure-tools.sh build mount go
	cd tests/sanity && go build -o '$(go_bin)/csi-sanity' github.com/kubernetes-csi/csi-test/v5/cmd/csi-sanity
	cd tests/sanity && go build -o '$(go_bin)/sanity-controller' ./controller
	cargo build $(cargo_flags) $(products) -p secrets-store-sanity --bins
	@cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-sanity -- \
		'$(go_bin)/csi-sanity' '$(go_bin)/sanity-controller'

e2e: ## run the driver against a real API server (needs Go); with CASE=text, the cases that contain it
	@scripts/ensure-tools.sh build mount kill go documents
	@tests/e2e/cluster/build.sh '$(go_bin)/cluster'
	@tests/e2e/tools/build.sh '$(go_bin)/tools'
	cd tests/e2e/go-provider && CGO_ENABLED=0 go build -o '$(go_bin)/go-provider' .
	@cargo build $(cargo_flags) $(products) -p secrets-store-e2e -p secrets-store-demo --bins \
		--example minimal-provider
	@cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-e2e -- \
		'$(go_bin)/cluster' '$(go_bin)/tools' "$$E2E_CASE"

e2e-operator: ## run the operator against a real API server (needs Go); with CASE=text, the cases that contain it
	@scripts/ensure-tools.sh build mount kill go
	@tests/e2e/cluster/build.sh '$(go_bin)/cluster'
	@tests/e2e/tools/build.sh '$(go_bin)/tools'
	@cargo build $(cargo_flags) $(products) -p secrets-store-e2e-operator --bins
	@cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-e2e-operator -- \
		'$(go_bin)/cluster' '$(go_bin)/tools' "$$E2E_CASE"

# run_on_node PACE
run_on_node = cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-node -- "$$NODE_KUBERNETES" '$(go_bin)/cluster' \
	'$(go_bin)/node' '$(go_bin)/tools' '$(image_here)' '$(operator_image_here)' $(1) "$$NODE_CASE"

# build_node [--with-upstream]
define build_node
	@scripts/ensure-tools.sh build mount go node
	@tests/e2e/cluster/build.sh '$(go_bin)/cluster'
	@tests/e2e/tools/build.sh '$(go_bin)/tools'
	@tests/node/build.sh '$(go_bin)/node' $(1) "$$NODE_KUBERNETES"
	@cargo build $(cargo_flags) -p secrets-store-node --bins
endef

node: image-here ## run the images on a real node (needs Go and root); with KUBERNETES=version of kubelet, CASE=text
	$(call build_node,--with-upstream)
	@$(call run_on_node,default)

node-smoke: image-here ## the quick cases of these, under a kubelet that looks after its volumes more often
	$(call build_node)
	@$(call run_on_node,quick)

node-matrix: ## run all of these under each kubelet, and write docs/supported-versions.md's rows
	@tests/node/matrix.sh docs/supported-versions.md $(kubernetes)

bundle-check: ## check the bundle for the Operator Lifecycle Manager by the library that has its rules (needs Go)
	@scripts/ensure-tools.sh go
	cd tests/bundle && go build -o '$(go_bin)/bundle-check' .
	'$(go_bin)/bundle-check' deploy/operator/bundle
	tests/bundle/check.sh '$(go_bin)/bundle-check' deploy/operator/bundle

crash: ## kill the driver at moments of chance and at its system calls; with KILLS=number, SEED=number, FULL=1
	@scripts/ensure-tools.sh build mount strace
	@cargo build $(cargo_flags) $(products) -p secrets-store-crash --bins
	@cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-crash -- \
		--kills "$$CRASH_KILLS" --seed "$$CRASH_SEED" --full "$$CRASH_FULL"

lint: $(cargo_deny) ## check format, lints, documentation, generated code, licences, versions and scripts
	@scripts/ensure-tools.sh build lint interpreter
	cargo fmt --all --check
	cargo clippy $(cargo_flags) --workspace --all-targets -- -D warnings
	RUSTDOCFLAGS='-D warnings' cargo doc $(cargo_flags) --workspace --no-deps --document-private-items
	@$(MAKE) --no-print-directory proto-check
	'$(cargo_deny)' --locked --workspace check --deny warnings licenses bans sources
	@scripts/advisories.sh '$(cargo_deny)' --if-reachable
	scripts/versions.sh
	tests/versions/check.sh
	python3 -B tests/parity/check.py
	@$(MAKE) --no-print-directory audit-lines
	@if command -v shellcheck >/dev/null; then echo shellcheck $(scripts); shellcheck $(scripts); \
		else echo 'shellcheck is not installed: the shell scripts are not checked'; fi

audit-lines: ## count the lines of code of the process that runs as root, which are at most 20,000
	@scripts/ensure-tools.sh build
	@cargo test $(cargo_flags) --quiet -p secrets-store-tests --test architecture -- \
		--nocapture --exact lines::the_process_that_runs_as_root_can_be_read

faults: export FAULT_CASE := $(value CASE)
faults: ## inject faults into the running driver and show what comes of each; with CASE=text, those that contain it
	@scripts/ensure-tools.sh build mount faults
	@cargo build $(cargo_flags) $(products) -p secrets-store-faults --bins
	@cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-faults -- "$$FAULT_CASE"

limits: export LIMITS_CASE := $(value CASE)
limits: static-here ## attack the static driver in a control group of the shipped memory; with CASE=text, those that contain it
	@scripts/ensure-tools.sh build mount
	@cargo build $(cargo_flags) -p secrets-store-limits --bins
	@TEST_PROGRAMS='$(static)/$(machine)' \
		cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-limits -- "$$LIMITS_CASE"

defences: export DEFENCE_CASE := $(value CASE)
defences: ## take each defence out of a copy and see that its tests fail; with CASE=text, those that contain it
	@scripts/ensure-tools.sh build mount interpreter
	@python3 -B tests/defences '$(cache)/defences' "$$DEFENCE_CASE"

soaking = cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-soak -- \
	--time "$$SOAK_TIME" --seed "$$SOAK_SEED"

soak: ## let pods come and go for TIME (30m) and see whether the driver holds more and more; with SEED=number
	@scripts/ensure-tools.sh build mount
	@cargo build $(cargo_flags) $(products) -p secrets-store-soak --bins
	@$(soaking)

soak-static: static-here ## the same with the static driver, whose allocator is another; with TIME=30m, SEED=number
	@scripts/ensure-tools.sh build mount
	@cargo build $(cargo_flags) -p secrets-store-soak --bins
	@TEST_PROGRAMS='$(static)/$(machine)' $(soaking)

# What was measured, as a table; and in these files, for programs, for `make bench-compare` and for a browser.
results := $(CARGO_TARGET_DIR)/bench
measure = cargo run --quiet $(cargo_flags) $(sandbox) -p secrets-store-bench -- --json '$(results)/$(1).json' && \
	cargo run --quiet $(cargo_flags) -p secrets-store-bench -- \
		--page '$(results)/$(1).json' >'$(results)/$(1).html' && \
	printf '\n%s\n%s\n' '$(results)/$(1).json' '$(results)/$(1).html'

bench: ## measure what the driver costs, as a table, JSON and a page
	@scripts/ensure-tools.sh build mount
	@cargo build $(cargo_flags) $(products) -p secrets-store-bench --bins
	@mkdir -p '$(results)'
	@$(call measure,glibc)

bench-static: static-here ## measure what the static driver costs
	@scripts/ensure-tools.sh build mount
	@cargo build $(cargo_flags) -p secrets-store-bench --bins
	@mkdir -p '$(results)'
	@TEST_PROGRAMS='$(static)/$(machine)' $(call measure,static)

bench-compare: export BENCH_A := $(value A)
bench-compare: export BENCH_B := $(value B)
bench-compare: export ROUNDS := $(or $(value ROUNDS),3)
bench-compare: export SCENES := $(value SCENES)
bench-compare: ## compare what A and B cost, each a commit or a result file; with ROUNDS=number, SCENES='name name'
	@scripts/ensure-tools.sh build
	@cargo build $(cargo_flags) -p secrets-store-bench --bins
	@scripts/bench-compare.sh "$$BENCH_A" "$$BENCH_B"

static: ## build the static programs for x86_64 and aarch64, which are what the image holds
	@scripts/ensure-tools.sh build python
	@$(identity) scripts/static/build.sh x86_64 '$(cache)'
	@$(identity) scripts/static/build.sh aarch64 '$(cache)'

static-here: ## build those of this machine's architecture alone
	@scripts/ensure-tools.sh build python
	@$(identity) scripts/static/build.sh '$(machine)' '$(cache)'

test-static: static-here ## run the integration tests against the static driver, in an empty root too
	@scripts/ensure-tools.sh build mount
	TEST_ARCHITECTURES='$(machine)' cargo test $(cargo_flags) $(sandbox) -p secrets-store-tests --test static
	$(tested) TEST_PROGRAMS='$(static)/$(machine)' \
		cargo test $(cargo_flags) $(sandbox) -p secrets-store-tests --test integration

test-emulated: static ## look at the static programs of both architectures, and run the other one's in an emulator
	@scripts/ensure-tools.sh build mount emulator
	cargo test $(cargo_flags) $(sandbox) -p secrets-store-tests --test static
	cargo test $(cargo_flags) $(sandbox) -p secrets-store-tests --test emulated

nightly: ## run what takes long and CI does not run on each submission
	@.ci/run crash faults defences test-emulated test-image node

image: static ## make the images of the driver and of the operator for both architectures, archives in the OCI layout
	@$(identity) scripts/image/build.sh secrets-store-csi-driver '$(static)' '$(image)'
	@$(identity) IMAGE_NAME="$$OPERATOR_IMAGE_NAME" \
		scripts/image/build.sh secrets-store-csi-operator '$(static)' '$(operator_image)'
	@printf '%s\n' '$(image)' '$(operator_image)'

image-here: static-here ## make the images for this machine's architecture alone
	@$(identity) ARCHITECTURES='$(machine)' \
		scripts/image/build.sh secrets-store-csi-driver '$(static)' '$(image_here)'
	@$(identity) ARCHITECTURES='$(machine)' IMAGE_NAME="$$OPERATOR_IMAGE_NAME" \
		scripts/image/build.sh secrets-store-csi-operator '$(static)' '$(operator_image_here)'

test-image: image ## run the images with containerd and runc, and build them from their Dockerfiles
	@scripts/ensure-tools.sh build mount containers
	$(tested) TEST_IMAGE='$(image)' TEST_OPERATOR_IMAGE='$(operator_image)' \
		cargo test $(cargo_flags) $(sandbox) -p secrets-store-tests --test image

fuzz-smoke: ## run each fuzz target for half a minute, from the committed corpus on
	@scripts/ensure-tools.sh build fuzz
	@cargo build $(cargo_flags) $(products) --quiet --lib
	@scripts/fuzz/run.sh smoke 30s 2

fuzz: ## fuzz for TIME (20m) a target, two at a time; with TARGET=name, that one; goes on from the last run
	@scripts/ensure-tools.sh build fuzz
	@cargo build $(cargo_flags) $(products) --quiet --lib
	@FUZZ_CACHE='$(cache)/fuzz' scripts/fuzz/run.sh long "$${FUZZ_TIME:-20m}" 2 "$$FUZZ_TARGET"

fuzz-coverage: ## show how many lines of the fuzzed modules the committed corpus reaches
	@scripts/ensure-tools.sh build fuzz coverage
	@cargo build $(cargo_flags) $(products) --quiet --lib
	@scripts/fuzz/coverage.sh

sbom: ## write the bill of materials of what ships, for each architecture
	@scripts/ensure-tools.sh build python
	@python3 -B scripts/sbom '$(CARGO_TARGET_DIR)/sbom' '$(cache)'

sbom-check: $(sbom_venv) sbom build ## check that the bills of materials are valid and true
	'$(sbom_venv)/bin/python3' -B tests/sbom/check.py '$(CARGO_TARGET_DIR)/sbom' '$(CARGO_TARGET_DIR)' '$(cache)'

advisories: $(cargo_deny) ## check the dependencies against the advisory database (needs the network)
	@scripts/ensure-tools.sh build
	@scripts/advisories.sh '$(cargo_deny)'

parity: export UPSTREAM_SOURCES := $(value UPSTREAM)
parity: ## compare this driver with an upstream release, whose sources are in UPSTREAM=directory
	@scripts/ensure-tools.sh interpreter
	@test -n "$$UPSTREAM_SOURCES" || { echo 'say where the sources of a release are: UPSTREAM=directory' >&2; exit 1; }
	@python3 -B scripts/parity "$$UPSTREAM_SOURCES"

proto: ## generate src/rpc/pb from proto/
	@scripts/ensure-tools.sh build
	cargo run $(cargo_flags) --manifest-path proto/generate/Cargo.toml -- proto src/rpc/pb

proto-check: ## check that src/rpc/pb is what proto/ says
	@scripts/ensure-tools.sh build
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	cargo run --quiet $(cargo_flags) --manifest-path proto/generate/Cargo.toml -- proto "$$out" && \
	for file in "$$out"/*.rs; do \
		diff -u "src/rpc/pb/$${file##*/}" "$$file" || \
			{ echo 'src/rpc/pb is not what proto/ says: run `make proto`' >&2; exit 1; }; \
	done

fmt: ## format the code
	cargo fmt --all

clean: ## remove what was built, the C++ core of gRPC included
	cargo clean

# Built in a directory that cargo removes afterwards: its two hundred crates are of no use to anybody else.
$(cargo_deny):
	@scripts/ensure-tools.sh build
	env -u CARGO_TARGET_DIR cargo install --quiet --locked --version $(cargo_deny_version) \
		--root '$(cache)/cargo-deny-$(cargo_deny_version)' cargo-deny

$(sbom_venv):
	@scripts/ensure-tools.sh python
	rm -rf '$@.new' && python3 -m venv '$@.new'
	'$@.new/bin/python3' -m pip install --quiet --disable-pip-version-check --no-deps \
		--requirement tests/sbom/requirements.txt
	mv '$@.new' '$@'
