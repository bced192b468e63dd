//go:build linux

package behaviour

import (
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"eventbench/helpers/child"
	"eventbench/helpers/need"
)

const victims = `
VIC-01 holds

VIC-02 breaks
  source: nowhere

VIC-03 is absent

VIC-04 needs a privilege

VIC-05 hangs

VIC-06 leaves a signal pending

VIC-07 has no test

VIC-09 runs in parallel

VIC-10 holds in a process of its own

VIC-11 breaks in a process of its own

VIC-12 is skipped in a process of its own

VIC-13 holds in part

VIC-14 holds in part in a process of its own

VIC-15 leaves timers

VIC-16 stops them, for those that run in parallel
`

func TestMain(m *testing.M) {
	child.Main()
	os.Exit(m.Run())
}

var (
	holdsAlone = Alone(func(t testing.TB) {
		var set unix.Sigset_t
		if err := unix.PthreadSigmask(unix.SIG_BLOCK, nil, &set); err != nil {
			t.Fatal(err)
		}
		if set.Val[0] != 1<<(unix.SIGUSR1-1) || unix.Getpid() != unix.Gettid() {
			t.Errorf("mask %#x, process %d, thread %d", set.Val[0], unix.Getpid(), unix.Gettid())
		}
		t.Log("mask", set.Val[0])
	}, unix.SIGUSR1)
	breaksAlone = Alone(func(t testing.TB) {
		t.Cleanup(func() { t.Errorf("cleaned up") })
		t.Error("counter is", 4)
		t.Fatalf("counter is %d", 5)
	})
	partlyAlone = Alone(func(t testing.TB) {
		Partly(t, "limit", "only %d CPU", 1)
	})
	skippedAlone = Alone(func(t testing.TB) {
		Limited(t, "only %d CPU", 1)
	})
)

// TestRun runs TestVictims, most of which is meant to fail.
func TestVictims(t *testing.T) {
	if os.Getenv("BEHAVIOUR_VICTIMS") == "" {
		need.Unasked(t, "TestRun runs it")
	}
	Inventory = fstest.MapFS{"victim.txt": {Data: []byte(victims)}}
	limit = 5 * time.Second // for VIC-05; still enough to start processes on a busy machine
	t.Cleanup(func() { Report(os.Stdout, "") })
	var id int32 // of a POSIX timer
	Run(t, "victim", map[string]func(*testing.T){
		"VIC-01": func(t *testing.T) {
			if unix.Getpid() == unix.Gettid() {
				t.Error("it runs on the first thread")
			}
		},
		"VIC-02": func(t *testing.T) { t.Fatal("counter is 3, want 5") },
		"VIC-03": func(t *testing.T) { Absent(t, "no %s", "AIO") },
		"VIC-04": func(t *testing.T) { Unprivileged(t, "another user id") },
		"VIC-05": func(t *testing.T) {
			if err := unix.Pause(); err != unix.EINTR {
				t.Errorf("pause: %v, want EINTR", err)
			}
		},
		"VIC-06": func(t *testing.T) {
			set := unix.Sigset_t{Val: [16]uint64{1 << (unix.SIGUSR1 - 1)}}
			if err := unix.PthreadSigmask(unix.SIG_BLOCK, &set, nil); err != nil {
				t.Fatal(err)
			}
			unix.Tgkill(unix.Getpid(), unix.Gettid(), unix.SIGUSR1)
		},
		"VIC-08": func(t *testing.T) {},
		"VIC-09": func(t *testing.T) { t.Parallel() },
		"VIC-10": holdsAlone,
		"VIC-11": breaksAlone,
		"VIC-12": skippedAlone,
		"VIC-13": func(t *testing.T) { Partly(t, "privilege", "only %s may", "root") },
		"VIC-14": partlyAlone,
		"VIC-15": func(t *testing.T) {
			if _, err := unix.Setitimer(unix.ItimerVirtual, unix.Itimerval{Value: unix.Timeval{Sec: 1000}}); err != nil {
				t.Fatal(err)
			}
			event := [8]uint64{1: 1 << 32} // SIGEV_NONE
			if _, _, errno := unix.RawSyscall(unix.SYS_TIMER_CREATE, unix.CLOCK_MONOTONIC, uintptr(unsafe.Pointer(&event)), uintptr(unsafe.Pointer(&id))); errno != 0 {
				t.Fatal(errno)
			}
		},
		"VIC-16": func(t *testing.T) {
			unix.Setitimer(unix.ItimerVirtual, unix.Itimerval{})
			unix.RawSyscall(unix.SYS_TIMER_DELETE, uintptr(id), 0, 0)
		},
	})
}

func TestRun(t *testing.T) {
	cmd := exec.Command(os.Args[0], "-test.run=TestVictims", "-test.v")
	cmd.Env = append(os.Environ(), "BEHAVIOUR_VICTIMS=1")
	out, err := cmd.CombinedOutput()
	if err == nil {
		t.Error("it succeeded")
	}
	for _, want := range []string{
		`(?m)^    --- PASS: TestVictims/VIC-01 `,
		`(?m)^    --- FAIL: TestVictims/VIC-02 `,
		`counter is 3, want 5\n.*VIC-02: breaks`,
		`--- SKIP: TestVictims/VIC-03 `,
		`absent: no AIO`,
		`privilege: another user id`,
		`--- FAIL: TestVictims/VIC-05 `,
		`still running after .*interrupting it`,
		`--- FAIL: TestVictims/VIC-06 `,
		`VIC-06 left pending signals 0x200, were 0x0`,
		`VIC-07 \(has no test\) has no test`,
		`VIC-08 has a test but no row in testdata/behaviours/victim.txt`,
		`--- PASS: TestVictims/VIC-09 `,
		`--- PASS: TestVictims/VIC-10 `,
		`mask 512`,
		`--- FAIL: TestVictims/VIC-11 `,
		`exit status 1: counter is 4\n *counter is 5\n *cleaned up\n *the row is broken`,
		`limit: only 1 CPU`,
		`in part, privilege: only root may`,
		`in part, limit: only 1 CPU`,
		`VIC-15 left interval timer 1 armed`,
		`behaviours: 15 rows: 7 held \(2 of them in part\), 5 broken, 3 skipped \(absent 1, limit 1, privilege 1\)`,
	} {
		if !regexp.MustCompile(want).Match(out) {
			t.Errorf("the output lacks %s", want)
		}
	}
	if _, err := os.Stat("/proc/self/timers"); err == nil && !regexp.MustCompile(`VIC-15 left 1 POSIX timers`).Match(out) {
		t.Error("the output does not tell of a POSIX timer that was left")
	}
	if t.Failed() {
		t.Logf("%s", out)
	}
}

func TestParse(t *testing.T) {
	rows, err := Parse("x", strings.NewReader("EFD-99 a\n  source: b: c\n\n\nEFD-100 d e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if len(rows) != 2 || rows[0].Notes["source"] != "b: c" || rows[1].Statement != "d e" || rows[1].Line != 5 {
		t.Errorf("%+v", rows)
	}
	for _, c := range []struct{ text, want string }{
		{"", "x: no rows"},
		{"\n  source: a\n", "x:2: an indented line outside a row"},
		{"EFD-01 a\n  sauce: b\n", "x:2: \"sauce: b\" is not one of source, "},
		{"EFD-01 a\n  source b\n", "x:2: \"source b\" is not one of source, "},
		{"EFD-01 a\n  source: b\n  source: c\n", "x:3: a second source for EFD-01"},
		{"EFD-01 a\nEFD-02 b\n", "x:2: no blank line between EFD-01"},
		{"EFD-01\n", "x:1: \"EFD-01\" is not an id such as"},
		{"efd-01 a\n", "is not an id such as"},
		{"EFD-01 a\n\nEFD-01 b\n", "x:3: EFD-01 after EFD-01: ids must ascend"},
		{"EFD-01 a\n\nEPL-02 b\n", "x:3: EPL-02 after EFD-01: a file has one kind of id"},
	} {
		if _, err := Parse("x", strings.NewReader(c.text)); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("Parse(%q): %v, want %s", c.text, err, c.want)
		}
	}
}

func TestSince(t *testing.T) {
	v := release()
	for _, c := range []struct {
		major, minor int
		want         bool
	}{
		{v[0], v[1], true}, {v[0], v[1] + 1, false}, {v[0] - 1, v[1] + 1, true}, {v[0] + 1, 0, false}, {2, 6, true},
	} {
		if got := Since(c.major, c.minor); got != c.want {
			t.Errorf("on %v, Since(%d, %d) = %t, want %t", v, c.major, c.minor, got, c.want)
		}
	}
}
