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

STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.8.2

.PHONY: build run test check bench robustness clean

build:
	go build -ldflags="$(LDFLAGS)" -o bin/km ./cmd/km

# ARGS are km's: make run ARGS="apiserver,scheduler --free-ports"
run: build
	bin/km run $(ARGS)

# Everything that CI runs. What a machine cannot test, it says at the end. The framework's tests run under the race detector, which needs a C compiler; without one they
# run without it, except on CI, where that is an error.
test: check build
	@if command -v $${CC:-cc} >/dev/null 2>&1; then \
		set -x; CGO_ENABLED=1 go test -race ./supervisor/... ./logging/...; \
	elif [ -n "$$CI" ]; then \
		echo "make test: no C compiler: the race detector cannot run" >&2; exit 1; \
	else \
		echo "make test: no C compiler: testing without the race detector" >&2; \
		set -x; go test ./supervisor/... ./logging/...; \
	fi
	go test -run '^TestAllocations' ./logging/...
	go test ./servers/... ./cmd/...
	@rm -f bin/skipped
	KM=$(CURDIR)/bin/km KM_SKIPPED=$(CURDIR)/bin/skipped go test -count=1 -timeout 60m ./test/...
	cd test/envtest && KM=$(CURDIR)/bin/km go test -count=1 -timeout 8m ./...
	cd test/robustness && KM=$(CURDIR)/bin/km KM_SKIPPED=$(CURDIR)/bin/skipped go test -count=1 -timeout 20m ./...
	@if [ -s bin/skipped ]; then echo "make test: left out:" >&2; cat bin/skipped >&2; fi

check:
	@unformatted=$$(gofmt -l .); if [ -n "$$unformatted" ]; then echo "not formatted as gofmt does:" $$unformatted >&2; exit 1; fi
	go vet ./...
	cd test/envtest && go vet ./...
	cd test/bench/peers && go vet ./...
	cd test/robustness && go vet ./...
	GOFLAGS="$(GOFLAGS) -mod=mod" go run $(STATICCHECK) ./...
	cd test/envtest && GOFLAGS="$(GOFLAGS) -mod=mod" go run $(STATICCHECK) ./...
	cd test/bench/peers && GOFLAGS="$(GOFLAGS) -mod=mod" go run $(STATICCHECK) ./...
	cd test/robustness && GOFLAGS="$(GOFLAGS) -mod=mod" go run $(STATICCHECK) ./...

# Measures; never part of a test. ROW=start measures one row, RUNS=9 takes more runs.
bench: build
	go run ./test/bench -km bin/km -row "$(ROW)" -runs $(or $(RUNS),5)

# The long form of test/robustness. SEED, ROUNDS, OPERATIONS and RUN repeat what a failure has printed; a whole run keeps its results for test/README.md.
robustness: build
	cd test/robustness && KM=$(CURDIR)/bin/km go test -count=1 -v -timeout 12h -run '$(RUN)' . -seed $(or $(SEED),0) -rounds $(or $(ROUNDS),20) \
		-operations $(or $(OPERATIONS),200) -nodes 500 -pods 5000 $(if $(SEED)$(RUN),,-results results.json)
	$(if $(SEED)$(RUN),,cd test/robustness && go test -count=1 -run '^TestTableOfFaults$$' . -update)

clean:
	rm -rf bin
