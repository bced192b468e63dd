//go:build linux

package main

// A row is a benchmark that has a namesake in C.
type row struct {
	name string // without "Benchmark" and the suffix for GOMAXPROCS
	// atMost is the ratio of Go to C to reach: what an executor adds to calls
	// that does not pass through the Go scheduler.
	atMost float64
}

// most returns the ratio to reach when sides are compared in unit.
//
// Entering the kernel alone takes no more time from Go than from C. It does
// take more instructions, some thirty, since the executor reads its calls
// from a table; next to what the entry costs a processor they hardly count.
func (r row) most(unit string) float64 {
	if unit == "instrs/op" && r.atMost == null {
		return 1.15
	}
	return r.atMost
}

const null = 1.00

const (
	same   = "/cpus=same"
	thread = "/peer=thread" + same
	peer   = "/peer=process" + same
)

var rows = []row{
	{"NullGetppid", null},
	{"NullNoSuchCall", null},
	{"EventfdCreate", 1.05},
	{"EventfdSelf", 1.05},
	{"PipeCreate", 1.05},
	{"PipeSelf", 1.05},
	{"SocketpairCreate", 1.05},
	{"SocketpairSelf", 1.05},
	{"FutexSelf", 1.08},
	{"EpollCreate", 1.05},
	{"EpollCtl/op=mod", 1.07},
	{"EpollCtl/op=adddel", 1.07},
	{"EpollWait/ready=0", 1.05},
	{"EpollWait/ready=1", 1.05},
	{"EpollSelf", 1.05},
	{"TimerfdCreate", 1.05},
	{"TimerfdArm", 1.08},
	{"TimerfdSelf", 1.08},
	{"SignalfdCreate", 1.05},
	{"SignalSelf/sig=std/via=sigtimedwait", 1.05},
	{"SignalSelf/sig=std/via=signalfd", 1.05},
	{"SignalSelf/sig=std/via=handler", 1.05},
	{"SignalSelf/sig=rt/via=sigtimedwait", 1.05},
	{"SignalSelf/sig=rt/via=signalfd", 1.05},
	{"SignalSelf/sig=rt/via=handler", 1.05},
	{"EventfdRoundTrip" + thread, 1.10},
	{"EventfdRoundTrip" + peer, 1.05},
	{"PipeRoundTrip" + thread, 1.10},
	{"PipeRoundTrip" + peer, 1.05},
	{"SocketpairRoundTrip" + thread, 1.10},
	{"SocketpairRoundTrip" + peer, 1.05},
	{"FutexRoundTrip" + thread, 1.10},
	{"FutexRoundTrip" + peer, 1.05},
	{"EpollRoundTrip" + thread, 1.10},
	{"EpollRoundTrip" + peer, 1.05},
	{"SignalRoundTrip/sig=std/via=sigtimedwait" + thread, 1.10},
	{"SignalRoundTrip/sig=std/via=sigtimedwait" + peer, 1.05},
	{"SignalRoundTrip/sig=std/via=signalfd" + thread, 1.10},
	{"SignalRoundTrip/sig=std/via=signalfd" + peer, 1.05},
	{"SignalRoundTrip/sig=std/via=handler" + thread, 1.10},
	{"SignalRoundTrip/sig=std/via=handler" + peer, 1.05},
	{"SignalRoundTrip/sig=rt/via=sigtimedwait" + thread, 1.10},
	{"SignalRoundTrip/sig=rt/via=sigtimedwait" + peer, 1.05},
	{"SignalRoundTrip/sig=rt/via=signalfd" + thread, 1.10},
	{"SignalRoundTrip/sig=rt/via=signalfd" + peer, 1.05},
	{"SignalRoundTrip/sig=rt/via=handler" + thread, 1.10},
	{"SignalRoundTrip/sig=rt/via=handler" + peer, 1.05},
}

func names(rows []row) []string {
	var s []string
	for _, r := range rows {
		s = append(s, r.name)
	}
	return s
}
