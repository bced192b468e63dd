//go:build linux

package behaviour

import (
	"errors"
	"fmt"
	"reflect"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"eventbench/helpers/child"
)

// Alone makes a row of f that runs in a process of its own: on its first
// thread, with the signals in block blocked in every thread from the first
// instruction on, and with handlers, limits and credentials that nobody else
// has. In f, t does what it does in a test, but for subtests and temporary
// directories.
//
// Alone registers a role, [child.Register]: call it from the initialisation
// of a package-level variable.
func Alone(f func(t testing.TB), block ...unix.Signal) func(*testing.T) {
	alone++
	name := fmt.Sprintf("%s#%d", runtime.FuncForPC(reflect.ValueOf(f).Pointer()).Name(), alone)
	role := child.Register(name, func(*child.Proc) error { return runAlone(f) })
	return func(t *testing.T) {
		t.Helper()
		p := child.Start(t, role, child.Options{Block: block})
		var class, reason string
		for {
			line, err := p.Stdout.ReadString('\n')
			if err != nil {
				break // the end of the process says more
			}
			line = strings.TrimSuffix(line, "\n")
			if rest, ok := strings.CutPrefix(line, skipMark); ok {
				class, reason, _ = strings.Cut(rest, ": ")
			} else {
				t.Log(line)
			}
		}
		p.Wait()
		if class != "" {
			skip(t, class, "%s", []any{reason})
		}
	}
}

// alone counts the calls of Alone: functions made by one function share its name.
var alone int

// skipMark starts the line by which a process says that its row is skipped.
const skipMark = "--- skip "

// A part is a test as it looks in a process of its own. Methods it has not got are
// those of a nil testing.TB: calling them is a mistake that panics.
type part struct {
	testing.TB
	errs     []string
	cleanups []func()
}

// over is what ends a part early: Fatal and Skip.
var over = new(int)

func runAlone(f func(testing.TB)) error {
	p := &part{}
	p.do(func() { f(p) })
	for len(p.cleanups) > 0 {
		last := p.cleanups[len(p.cleanups)-1]
		p.cleanups = p.cleanups[:len(p.cleanups)-1]
		p.do(last)
	}
	if len(p.errs) > 0 {
		return errors.New(strings.Join(p.errs, "\n"))
	}
	return nil
}

func (p *part) do(f func()) {
	defer func() {
		// Goexit would end the first thread, and with it what makes the process's
		// thread ids its own: a panic unwinds as well.
		if r := recover(); r != nil && r != any(over) {
			panic(r)
		}
	}()
	f()
}

func (p *part) Helper()          {}
func (p *part) Name() string     { return "" }
func (p *part) Failed() bool     { return len(p.errs) > 0 }
func (p *part) Cleanup(f func()) { p.cleanups = append(p.cleanups, f) }

func (p *part) Log(args ...any)            { fmt.Println(args...) }
func (p *part) Logf(f string, args ...any) { fmt.Printf(f+"\n", args...) }

func (p *part) Error(args ...any) {
	p.errs = append(p.errs, strings.TrimSuffix(fmt.Sprintln(args...), "\n"))
}
func (p *part) Errorf(f string, args ...any) { p.errs = append(p.errs, fmt.Sprintf(f, args...)) }

func (p *part) Fatal(args ...any) {
	p.Error(args...)
	panic(over)
}

func (p *part) Fatalf(f string, args ...any) {
	p.Errorf(f, args...)
	panic(over)
}

func (p *part) Skipf(f string, args ...any) {
	fmt.Printf(skipMark+f+"\n", args...)
	panic(over)
}
