# "make help" lists the targets. Each works in a fresh clone.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory

GO ?= go
# Per test binary. The longest, queues, takes four minutes on two busy cores.
TEST_TIMEOUT ?= 20m
# What takes longest is tested first, so that none of it runs alone at the end.
LONGEST := ./queues ./server ./topics/webhook
# More flags for "go test", such as -count=1 or -run=TestG7.
TEST_FLAGS ?=
# Clients that others have written, by which the recipes of docs/aws.md are tested: what to look for, and the package of Debian.
AWS_CLIENTS := aws=awscli python3:boto3=python3-boto3 python3:celery=python3-celery python3:pycurl=python3-pycurl
# More flags for "sluice bench".
BENCH_FLAGS ?= --budgets

# The packages whose types appear in the API. The first holds the general part, in doc.go.
spec_dirs := handlers $(patsubst %/,%,$(dir $(firstword $(wildcard queues/*.go)) $(firstword $(wildcard topics/*.go)) \
	$(firstword $(wildcard auth/*.go)) $(firstword $(wildcard tenants/*.go)) $(firstword $(wildcard monitor/*.go))))
spec_dirs := $(filter-out .,$(spec_dirs))
comma := ,
empty :=
space := $(empty) $(empty)

# $(call describe,FILE) generates the description of the API into FILE. $$tmp is removed at the end of the recipe.
define describe
tmp=$$(mktemp -d); trap 'rm -rf "$$tmp"' EXIT; \
$(GO) tool -modfile=tools/swag/go.mod swag init --quiet --requiredByDefault --outputTypes json --output "$$tmp" \
	--generalInfo doc.go --dir $(subst $(space),$(comma),$(strip $(spec_dirs))) --exclude handlers/aws; \
$(GO) run ./internal/tools/openapi "$$tmp/swagger.json" $(1)
endef

.PHONY: help
help: ## List the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

.PHONY: run
run: ## Build and start the server with its console (http://127.0.0.1:8080)
	@$(GO) build -trimpath -o /dev/null . & tools/console.sh || true; wait # at the same time: both take a while at first
	@$(MAKE) build
	./bin/sluice serve

.PHONY: build
build: ## Build bin/sluice
	$(GO) build -trimpath -o bin/sluice .

.PHONY: console
console: ## Build the console into web/dist, from where the next build takes it (needs Node 20 and npm)
	@tools/console.sh --must

.PHONY: test-console
test-console: # type check and unit tests of the console, then the whole of it in Chromium on a real server
	@if ! tools/console.sh --must; then echo "The console is not tested."; exit 1; fi
	cd web && npm run --silent test
	@tools/needs.sh $${CHROMIUM:-chromium}=chromium redis-server
	@$(MAKE) build
	cd web && npm run --silent e2e

.PHONY: pictures
pictures: ## Take the pictures of README and docs, from a run of "sluice demo" (nine minutes)
	@tools/console.sh --must
	@tools/needs.sh $${CHROMIUM:-chromium}=chromium redis-server
	@$(MAKE) build
	cd web && npm run --silent pictures

.PHONY: console-bench
console-bench: ## Measure the console beside 10,000 queues (a minute)
	@tools/console.sh --must
	@tools/needs.sh $${CHROMIUM:-chromium}=chromium redis-server
	@$(MAKE) build
	cd web && npm run --silent times

.PHONY: needs
needs: # what the tests call
	@tools/needs.sh redis-server gcc=gcc,libc6-dev curl

.PHONY: test
test: needs ## Vet and test everything; on Debian installs what is missing: redis-server, chromium, clients of AWS
	$(GO) vet ./...
	@if tools/console.sh --possible; then $(MAKE) test-console; else echo "The console is not tested."; fi
	@git cat-file -e "$$(sed -n 's/^const previousRelease = "\(.*\)"/\1/p' server/upgrade_test.go)^{commit}" 2>/dev/null || \
		echo "The upgrade from the previous release is not tested (G22): this is no clone with its commit."
	@if tools/needs.sh $(AWS_CLIENTS); then export SLUICE_TEST_CLIENTS=1; else echo "Not all clients of AWS are tested."; fi; \
	$(GO) test -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) $(LONGEST) ./...

.PHONY: test-race
test-race: needs ## Test everything with the race detector (slower, needs gcc)
	CGO_ENABLED=1 $(GO) test -race -timeout $(TEST_TIMEOUT) $(TEST_FLAGS) ./...

.PHONY: bench
bench: needs build ## Measure a fresh server beside the budgets, and Redis with the same scripts alone
	./tools/bench.sh $(BENCH_FLAGS)

.PHONY: check
check: verify lint test ## Everything a commit must pass

.PHONY: fmt
fmt: ## Format the Go files
	@find . -name '*.go' -not -path './web/node_modules/*' -print0 | xargs -0 gofmt -w

.PHONY: lint
lint: ## Run the linters (the first run builds them, which takes minutes)
	$(GO) tool -modfile=tools/lint/go.mod golangci-lint run

.PHONY: verify
verify: verify-format verify-modules verify-openapi ## Fail if something generated, formatted or tidied is out of date

.PHONY: verify-format
verify-format:
	@bad=$$(find . -name '*.go' -not -path './web/node_modules/*' -print0 | xargs -0 gofmt -l); \
	if [[ -n $$bad ]]; then echo "not formatted, run make fmt:"; echo "$$bad"; exit 1; fi

.PHONY: verify-modules
verify-modules:
	@$(GO) mod tidy -diff || { echo "go.mod or go.sum is out of date, run go mod tidy"; exit 1; }

# Until the API has its general part there is nothing to generate from.
ifeq ($(wildcard handlers/doc.go),)
.PHONY: openapi verify-openapi
openapi verify-openapi:
	@echo "handlers/doc.go does not exist yet: openapi/openapi.json stays as it is"
else
.PHONY: openapi
openapi: ## Generate openapi/openapi.json from the comments on the handlers
	@$(call describe,openapi/openapi.json)

.PHONY: verify-openapi
verify-openapi:
	@$(call describe,"$$tmp/openapi.json"); \
	diff -u openapi/openapi.json "$$tmp/openapi.json" || \
		{ echo "openapi/openapi.json is out of date, run make openapi"; exit 1; }
endif

.PHONY: clean
clean: ## Remove what was built (not the data)
	rm -rf bin web/node_modules
	find web/dist -mindepth 1 -not -name .gitkeep -delete
