# Tools run by version, so that nothing has to be installed.
GOLANGCI_LINT = go run github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v2.5.0

GOVULNCHECK = go run golang.org/x/vuln/cmd/govulncheck@v1.9.0

ACTIONLINT = go run github.com/rhysd/actionlint/cmd/actionlint@v1.7.12

GORELEASER = go run github.com/goreleaser/goreleaser/v2@v2.17.0

# The race detector needs a C compiler.
RACE = $(if $(shell command -v $${CC:-cc}),-race)

.PHONY: help
help: ## list what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

## Using

# As a binary, since go run reports Ctrl+C as a failure.
.PHONY: demo
demo: build ## run the standalone proxy in front of a fake Immich; ARGS=--listen.https=127.0.0.1:8444 uses another port
	@build/immichaccess demo $(ARGS)

.PHONY: demo-traefik
demo-traefik: ## run the real Traefik with the plugin in front of a fake Immich; the first time, it builds Traefik, for some minutes
	@[ -e integration/build/demo ] || echo "building the demo with Traefik: some minutes the first time" >&2
	@cd integration && go build -o build/demo ./demo
	@cd integration && exec build/demo

.PHONY: build
build: ## build the standalone proxy, as build/immichaccess
	@[ -e build/immichaccess ] || echo "building build/immichaccess: a minute the first time" >&2
	@go build -o build/immichaccess ./cmd/standalone

# Where go install would put it, or where PREFIX says.
BINDIR = $(if $(PREFIX),$(PREFIX)/bin,$(shell go env GOBIN GOPATH | sed -n '1{/./{p;q};n;s|:.*||;s|$$|/bin|p}'))

.PHONY: install
install: build ## install the standalone proxy as immichaccess, where go install would, or in /usr/local/bin with PREFIX=/usr/local
	@install -d "$(DESTDIR)$(BINDIR)"
	install -m 755 build/immichaccess "$(DESTDIR)$(BINDIR)/immichaccess"

## Testing

.PHONY: test
test: ## run the tests, without Traefik; four minutes on two cores
	go test $(RACE) -timeout 5m ./...

# Without -count 1, Go would use cached results: it does not notice that these tests read and build files outside their module.
INTEGRATE = cd integration && go test -count 1 -timeout 40m

.PHONY: integration
integration: ## run the plugin in Yaegi and in the real Traefik, and the proxy as a program; minutes
	cd integration && go test -run '^$$' ./... >/dev/null # compiles with both processors; the tests take turns
	$(INTEGRATE) -p 1 ./...
	cd bench && go test -count 1 ./...

.PHONY: slow
slow: ## run the tests that take minutes, such as an upload of more than a minute
	$(INTEGRATE) -tags slow -run 'LongerThan' ./traefik

.PHONY: torture
torture: ## try failures and ten minutes of generated requests, and write docs/tested.md; half an hour, as root, on Linux
	@$(MAKE) torture-failures torture-requests

.PHONY: torture-failures
torture-failures: ## make everything around the proxy fail while it transfers
	$(INTEGRATE) -v ./torture -whole -rounds 3 -parallel 4 -report ../../docs/tested.md

.PHONY: docker
docker: ## run the examples in a Docker engine and under systemd; as root, on Linux
	$(INTEGRATE) -tags slow -skip TestRelease ./docker

.PHONY: kubernetes
kubernetes: ## run two replicas of Traefik beside a real Kubernetes API server; the first time, this builds both, for some minutes
	@command -v etcd >/dev/null || { echo "kubernetes: etcd is missing: on Debian, it is in the package etcd-server" >&2; exit 1; }
	$(INTEGRATE) -tags slow -v ./kubernetes

.PHONY: kubernetes-chart
kubernetes-chart: ## check the Helm values of the examples with Traefik's chart, HELM_CHART=traefik/traefik or a directory; needs helm
	$(INTEGRATE) -tags chart -run TestHelmValuesInTheChart ./kubernetes

.PHONY: immich
immich: ## compare the public routes with the newest Immich's API
	export IMMICH_SDK=latest && $(INTEGRATE) ./publicroutes

.PHONY: fuzz
fuzz: ## look for inputs that break the parsers, a minute each
	go test -run '^$$' -fuzz FuzzParseEntry -fuzztime 1m .
	go test -run '^$$' -fuzz FuzzParseSize -fuzztime 1m .
	go test -run '^$$' -fuzz FuzzClientAddress -fuzztime 1m -fuzzminimizetime 100x .
	go test -run '^$$' -fuzz FuzzCanonicalPath -fuzztime 1m .
	go test -run '^$$' -fuzz FuzzVerify -fuzztime 1m .
	go test -run '^$$' -fuzz FuzzHead -fuzztime 1m ./internal/http1
	go test -run '^$$' -fuzz FuzzConnections -fuzztime 1m ./internal/http2
	go test -run '^$$' -fuzz FuzzWhole -fuzztime 1m ./internal/proxy
	go test -run '^$$' -fuzz FuzzProxyProtocol -fuzztime 1m ./internal/server
	go test -run '^$$' -fuzz FuzzHTTP3Body -fuzztime 1m ./internal/server

.PHONY: torture-requests
torture-requests: ## compare how the gateway and Immich parse generated requests, for ten minutes in all
	$(INTEGRATE) -v -run 'Standalone|Traefik' ./differential -args -for=200s -report ../../docs/tested.md

.PHONY: bench
bench: ## measure what a request costs, in multiples of doing nothing, and how fast the standalone proxy is
	cd integration && go test -timeout 20m -run '^$$' -bench . -benchtime 100000x ./yaegi
	cd integration && go test -timeout 20m -run '^$$' -bench . -benchtime 20000x ./traefik
	cd integration && go test -timeout 20m -run '^$$' -bench Across -benchtime 3x ./standalone
	cd integration && go test -timeout 20m -run '^$$' -bench FirstByte -benchtime 200x ./standalone

.PHONY: bench-peers
bench-peers: ## compare the standalone proxy's processor time with nginx, HAProxy, Caddy and Traefik, which it builds the first time; ten minutes
	cd bench && go run . -json results.json -plot ../docs/images/performance.svg -page ../docs/performance.md

## Maintenance

.PHONY: lint
lint: ## look for mistakes and bad style
	$(GOLANGCI_LINT) run ./...
	cd integration && $(GOLANGCI_LINT) run --config ../.golangci.yml --build-tags slow,chart ./...
	cd bench && $(GOLANGCI_LINT) run --config ../.golangci.yml ./...
	$(ACTIONLINT)

VULNERABILITIES = $${GOVULNDB:-https://vuln.go.dev}

.PHONY: vuln
vuln: ## look for known vulnerabilities in what this uses; needs the Internet
	@curl -fsS -o /dev/null --max-time 30 $(VULNERABILITIES)/index/db.json || \
		{ echo "vuln: nothing was checked: the database at $(VULNERABILITIES) can't be reached" >&2; exit 1; }
	$(GOVULNCHECK) ./...
	cd integration && $(GOVULNCHECK) ./...

.PHONY: docs
docs: ## write docs/options.md, and the options in the README and the help, from the comments in the code
	go test -count 1 ./internal/optionsdoc -args -update

.PHONY: licenses
licenses: ## list the licences of the modules in vendor
	go test -count 1 ./internal/licenses -args -update

.PHONY: pictures
pictures: ## make the pictures of the documentation, the icon and the banner; needs Chromium and nginx
	cd integration && go run ./pictures ..

.PHONY: tidy
tidy: ## bring go.mod, go.sum and vendor up to date
	go mod tidy && go mod vendor
	cd integration && go mod tidy
	cd bench && go mod tidy
	cd integration/doctor/caddy && go mod tidy
	cd integration/kubernetes/apiserver && go mod tidy

## Releasing

.PHONY: release-snapshot
release-snapshot: ## build what a release publishes, in dist, and publish nothing
	$(GORELEASER) check
	$(GORELEASER) release --snapshot --clean

.PHONY: package
package: release-snapshot ## build what a release publishes, and try the Debian package under systemd; as root, on Linux
	$(INTEGRATE) -tags slow -run TestRelease ./docker

.PHONY: release-notes
release-notes: ## print what CHANGELOG.md says about VERSION=v0.1.0
	@awk -v version="$(VERSION)" '/^## / { found = $$2 == version; next } found { print; lines++ } END { exit !lines }' CHANGELOG.md || \
		{ echo "CHANGELOG.md has no section on $(VERSION)" >&2; exit 1; }

.PHONY: release
release: ## publish VERSION=v0.1.0 on GitHub, which the release workflow does
	@$(MAKE) -s build
	@build/immichaccess version | grep -qF "immichaccess $(VERSION) " || { echo "this is not a clone with the tag $(VERSION)" >&2; exit 1; }
	@$(MAKE) -s release-notes >build/release-notes.md
	$(GORELEASER) release --clean --release-notes=build/release-notes.md

IMAGE = ghcr.io/immichaccess/immichaccess

# "latest" never names a pre-release, such as v0.2.0-rc.1.
.PHONY: publish-image
publish-image: ## publish VERSION=v0.1.0 as a container image, which the release workflow does
	docker buildx create --use
	docker buildx build --platform linux/amd64,linux/arm64,linux/arm/v7 --push \
		$(foreach tag,$(VERSION:v%=%) $(if $(findstring -,$(VERSION)),,latest),--tag $(IMAGE):$(tag)) .
