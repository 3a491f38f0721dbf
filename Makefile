# The few commands one needs. Each installs what is missing (scripts/setup) and works from a fresh clone on Debian 12.
.PHONY: all release setup demo demo-pressure demo-kubernetes test test-network test-kubernetes model bench bench-hostile figures fuzz soak soak-simulation mutants format format-check tidy docs clean package demo-compose
all: release

setup:
	@scripts/setup

release: setup
	@scripts/build release

# Three hubs, 20,000 messages, one hub killed with its disk thrown away, and the ledger.
demo: setup
	@scripts/build release umbra umbra-load
	@scripts/demo

# Flow control: a disk that fills up, a filter and a back end that stop, a flood; levels, replies, recovery, and the ledger.
demo-pressure: setup
	@scripts/build release umbra umbra-load
	@scripts/demo_pressure

# The chart under load without a Kubernetes: install, roll, scale 3 -> 5 -> 2 -> 3, lose a node; an emulator does what a kubelet does. Root.
demo-kubernetes: setup
	@scripts/build release umbra umbra-load
	@tests/lifecycle/run all_in_one
# build/packages/umbra_VERSION_amd64.deb
package: setup
	@scripts/package

# The image and docker-compose.yml: three hubs, a sink and Prometheus in containers, a hub killed and one drained, and the ledger. Root, or a
# Docker daemon that answers.
demo-compose: setup
	@UMBRA_PACKAGE="$$(scripts/package)" scripts/demo_compose

# Everything that continuous integration runs.
test: setup
	@scripts/test

# Real processes in network namespaces: kill -9, partitions, disks, clocks, scaling, drain; writes docs/network-faults.md. Root, half an hour.
test-network: setup
	@scripts/build release umbra umbra-load
	@tests/network/run --record

# The formal model of the shadow protocol, checked by spin.
model: setup
	@tests/model/run

# The chart and ownership by Kubernetes on a real one: what KUBECONFIG names. The image must get to its nodes: see scripts/test-kubernetes.
test-kubernetes: release
	@scripts/test-kubernetes

# Umbra beside Postfix in one run; writes docs/benchmarks.md.
bench: setup
	@scripts/build release
	@scripts/bench

# What a good client notices of bad ones; writes docs/hostile-rates.md.
bench-hostile: setup
	@scripts/build release umbra umbra-load
	@scripts/bench_hostile

# What redundancy, take-over and drain cost; writes docs/figures.md.
figures: setup
	@scripts/build release umbra umbra-load
	@scripts/figures

# SECONDS per target: make fuzz SECONDS=600
SECONDS ?= 60
fuzz: setup
	@scripts/build asan
	@scripts/fuzz $(SECONDS)

# Simulation and fuzzing for hours instead of minutes: make soak MINUTES=120
MINUTES ?= 60
soak: setup
	@scripts/build release
	@scripts/build asan
	@scripts/soak $(MINUTES)

# A range of seeds, recorded in docs/soak.tsv: make soak-simulation SEEDS=3001-13000 [ARGUMENTS="--ownership majority" | "--pairs"]
SEEDS ?= 3001-6000
soak-simulation: setup
	@scripts/build release simulation
	@scripts/soak_simulation $(SEEDS) --jobs $$(scripts/jobs) $(ARGUMENTS)

# Known bugs, planted in a copy of the tree: the simulation must find each.
mutants: setup
	@scripts/mutants

sources = $(shell git ls-files '*.h' '*.cpp')
format: setup
	@clang-format-19 -i $(sources)
format-check: setup
	@clang-format-19 --dry-run -Werror $(sources)

# House rules, and clang-tidy over the whole tree (slow).
tidy: release
	@python3 tests/tidy/tidy.py
	@scripts/clang_tidy

# What is generated from the program itself.
docs: release
	@build/release/hub/umbra check --schema > docs/config.schema.json
	@build/release/hub/umbra reference configuration > docs/configuration.md
	@build/release/hub/umbra reference metrics > docs/metrics.md
	@scripts/dashboard
	@build/release/hub/umbra reference commands > docs/commands.md
	@for page in $$(build/release/hub/umbra reference man); do build/release/hub/umbra reference man $$page > docs/man/$$page.1; done

clean:
	rm -rf build
