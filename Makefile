# Every target is a go command or a verb of go tool eventbench, whose help VERB
# tells more than make help. Recipes run what go tool -n names,
# for go tool itself exits 0 when a tool is killed. They exec it: a signal that
# only a shell in between got, such as SIGINT, the shell would keep to itself.

BENCH     ?= .
ROUNDS    ?= 10
BENCHTIME ?= 100ms
COUNT     ?= 1
SEED      ?= 1
RESULTS   ?= results
OF        ?=
OLD       ?=
NEW       ?=
ACROSS    ?=
KERNELS   ?= 5.10 6.1 6.12 6.18 7.3
KERNEL    ?=
ARCH      ?=
BOOTS     ?= 6
FILTER    ?=
BINARY    ?=
HISTOGRAMS ?=
FRESH     ?=
SOAK      ?= 30m
MAX       ?=

# A variable is data, whoever sets it. Recipes find these in their environment,
# just as the user wrote them: the $, quotes and blanks of a pattern are neither
# make's nor the shell's business. What the command line sets make would expand
# for the environment, whatever it is called.
override GIVEN := BENCH ROUNDS BENCHTIME COUNT SEED RESULTS OF OLD NEW ACROSS FILTER KERNELS KERNEL ARCH BOOTS BINARY HISTOGRAMS FRESH MAX SOAK
override v :=
$(foreach v,$(.VARIABLES),$(if $(filter command override,$(origin $v)),$(eval override $v := $$(value $v))))
$(foreach v,$(GIVEN),$(eval override $v := $$(value $v)))
export $(GIVEN)

# Whose end is the end of a tool that a recipe runs: make's, which keeps a
# SIGINT or SIGHUP for itself alone to itself.
override MAKE_PID := $(shell echo $$PPID)
export MAKE_PID

# One target at a time, in the order given: two would measure each other, and
# headline shows what bench has measured.
.NOTPARALLEL:

.PHONY: help
help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile
	@echo
	@echo "  BENCH=regexp ROUNDS=n BENCHTIME=1s|1000x COUNT=n SEED=n RESULTS=dir"
	@echo "    narrow or widen bench: make bench BENCH='Eventfd|Pipe' ROUNDS=20"
	@echo "  HISTOGRAMS=1"
	@echo "    keep the latencies beside each round, for HdrHistogram's tools"
	@echo "  SOAK=30m"
	@echo "    soak for another time"
	@echo "  KERNELS='6.12; 6.12 mitigations=off nohz=off; ./bzImage'"
	@echo "    kernels, and what is set for them: help guest"
	@echo "  ARCH=arm64"
	@echo "    guests of another architecture, for kernels, where, gate-kernels, baselines and behaviours"
	@echo "  MAX=n"
	@echo "    let gate-kernels and gate-arms measure at most n samples a side (18 boots, 89 rounds)"

# One build for all rounds. Without VCS stamps: a commit is no new build.
.PHONY: eventbench.test
eventbench.test:
	@go test -c -buildvcs=false -o eventbench.test .

.PHONY: bench bench-full
bench: ## measure this kernel, but for what takes long; print all figures
bench-full: ## the same with tails, growth, wake-ups, lateness, loops and techniques
bench bench-full: eventbench.test
	@exec "$$(go tool -n eventbench)" bench $(if $(filter bench-full,$@),-long) -bench="$$BENCH" -rounds="$$ROUNDS" -benchtime="$$BENCHTIME" \
		-count="$$COUNT" -seed="$$SEED" $${HISTOGRAMS:+-histograms} -results="$$RESULTS" -report summary -- eventbench.test

.PHONY: soak
soak: eventbench.test ## does one ever fail? all benchmarks in short rounds, beside busy processes and on one CPU, for SOAK
	@exec "$$(go tool -n eventbench)" soak -time="$$SOAK" -bench="$$BENCH" -- eventbench.test

.PHONY: headline
headline: ## eventfd against the others: of the last bench or OF=directory; FILTER='/peer:thread'
	@of="$${OF:-$$RESULTS/latest}" && test -e "$$of" || { printf 'no results in %s: make bench makes them\n' "$$of" >&2; exit 1; } && \
	exec "$$(go tool -n eventbench)" headline -filter="$$FILTER" -- "$$of"

.PHONY: growth
growth: ## what grows, and how: of the last bench-full or OF=directory
	@of="$${OF:-$$RESULTS/latest}" && test -e "$$of" || { printf 'no results in %s: make bench-full makes them\n' "$$of" >&2; exit 1; } && \
	exec "$$(go tool -n eventbench)" growth -- "$$of"

.PHONY: compare
compare: ## what changed from OLD to NEW, files or directories; ACROSS=sandbox lets that differ
	@exec "$$(go tool -n eventbench)" compare -across="$$ACROSS" -- $${OLD:+"$$OLD"} $${NEW:+"$$NEW"}

.PHONY: page
page: ## one HTML page to look at and to share, page.html: of the recorded baselines or OF="files and directories"
	@set -f; exec "$$(go tool -n eventbench)" page -- $${OF:-testdata/baselines}

# Guests have no libraries, and counting needs no race detector. The program is
# linked to where the guest's init has nothing: where stops at addresses of it,
# and each stop in another program moves the guest's clock a little. (The ELF
# header is the page before: arm64 wants that at a multiple of 64 KiB.) A guest has
# the architecture of its program. Who builds kernels may have ARCH set for those,
# to a name of their makefiles.
override goarch = case $$ARCH in x86 | x86_64) echo amd64 ;; aarch64) echo arm64 ;; *) printf %s "$$ARCH" ;; esac
.PHONY: eventbench.static behaviours.static
eventbench.static:
	@CGO_ENABLED=0 GOARCH="$$($(goarch))" go test -c -buildvcs=false -ldflags=-T=0x10001000 -o eventbench.static .
behaviours.static:
	@CGO_ENABLED=0 GOARCH="$$($(goarch))" go test -c -buildvcs=false -o behaviours.static ./behaviours

# KERNELS has blanks between its columns, or where it has a semicolon, semicolons:
# a column with settings has blanks. Nothing in it is the shell's.
override columns = set -f; case $$KERNELS in *\;*) IFS=';' ;; esac

.PHONY: kernels
kernels: eventbench.static ## what it costs on other KERNELS: counted instructions, BOOTS guests of each
	@test "$$BENCH" = . || set -- -bench="$$BENCH"; \
	$(columns); exec "$$(go tool -n eventbench)" kernels "$$@" -boots="$$BOOTS" -results="$$RESULTS" -- eventbench.static $$KERNELS

.PHONY: where
where: eventbench.static ## in which kernel functions an operation's instructions are, and which make the difference between two KERNELS
	@test "$$BENCH" = . || set -- -bench="$$BENCH"; \
	$(columns); exec "$$(go tool -n eventbench)" where "$$@" -seed="$$SEED" -o="$$RESULTS/where" -- eventbench.static $$KERNELS

# Tests need testdata, which the sandbox finds where go test runs the binary.
.PHONY: gvisor
gvisor: eventbench.static behaviours.static ## what it costs under gVisor: which rows are not as recorded, ROUNDS of both in turn, what costs most more
	@go tool eventbench gvisor -build >/dev/null
	@"$$(go tool -n eventbench)" behaviours -format=counts -results="$$RESULTS" -- behaviours.static gvisor || \
		{ s=$$?; test $$s = 1 || exit $$s; echo "gvisor: not all rows are as recorded: see above" >&2; }
	@"$$(go tool -n eventbench)" gvisor eventbench.static || \
		{ s=$$?; test $$s = 1 || exit $$s; echo "gvisor: tests fail there: see above" >&2; }
	@exec "$$(go tool -n eventbench)" bench -arm host= -arm 'gvisor=go tool eventbench gvisor' -bench="$$BENCH" -rounds="$$ROUNDS" \
		-benchtime="$$BENCHTIME" -count="$$COUNT" -seed="$$SEED" -results="$$RESULTS" \
		-report 'compare -across sandbox -most 15' -- eventbench.static

.PHONY: gate-kernels
gate-kernels: eventbench.static ## is NEW, a series or a bzImage, worse than OLD? boots both until the gate can tell
	@test "$$BENCH" = . || set -- -bench="$$BENCH"; \
	exec "$$(go tool -n eventbench)" gate-kernels "$$@" $${MAX:+-max="$$MAX"} -results="$$RESULTS" -- eventbench.static "$$OLD" "$$NEW"

.PHONY: baselines
baselines: eventbench.static ## record KERNELS in testdata/baselines, for gate-kernels OLD=testdata/baselines/6.12.txt
	@$(columns); exec "$$(go tool -n eventbench)" baselines -results="$$RESULTS" -- eventbench.static $$KERNELS

.PHONY: gate-arms
gate-arms: $(filter eventbench.test eventbench.static,$(BINARY)) ## the same on this kernel: OLD and NEW end in a test binary, or with BINARY=eventbench.test go before it
	@test "$$BENCH" = . || set -- -bench="$$BENCH"; \
	exec "$$(go tool -n eventbench)" gate-arms "$$@" $${MAX:+-max="$$MAX"} -results="$$RESULTS" -- $${BINARY:+"$$BINARY"} "$$OLD" "$$NEW"

.PHONY: behaviours
behaviours: behaviours.static ## which promises hold on other KERNELS, under gVisor and here, row by row; with ARCH on KERNELS alone
	@test -n "$$ARCH" || set -- gvisor host; \
	$(columns); exec "$$(go tool -n eventbench)" behaviours -results="$$RESULTS" -- behaviours.static $$KERNELS "$$@"

.PHONY: mutants
mutants: behaviours.static ## check the tests on kernels with one mutation each: an hour
	@exec "$$(go tool -n eventbench)" mutants -results="$$RESULTS" -o testdata/mutants/results.txt behaviours.static

.PHONY: gate-selftest
gate-selftest: ## how often is the gate wrong? on recorded runs, in some minutes; FRESH=1 measures anew, for an hour or two
	@test -z "$$FRESH" || set -- -record="$$RESULTS/selftest/data" -results="$$RESULTS/selftest"; \
	exec "$$(go tool -n eventbench)" selftest "$$@"

.PHONY: fidelity
fidelity: ## the same loops in Go and in C, alternated: what Go adds; KERNEL=6.12: in instructions, in BOOTS guests of it
	@test -z "$$KERNEL" || set -- -pairs="$$BOOTS" -n=150 -kernel="$$KERNEL"; \
	exec "$$(go tool -n eventbench)" fidelity "$$@"

.PHONY: docs
docs: ## write the generated tables of docs again, from recorded samples
	@go test ./docs -run='^TestExamples$$' -count=1 -update

.PHONY: test
test: ## the tests, as go test ./... runs them, and what this machine lacks to try all
	@exec "$$(go tool -n eventbench)" test ./...

.PHONY: check
check: ## everything CI runs
	@unformatted=$$(gofmt -l .) && test -z "$$unformatted" || { echo "gofmt -w:" $$unformatted; exit 1; }
	go vet ./...
	GOARCH=arm64 go vet ./...
	go tool staticcheck ./...
	go mod tidy -diff
	go tool actionlint
	@echo "GOOS=darwin go vet . # must say that this is for Linux"
	@! out=$$(GOOS=darwin go vet . 2>&1) && echo "$$out" | grep -q Linux || { echo "$$out"; exit 1; }
	@if command -v shellcheck; then shellcheck .ci/* docs/machines/parallel docs/machines/slurm; else echo "no shellcheck here: .ci not checked"; fi
	@exec "$$(go tool -n eventbench)" test -race ./...
	@echo "make bench, one round"
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT INT TERM && \
	make --no-print-directory bench RESULTS="$$dir" ROUNDS=1 BENCHTIME=100x BENCH='Eventfd|PipeSelf' && \
	make --no-print-directory headline OF="$$dir"
