// Package tiny is what the tests of rounds and report run: a real test binary
// with the names, sub-benchmarks, units and configuration lines of eventbench,
// that is done in a moment and misbehaves when its environment says so.
package tiny

import (
	"flag"
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// TINY holds what is to go wrong, as space-separated key=value; so does
// EVENTBENCH_TINY, which guests get too.
func fault(key string) (value string, ok bool) {
	for _, f := range strings.Fields(os.Getenv("TINY") + " " + os.Getenv("EVENTBENCH_TINY")) {
		if v, found := strings.CutPrefix(f, key+"="); found {
			return v, true
		}
	}
	return "", false
}

// histograms is eventbench's flag.
var histograms = flag.String("histograms", "", "")

func TestMain(m *testing.M) {
	flag.Parse()
	if flag.Lookup("test.bench").Value.String() != "" {
		clock := "wall"
		if c, ok := fault("clock"); ok {
			clock = c
		}
		fmt.Printf("kernel-release: 6.18.44-tiny\nkernel: 6.18\nclock: %s\n", clock)
		if c := os.Getenv("EVENTBENCH_CONFIG"); c != "" {
			fmt.Println(c)
		}
		if g, ok := fault("governor"); ok {
			fmt.Println("governor:", g)
		}
		fmt.Println("Unit p50-latency-ns better=lower")
		fmt.Println("Unit delivered/op better=higher")
	}
	code := m.Run()
	if _, ok := fault("end"); ok && measuring() {
		fmt.Fprintln(os.Stderr, "tiny: 1 file descriptor left")
		os.Exit(1)
	}
	if *histograms != "" {
		if err := os.MkdirAll(*histograms, 0o777); err != nil {
			panic(err)
		}
		if err := os.WriteFile(*histograms+"/Tiny.hlog", []byte("#\n"), 0o666); err != nil {
			panic(err)
		}
	}
	os.Exit(code)
}

// measuring tells a round from the survey before it.
func measuring() bool {
	return flag.Lookup("test.benchtime").Value.String() != "1x"
}

func leaf(b *testing.B, cost time.Duration) {
	for _, f := range []struct {
		key string
		do  func()
	}{
		{"skip", func() { b.Skip("tiny_call: function not implemented") }},
		{"always", func() { b.Fatal("100000 sent, 99999 received") }},
		{"hangonce", func() { hang(b) }},
	} {
		if name, ok := fault(f.key); ok && strings.Contains(b.Name(), name) {
			f.do()
		}
	}
	for _, f := range []struct {
		key string
		do  func()
	}{
		{"roundskip", func() { b.Skip("tiny_call: function not implemented") }},
		{"fail", func() { b.Fatal("100000 sent, 99999 received") }},
		{"hang", func() { hang(b) }},
		{"garble", func() { fmt.Println("BenchmarkGarbled or not") }},
		{"exit", func() {
			fmt.Fprintln(os.Stderr, "tiny: leaving in the middle")
			os.Exit(3)
		}},
		{"panic", func() { panic("tiny: a\nb") }},
		{"kill", func() {
			b.Log("about to be killed")
			syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}},
		{"leave", func() { // something behind that ends the process later
			go func() {
				time.Sleep(50 * time.Millisecond)
				os.Exit(5)
			}()
		}},
	} {
		if name, ok := fault(f.key); ok && strings.Contains(b.Name(), name) && measuring() {
			f.do()
		}
	}
	if path, ok := fault("fill"); ok && measuring() {
		fill(path)
	}
	if path, ok := fault("replace"); ok && measuring() {
		replace(b, path)
	}
	for b.Loop() {
		for start := time.Now(); time.Since(start) < cost; {
		}
	}
	if factor, ok := fault("cost"); ok {
		n, err := strconv.Atoi(factor)
		if err != nil {
			b.Fatal(err)
		}
		cost *= time.Duration(n)
	}
	if _, ok := fault("filters"); ok {
		cost *= time.Duration(1 + filters(b))
	}
	if path, ok := fault("wobble"); ok && measuring() {
		cost += time.Duration(14 * wobble(path) % 23)
	}
	b.ReportMetric(float64(cost.Nanoseconds()), "p50-latency-ns")
}

// filters returns the number of seccomp filters before each system call. It also
// makes the result another in each process, as real ones are.
func filters(b *testing.B) int {
	if measuring() {
		fmt.Println("# process", os.Getpid())
	}
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		b.Fatal(err)
	}
	for line := range strings.Lines(string(status)) {
		if n, ok := strings.CutPrefix(line, "Seccomp_filters:"); ok {
			filters, err := strconv.Atoi(strings.TrimSpace(n))
			if err != nil {
				b.Fatal(err)
			}
			return filters
		}
	}
	b.Skip("a kernel that does not count filters")
	return 0
}

// wobble counts by the length of a file how often it was called before, so that costs vary from process
// to process, and do so again in the next run.
func wobble(path string) int64 {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		panic(err)
	}
	if _, err := f.Write(make([]byte, 1)); err != nil {
		panic(err)
	}
	return st.Size()
}

// hang never returns, and has a child of its own like a peer=process
// benchmark; the file named by the fault pids gets both process ids.
func hang(b *testing.B) {
	if _, ok := fault("stubborn"); ok {
		signal.Ignore(syscall.SIGINT)
	}
	runtime.LockOSThread()
	peer := exec.Command("sleep", "600")
	peer.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := peer.Start(); err != nil {
		b.Fatal(err)
	}
	if path, ok := fault("pids"); ok {
		pids := fmt.Sprintf("%d\n%d\n", os.Getpid(), peer.Process.Pid)
		if err := os.WriteFile(path, []byte(pids), 0o666); err != nil {
			b.Fatal(err)
		}
	}
	time.Sleep(time.Hour) // select {} the runtime would find out
}

// replace does what a build does to the binary it makes: a new file of that name.
func replace(b *testing.B, path string) {
	if err := os.Remove(path); err != nil {
		b.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("another"), 0o777); err != nil {
		b.Fatal(err)
	}
}

// fill writes to path until the disk is full.
func fill(path string) {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o666)
	if err != nil {
		panic(err)
	}
	defer f.Close()
	for err == nil {
		_, err = f.Write(make([]byte, 1))
	}
}

func topologies(b *testing.B, cost time.Duration, leaf func(*testing.B, time.Duration)) {
	for _, peer := range []string{"thread", "process"} {
		if name, ok := fault("between"); ok && strings.Contains(b.Name(), name) && peer == "process" && measuring() {
			os.Exit(4)
		}
		for _, cpus := range []string{"same", "cross"} {
			b.Run("peer="+peer+"/cpus="+cpus, func(b *testing.B) { leaf(b, cost) })
		}
	}
}

func BenchmarkEventfdCreate(b *testing.B)    { leaf(b, 2*time.Microsecond) }
func BenchmarkEventfdSelf(b *testing.B)      { leaf(b, 1*time.Microsecond) }
func BenchmarkEventfdRoundTrip(b *testing.B) { topologies(b, 5*time.Microsecond, leaf) }

func BenchmarkSignalSelf(b *testing.B) {
	for _, via := range []string{"sigtimedwait", "signalfd"} {
		b.Run("sig=rt/via="+via, func(b *testing.B) { leaf(b, 3*time.Microsecond) })
	}
}

func BenchmarkSignalRoundTrip(b *testing.B) {
	b.Run("sig=rt/via=sigtimedwait", func(b *testing.B) { topologies(b, 7*time.Microsecond, leaf) })
}

func BenchmarkPipeCreate(b *testing.B)    { leaf(b, 4*time.Microsecond) }
func BenchmarkPipeSelf(b *testing.B)      { leaf(b, 2*time.Microsecond) }
func BenchmarkPipeRoundTrip(b *testing.B) { topologies(b, 6*time.Microsecond, leaf) }
