// Package mechanisms has the one list of what is measured: the mechanisms and
// the operations of each. Everything that names benchmarks is derived from it:
// the sets that kernels and the gate measure, the headline, the comparison with
// C, and the benchmarks that a short run leaves out.
//
// A new mechanism is a line in [All]: its operations decide which sets it is
// in. A test of package eventbench fails for a benchmark that is not listed,
// and for a listed one that does not exist.
package mechanisms

import (
	"slices"
	"strings"
)

// An Operation is what is done with a mechanism: the second part of a
// benchmark's name.
type Operation struct {
	Name string

	// Headline is whether the headline compares mechanisms in this
	// operation. Operations are in the table's order.
	Headline bool

	// Usual and Gate say which of the operation's benchmarks are in a set:
	// [Whole], [None], or those of a place, such as "/peer=process".
	//
	// The usual set has the benchmarks whose instructions say most about a
	// kernel: what one thread does alone, and round trips between
	// processes. A stream's figure depends on who runs when, and threads'
	// round trips differ from processes' by the switch of address space
	// alone.
	//
	// The gated set has the benchmarks that show a worse kernel soonest: on
	// one CPU, where counts are exact or nearly so, and without the Go
	// runtime.
	Usual, Gate string

	// C are the benchmarks with a namesake in
	// testdata/reference/reference.c.
	C []Reference

	// Family is the name of a group of operations that take so long that
	// they run only if a pattern names the group.
	Family string

	// Sized is whether its benchmarks have a size in their names, over
	// which report growth draws curves.
	Sized bool
}

const (
	None  = ""  // no benchmark of the operation
	Whole = "." // all of them
)

// A Reference is a benchmark with a namesake in C.
type Reference struct {
	Place string // the end of its name: /peer=thread/cpus=same
	// AtMost is the highest acceptable ratio of Go to C: the cost that an
	// executor outside the Go scheduler adds to calls.
	AtMost float64
}

// once is the reference of an operation with one placement.
func once(atMost float64) []Reference { return []Reference{{"", atMost}} }

// A Mechanism is a way to tell a program that something happened, or something
// to compare one with: the first part of a benchmark's name.
type Mechanism struct {
	Name string

	// Ways are the parts of the names of its benchmarks that come before
	// those of the place, where it has several: /sig=rt/via=handler.
	Ways []string

	// Aside is whether it serves another purpose than the others, and so is
	// in the headline only on request.
	Aside bool

	Operations []Operation
}

// The operations that several mechanisms have.
var (
	create = Operation{Name: "Create", Headline: true, Usual: Whole, Gate: Whole, C: once(1.05)}
	self   = Operation{Name: "Self", Headline: true, Usual: Whole, Gate: Whole, C: once(1.05)}
	empty  = Operation{Name: "Empty", Headline: true, Usual: Whole, Gate: Whole, C: once(1.05)}
	trip   = Operation{Name: "RoundTrip", Headline: true, Usual: "/peer=process", Gate: "/peer=process/cpus=same",
		C: []Reference{{"/peer=thread/cpus=same", 1.10}, {"/peer=process/cpus=same", 1.05}}}
	throughput = Operation{Name: "Throughput", Headline: true}
	oneWay     = Operation{Name: "OneWay", Family: "OneWay"}
	wake       = Operation{Name: "Wake", Family: "Wake", Sized: true}
	arm        = Operation{Name: "Arm", Usual: Whole, Gate: Whole, C: once(1.08)}
	expire     = Operation{Name: "Expire"}
	lateness   = Operation{Name: "Lateness", Family: "Lateness"}
	technique  = Operation{Name: "Technique", Family: "Technique"}
)

// growth is a cost by a size: of waiting, of throughput.
func growth(of string) Operation {
	return Operation{Name: of + "Growth", Family: "Growth", Sized: true}
}

// loop is an operation of event loops.
func loop(name string) Operation { return Operation{Name: name, Family: "Loop"} }

// atMost is o with another ratio to C.
func (o Operation) atMost(ratio float64) Operation {
	o.C = once(ratio)
	return o
}

// withC is o with namesakes in C at these places alone.
func (o Operation) withC(places ...Reference) Operation {
	o.C = places
	return o
}

// noC is o without a namesake in C.
func (o Operation) noC() Operation {
	o.C = nil
	return o
}

// notGated is o outside the gated set.
func (o Operation) notGated() Operation {
	o.Gate = None
	return o
}

// in is o with those of its benchmarks in the sets that are at these places.
func (o Operation) in(usual, gate string) Operation {
	o.Usual, o.Gate = usual, gate
	return o
}

// All are the mechanisms, in the headline's order. The headline compares all
// others with the first.
var All = []Mechanism{
	{Name: "Eventfd", Operations: []Operation{create, self, empty, trip, throughput, oneWay, wake, growth("Throughput")}},
	{Name: "Signal", Ways: ways, Operations: []Operation{self, empty.noC(), trip, throughput, oneWay, growth("Queue")}},
	{Name: "Signalfd", Operations: []Operation{create, empty}},
	{Name: "OSSignal", Operations: []Operation{self.noC().notGated(), throughput}}, // the Go runtime's part moves
	{Name: "Epoll", Operations: []Operation{create, self, trip, throughput, oneWay, wake,
		{Name: "Ctl", Usual: Whole, Gate: Whole, C: []Reference{{"/op=mod", 1.07}, {"/op=adddel", 1.07}}},
		{Name: "Wait", Usual: Whole, Gate: Whole, C: []Reference{{"/ready=0", 1.05}, {"/ready=1", 1.05}}},
		growth("Wait"), growth("Ctl"), growth("Trigger"), growth("Nest"), growth("Register")}},
	{Name: "Pipe", Operations: []Operation{create, self, empty, trip, throughput, oneWay, wake}},
	{Name: "Socketpair", Operations: []Operation{create, self, empty, trip.notGated(), throughput, oneWay}}, // two modes 14 % apart
	{Name: "Futex", Operations: []Operation{self.atMost(1.08), trip, oneWay, wake}},
	{Name: "Futex2", Operations: []Operation{self.noC().notGated(), trip.noC().in("/via=wait/peer=process", None)}},
	// The kernel frees a closed ring later. Until then its memory counts
	// against RLIMIT_MEMLOCK, which a loop of Create exceeds but for root.
	{Name: "Ring", Operations: []Operation{{Name: "Create", Headline: true, Family: "RingCreate"}, empty.noC().notGated(),
		self.withC(Reference{"/op=nop/setup=plain", 1.08}, Reference{"/op=read/setup=plain", 1.08}).
			in("/op=(nop|read|msg)", "/op=(nop|read)/setup=plain"),
		trip.noC().in("/via=(read|msg)/setup=defer/peer=process", "/via=(read|msg)/setup=defer/peer=process/cpus=same"),
		throughput, oneWay, wake, growth("Wait"), {Name: "Waker", Family: "Waker"}}},
	{Name: "Timerfd", Aside: true, Operations: []Operation{create, self.atMost(1.08).notGated(), empty, arm, expire, lateness}}, // expiries move by 1 %
	{Name: "PosixTimer", Aside: true, Operations: []Operation{arm.noC().notGated(), expire, lateness}},
	{Name: "Nanosleep", Aside: true, Operations: []Operation{expire, lateness}},
	{Name: "EpollTimeout", Aside: true, Operations: []Operation{expire, lateness}},
	{Name: "Poll", Operations: []Operation{growth("")}},
	{Name: "Select", Operations: []Operation{growth("")}},
	{Name: "Loop", Operations: []Operation{loop("Mixed"), loop("Share"), loop("Post"), loop("Use")}},
	{Name: "Pin", Operations: []Operation{technique}},
	{Name: "FIFO", Operations: []Operation{technique}},
	{Name: "Mlock", Operations: []Operation{technique}},
	{Name: "Slack", Operations: []Operation{technique}},
	{Name: "Spin", Operations: []Operation{technique}},
	{Name: "BoundedSpin", Operations: []Operation{technique}},
	{Name: "BusyPoll", Operations: []Operation{technique}},
	{Name: "Batch", Operations: []Operation{technique}},
	{Name: "Counter", Operations: []Operation{technique}},
	{Name: "Edge", Operations: []Operation{technique}},
	// Baselines for the others: a call that does next to nothing, and the
	// harness alone.
	{Name: "Null", Operations: []Operation{
		{Name: "Getppid", Usual: Whole, Gate: Whole, C: once(EntryAlone)},
		{Name: "NoSuchCall", Usual: Whole, Gate: Whole, C: once(EntryAlone)}}},
	{Name: "Harness", Operations: []Operation{{Name: ""}, {Name: "Stamp"}}},
}

// EntryAlone is the highest acceptable ratio to C of a call that only enters the
// kernel: the executor takes some 5 ns of 90, looking up the next call and checking
// the result. Where the kernel clears the return predictor, C takes longer than Go.
const EntryAlone = 1.10

// ways are how signals of both classes are received.
var ways = []string{
	"/sig=std/via=sigtimedwait", "/sig=std/via=signalfd", "/sig=std/via=handler",
	"/sig=rt/via=sigtimedwait", "/sig=rt/via=signalfd", "/sig=rt/via=handler",
}

// Usual and Gate are patterns, for go test -bench, of the usual and the gated
// set. See [Operation].
var (
	Usual = pattern(func(o Operation) string { return o.Usual })
	Gate  = pattern(func(o Operation) string { return o.Gate })
)

// pattern returns a pattern that matches the benchmarks of a set. of returns
// which of an operation's are in it.
func pattern(of func(Operation) string) string {
	var places []string // below the names, in the order in which they come
	names := map[string][]string{}
	for _, m := range All {
		// Other parts of the names precede the place.
		before := ""
		if len(m.Ways) > 0 {
			before = strings.Repeat("/", strings.Count(m.Ways[0], "/"))
		}
		for _, o := range m.Operations {
			place := of(o)
			switch place {
			case None:
				continue
			case Whole:
				place = ""
			default:
				place = before + place
			}
			if names[place] == nil {
				places = append(places, place)
			}
			names[place] = append(names[place], m.Name+o.Name)
		}
	}
	var all []string
	for _, place := range places {
		all = append(all, "^Benchmark("+strings.Join(names[place], "|")+")$"+place)
	}
	return strings.Join(all, "|")
}

// Benchmarks returns the names of all benchmarks.
func Benchmarks() (names []string) {
	for _, m := range All {
		for _, o := range m.Operations {
			names = append(names, "Benchmark"+m.Name+o.Name)
		}
	}
	return names
}

// A Row is a benchmark that has a namesake in C.
type Row struct {
	Name   string // without "Benchmark" and the suffix for GOMAXPROCS
	AtMost float64
}

// References returns the benchmarks with a namesake in C: those of one thread
// first, then those of two.
func References() []Row {
	var alone, two []Row
	for _, m := range All {
		ways := m.Ways
		if ways == nil {
			ways = []string{""}
		}
		for _, o := range m.Operations {
			for _, way := range ways {
				for _, c := range o.C {
					row := Row{m.Name + o.Name + way + c.Place, c.AtMost}
					if strings.HasPrefix(c.Place, "/peer=") {
						two = append(two, row)
					} else {
						alone = append(alone, row)
					}
				}
			}
		}
	}
	return append(alone, two...)
}

// Headline returns the operations in which the headline compares mechanisms, in
// the table's order.
func Headline() (operations []string) {
	for _, m := range All {
		for _, o := range m.Operations {
			if o.Headline && !slices.Contains(operations, o.Name) {
				operations = append(operations, o.Name)
			}
		}
	}
	return operations
}

// LeftOut returns the benchmarks that a run leaves out unless it is asked for
// all. bench is the run's pattern, as of go test -bench, and matched are the
// benchmarks that it matches. A member of a long family is left out if the
// pattern does not name it and matches others: "." leaves out all of them,
// "Eventfd" leaves out EventfdOneWay, and "Growth|Pipe" PipeOneWay, but
// "OneWay" and "^BenchmarkPin" none.
func LeftOut(bench string, matched []string) []string {
	left := slices.DeleteFunc(slices.Clone(matched), func(name string) bool {
		family := operation(strings.TrimPrefix(name, "Benchmark")).Family
		return family == "" || strings.Contains(bench, family)
	})
	if len(left) == len(matched) {
		return nil
	}
	return left
}

// Families returns the families that take long.
func Families() (names []string) {
	for _, m := range All {
		for _, o := range m.Operations {
			if o.Family != "" && !slices.Contains(names, o.Family) {
				names = append(names, o.Family)
			}
		}
	}
	return names
}

// Order returns a mechanism's place in the headline. An unlisted one comes
// last.
func Order(name string) int {
	if i := slices.IndexFunc(All, func(m Mechanism) bool { return m.Name == name }); i >= 0 {
		return i
	}
	return len(All)
}

// Split returns a benchmark's mechanism and the operation's name. An unlisted
// benchmark has no mechanism and is all operation. name is without "Benchmark"
// and what is below.
func Split(name string) (mechanism, operation string) {
	for _, m := range All {
		for _, o := range m.Operations {
			if m.Name+o.Name == name {
				return m.Name, o.Name
			}
		}
	}
	return "", name
}

// Asides returns the mechanisms that have the headline's operations but are in
// it only on request.
func Asides() (names []string) {
	for _, m := range All {
		if m.Aside && slices.ContainsFunc(m.Operations, func(o Operation) bool { return o.Headline }) {
			names = append(names, m.Name)
		}
	}
	return names
}

// IsSized reports whether a benchmark has a size in its name: key=number. name
// is without "Benchmark" and what is below.
func IsSized(name string) bool { return operation(name).Sized }

// operation returns a benchmark's operation, or none if the benchmark is not
// listed. name is without "Benchmark".
func operation(name string) Operation {
	for _, m := range All {
		for _, o := range m.Operations {
			if m.Name+o.Name == name {
				return o
			}
		}
	}
	return Operation{}
}
