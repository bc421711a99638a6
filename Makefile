# km: see README.md. Needs Go, git and make; modules come from the Go module proxy.

KUBERNETES := $(shell go list -m -f '{{.Version}}' k8s.io/kubernetes)
VERSION    := $(shell git describe --tags --always --dirty 2>/dev/null || echo devel)
MAJOR      := $(word 1,$(subst ., ,$(KUBERNETES:v%=%)))
MINOR      := $(word 2,$(subst ., ,$(KUBERNETES:v%=%)))

# One set of flags for everything, so that upstream's packages are compiled once: a build, a vet and a test with other
# flags would each take minutes. Upstream builds its own binaries with -trimpath and with grpcnotrace, too; without that tag
# the linker keeps every exported method of everything, and the binary is a third larger.
export GOFLAGS     := $(shell go env GOFLAGS) -trimpath -tags=grpcnotrace
export CGO_ENABLED := 0

# What `kubectl version` and node objects show is linked in; upstream's default is v0.0.0-master.
LDFLAGS := -s -w \
	-X github.com/seed-200a7251/km/servers/versions.km=$(VERSION) \
	-X k8s.io/component-base/version.gitVersion=$(KUBERNETES) \
	-X k8s.io/component-base/version.gitMajor=$(MAJOR) \
	-X k8s.io/component-base/version.gitMinor=$(MINOR)

# km's own module, and those of tests that need what km does not.
MODULES := . test/envtest test/bench/peers test/robustness test/monitoring test/suites test/conformance

# Tools, which are compiled when they are needed.
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2
ACTIONLINT  := github.com/rhysd/actionlint/cmd/actionlint@v1.7.12
GORELEASER  := github.com/goreleaser/goreleaser/v2@v2.17.0
GOLICENSES  := github.com/google/go-licenses@v1.6.0
GOVULNCHECK := golang.org/x/vuln/cmd/govulncheck@v1.9.0
export CYCLONEDX := github.com/CycloneDX/cyclonedx-gomod/cmd/cyclonedx-gomod@v1.9.0

# Runs one of them: by its own modules, and not for the system that is built for.
TOOL := GOOS= GOARCH= GOFLAGS="$(GOFLAGS) -mod=mod" go run

# Built with -trimpath, go-licenses does not know where Go is, takes every package for one of Go's, and finds nothing.
LICENSES := GOROOT="$(shell go env GOROOT)" $(TOOL) $(GOLICENSES)

# How many tests of test/e2e run at once. They wait most of the time: this keeps two cores busy. GOMAXPROCS, which is
# the default, would be about the test's own process, and km has others.
PARALLEL ?= 4

# `make vet` has looked at the tests already. go test would look once more, for a part of what vet finds, and since it
# does so with other flags, also at all of Kubernetes.
GOTEST := go test -vet=off

# A test that hangs fails by itself, with stacks. These limits are for what goes wrong besides, and more than twice what
# each part takes on two cores.
LIMIT := -timeout 30m

.PHONY: build builds platforms run release audit test test-quick check format vet staticcheck workflows race packages e2e bench robustness suites conformance clean fresh

# One part after the other, also with make -j: each keeps all cores busy by itself.
.NOTPARALLEL:

build:
	@.ci/compile -ldflags="$(LDFLAGS)" -o bin/km ./cmd/km

# The binary for each system, and vet, which take some minutes each the first time. `make test` looks at the framework
# alone, and for one of each two.
PLATFORMS := linux/amd64 linux/arm64 darwin/amd64 darwin/arm64 windows/amd64 windows/arm64

builds:
	@set -e; for p in $(PLATFORMS); do \
		export GOOS=$${p%/*} GOARCH=$${p#*/}; \
		(set -x; .ci/compile -ldflags="$(LDFLAGS)" -o bin/builds/km-$$GOOS-$$GOARCH ./cmd/km; go vet ./...); \
	done
	@ls -l bin/builds

platforms:
	@set -e; for p in linux/arm64 darwin/arm64 windows/amd64; do \
		(set -x; GOOS=$${p%/*} GOARCH=$${p#*/} go vet ./supervisor/... ./logging/...); \
	done

# All that a release consists of, in bin/dist, and nothing published: ARGS are goreleaser's, such as --skip=nfpm. With
# RELEASE=1 a tag is released.
release: export LDFLAGS := $(LDFLAGS)
release: build
	rm -rf bin/release
	mkdir -p bin/release/completions bin/release/empty
	for shell in bash zsh fish; do bin/km completion $$shell >bin/release/completions/km.$$shell || exit 1; done
	$(LICENSES) check ./cmd/km --disallowed_types=forbidden,restricted,unknown
	$(LICENSES) save ./cmd/km --save_path=bin/release/licenses
	find bin/release/licenses -exec touch -d "$$(TZ=UTC git show -s --date=format-local:%Y-%m-%dT%H:%M:%SZ --format=%cd)" {} +
	$(TOOL) $(GORELEASER) release --clean $(if $(RELEASE),,--snapshot) $(ARGS)

# What is known of faults in what is linked in, and whether the modules are those that go.sum names.
audit:
	go mod verify
	$(TOOL) $(GOVULNCHECK) ./cmd/km

# ARGS are km's: make run ARGS="apiserver,scheduler --free-ports"
run: build
	bin/km run $(ARGS)

# Everything that CI runs. What a machine cannot test, it says at the end; what remains of end-to-end tests that failed
# is in bin/failed.
test: fresh check build race packages e2e

# Without what is left of the last time.
fresh:
	@rm -rf bin/skipped bin/failed

# For before each commit, in a few minutes: without staticcheck, the tests of cmd/km, servers/kmtest, test/envtest,
# test/robustness, test/monitoring and test/conformance, and most of those of test/e2e. Of these it has a first start, one after a stop,
# one after a kill, restarts, a command in a cluster of its own, and wrong usage.
QUICK := ^(TestStateSurvives|TestSteer|TestThrowAway|TestWrongUsage)$$

test-quick: format vet build race
	$(ALLOCATIONS)
	$(GOTEST) $(LIMIT) $$(go list ./servers/... | grep -v /kmtest)
	KM=$(CURDIR)/bin/km $(GOTEST) -count=1 -parallel $(PARALLEL) $(LIMIT) -run '$(QUICK)' ./test/e2e
	$(GOTEST) ./test/source

check: format vet platforms staticcheck workflows

format:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted as gofmt does:" $$unformatted >&2; exit 1; fi

vet:
	@set -e; for module in $(MODULES); do (set -x; cd $$module; go vet ./...); done

staticcheck:
	@set -e; for module in $(MODULES); do (set -x; cd $$module; GOFLAGS="$(GOFLAGS) -mod=mod" go run $(STATICCHECK) ./...); done

# What runs elsewhere, and shell scripts, which only CI must have the means to check.
workflows:
	$(TOOL) $(ACTIONLINT)
	@if command -v shellcheck >/dev/null 2>&1; then \
		set -x; shellcheck .release/install.sh .release/preremove.sh .ci/compile .ci/run .ci/install; \
	elif [ -n "$$CI" ]; then \
		echo "make workflows: there is no shellcheck" >&2; exit 1; \
	fi

# The framework's tests, under the race detector, which needs a C compiler. Without one they run without it, except on
# CI, where that is an error.
race:
	@if command -v $${CC:-cc} >/dev/null 2>&1; then \
		set -x; CGO_ENABLED=1 $(GOTEST) $(LIMIT) -race ./supervisor/... ./logging/...; \
	elif [ -n "$$CI" ]; then \
		echo "make race: no C compiler: the race detector cannot run" >&2; exit 1; \
	else \
		echo "make race: no C compiler: testing without the race detector" >&2; \
		set -x; $(GOTEST) $(LIMIT) ./supervisor/... ./logging/...; \
	fi

# The race detector allocates by itself: these are left out under it.
ALLOCATIONS := $(GOTEST) -run '^TestAllocations' ./logging/...

packages:
	$(ALLOCATIONS)
	$(GOTEST) $(LIMIT) ./servers/... ./cmd/...

# The tests with clusters.
e2e: fresh build
	KM=$(CURDIR)/bin/km KM_SKIPPED=$(CURDIR)/bin/skipped $(GOTEST) -count=1 -parallel $(PARALLEL) -timeout 60m ./test/...
	cd test/envtest && KM=$(CURDIR)/bin/km $(GOTEST) -count=1 -parallel $(PARALLEL) $(LIMIT) ./...
	cd test/robustness && KM=$(CURDIR)/bin/km KM_SKIPPED=$(CURDIR)/bin/skipped \
		$(GOTEST) -count=1 -parallel $(PARALLEL) $(LIMIT) ./...
	cd test/monitoring && $(GOTEST) -count=1 -parallel $(PARALLEL) $(LIMIT) ./...
	cd test/conformance && KM=$(CURDIR)/bin/km KM_SKIPPED=$(CURDIR)/bin/skipped $(GOTEST) -count=1 $(LIMIT) ./...
	@if [ -s bin/skipped ]; then echo "make e2e: left out:" >&2; cat bin/skipped >&2; fi

# Measures; never part of a test. ROW=start measures one row, RUNS=9 takes more runs.
bench: build
	go run ./test/bench -km bin/km -row "$(ROW)" -runs $(or $(RUNS),5)

# The long form of test/robustness. SEED, ROUNDS, OPERATIONS and RUN repeat what a failure has printed; a whole run
# keeps its results for test/README.md.
robustness: build
	cd test/robustness && KM=$(CURDIR)/bin/km go test -count=1 -v -timeout 12h -run '$(RUN)' . -seed $(or $(SEED),0) -rounds $(or $(ROUNDS),20) \
		-operations $(or $(OPERATIONS),200) -nodes 500 -pods 5000 $(if $(SEED)$(RUN),,-results results.json)
	$(if $(SEED)$(RUN),,cd test/robustness && go test -count=1 -run '^TestTableOfFaults$$' . -update)
	$(if $(SEED)$(RUN),,KM=$(CURDIR)/bin/km $(GOTEST) -count=1 -v -timeout 12h -run '^TestMachines$$' ./test/e2e -rounds $(or $(ROUNDS),20))

# The suites of others, on km's links: for the night. RUN chooses, as go test's -run does; a whole run keeps its counts.
suites: build
	cd test/suites && KM=$(CURDIR)/bin/km go test -count=1 -v -timeout 12h -run '$(RUN)' . $(if $(RUN),,-results results.json)

# Kubernetes' own conformance suite, all of it that the nodes let pass: NODES=real on two machines, NODES=simulated on
# nodes without containers, else on one after the other. FOCUS chooses other specs, PROCS says how many run at once, and
# ARGS are those of the tests, such as -all or -official. A whole run without them keeps what became of each spec.
conformance: build
	cd test/conformance && KM=$(CURDIR)/bin/km go test -count=1 -v -timeout 12h -run '^TestConformance$$' . -whole -nodes '$(NODES)' \
		-procs $(or $(PROCS),8) -focus '$(FOCUS)' $(ARGS) $(if $(FOCUS)$(ARGS),,-results results.json)

clean:
	rm -rf bin
