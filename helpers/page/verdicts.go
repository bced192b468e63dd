//go:build linux

package page

import (
	"errors"
	"math"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"

	"eventbench/helpers/gate"
	"eventbench/helpers/printable"
)

// A Pair is what the gate finds between two kernels. Nothing in the page
// decides what a change is but this.
type Pair struct {
	Old     int      `json:"old"` // in Setting.Kernels
	New     int      `json:"new"`
	Outcome string   `json:"outcome"`
	Summary string   `json:"summary"`
	Notes   []string `json:"notes,omitempty"`
	Command string   `json:"command"` // that prints the same verdict
	// Changes are in the gate's order, the worst first.
	Changes []Change `json:"changes"`
}

// A Change is the verdict on a row.
type Change struct {
	Row     int      `json:"row"` // in Setting.Rows
	Verdict string   `json:"verdict"`
	Ratio   *float64 `json:"ratio,omitempty"` // nil if it is infinite
	Lo      *float64 `json:"lo,omitempty"`    // nil if too few samples bound it
	Hi      *float64 `json:"hi,omitempty"`
	Reason  string   `json:"reason,omitempty"`
}

// Significant reports whether the gate found a change.
func (c *Change) Significant() bool {
	return slices.Contains(significant, c.Verdict)
}

// significant are the verdicts that there is a change beyond the threshold.
var significant = []string{string(gate.Regression), string(gate.Changed), string(gate.Improvement)}

// maxPairs is the number of pairs up to which each kernel is compared with each
// later one. Of more kernels only neighbours are compared, and the first with
// the last: a page with all pairs of fifty would be of tens of megabytes.
const maxPairs = 66

// judge compares the setting's kernels.
func (s *Setting) judge() {
	n := len(s.Kernels)
	for i := range n {
		for j := i + 1; j < n; j++ {
			if n*(n-1)/2 <= maxPairs || j == i+1 || i == 0 && j == n-1 {
				s.Pairs = append(s.Pairs, &Pair{Old: i, New: j})
			}
		}
	}
	index := make(map[string]int)
	for i, r := range s.Rows {
		index[r.pkg+"\n"+r.Name+"\n"+r.Unit] = i
	}
	gates := make([][]bool, len(s.Pairs))
	var wg sync.WaitGroup
	turns := make(chan struct{}, runtime.NumCPU())
	for i, p := range s.Pairs {
		gates[i] = make([]bool, len(s.Rows))
		wg.Go(func() {
			turns <- struct{}{}
			defer func() { <-turns }()
			p.judge(s.Kernels[p.Old], s.Kernels[p.New], index, gates[i])
		})
	}
	wg.Wait()
	for _, of := range gates {
		for row, gate := range of {
			s.Rows[row].Gates = s.Rows[row].Gates || gate
		}
	}
}

// everything may be missing on one side: the page shows what both have, and
// what only one has.
var everything = regexp.MustCompile("")

func (p *Pair) judge(old, new *Kernel, index map[string]int, gates []bool) {
	p.Command = "go tool eventbench gate -allow-missing . " + old.operand() + " " + new.operand()
	r, err := gate.CompareFiles(old.Label, old.paths, new.Label, new.paths, gate.Options{AllowMissing: everything})
	if err != nil {
		p.Outcome = string(gate.Unreadable)
		p.Summary = printable.Text(err.Error())
		if ie := (*gate.InputError)(nil); errors.As(err, &ie) {
			p.Summary = strings.Join(ie.Problems, "; ")
		}
		return
	}
	p.Outcome, p.Summary, p.Notes = string(r.Outcome), r.Summary(), r.Notes
	for _, c := range r.Comparisons {
		row, ok := index[c.Pkg+"\n"+printable.Text(c.Name)+"\n"+printable.Text(c.Unit)]
		if !ok {
			continue // cannot happen: the page reads what the gate reads
		}
		gates[row] = gates[row] || c.Gates
		change := Change{Row: row, Verdict: string(c.Verdict), Ratio: finite(c.Ratio)}
		if c.Lo > 0 || !math.IsInf(c.Hi, 1) {
			change.Lo, change.Hi = finite(c.Lo), finite(c.Hi)
		}
		if change.Significant() || c.Verdict == gate.CannotTell {
			change.Reason = printable.Text(c.Reason)
		}
		p.Changes = append(p.Changes, change)
	}
}

// operand names the kernel's results in a command.
func (k *Kernel) operand() string {
	if len(k.paths) == 1 {
		return printable.ShellWord(k.paths[0])
	}
	if found, err := filepath.Glob(filepath.Join(k.dir, "*.txt")); err == nil && len(found) == len(k.paths) {
		return printable.ShellWord(k.dir)
	}
	return printable.ShellWord(strings.Join(k.paths, ","))
}

func finite(v float64) *float64 {
	if math.IsInf(v, 0) || math.IsNaN(v) {
		return nil
	}
	return &v
}
