// Package shard divides what a command measures among machines.
//
// What a command makes is a list of units: a boot, a round, a column, a mutant.
// Its list is the same on every machine, and unit i belongs to shard i modulo
// the number of shards, so that nobody has to hand out work. A shard keeps its
// results in a directory of its own, beside a [Plan] that says what all shards
// together make. go tool eventbench merge puts shards together.
package shard

import (
	"errors"
	"flag"
	"fmt"
	"path/filepath"
	"strconv"
	"strings"
)

// A Shard is one of the parts that a command's units are divided into. The zero
// value is all of them.
type Shard struct{ index, of int }

// Flag defines -shard.
func (s *Shard) Flag(fs *flag.FlagSet) {
	fs.Func("shard", "make only part `i/n` of what this command makes, such as 2/4, for go tool eventbench merge", s.set)
}

func (s *Shard) set(text string) error {
	index, of, ok := strings.Cut(text, "/")
	i, err1 := strconv.Atoi(index)
	n, err2 := strconv.Atoi(of)
	if !ok || err1 != nil || err2 != nil || i < 1 || i > n {
		return errors.New("want i/n, with i from 1 to n, such as 2/4")
	}
	*s = Shard{i, n}
	return nil
}

func (s Shard) String() string { return fmt.Sprintf("%d/%d", s.index, s.of) }

// Given reports whether there is such a flag in the command line: if not, the
// command makes all units.
func (s Shard) Given() bool { return s.of > 0 }

// Has reports whether the shard makes a unit, by its place in the list of all,
// from 0.
func (s Shard) Has(unit int) bool { return !s.Given() || unit%s.of == s.index-1 }

// Results returns where results are kept: in dir, or for a shard in a directory
// below it that no other shard writes to.
func (s Shard) Results(dir string) string {
	if !s.Given() {
		return dir
	}
	return filepath.Join(dir, fmt.Sprintf("shard-%d-of-%d", s.index, s.of))
}
