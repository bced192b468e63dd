//go:build linux

package measure

import (
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/files"
	"eventbench/helpers/latency"
)

var histograms = flag.String("histograms", "", "write the latencies of each benchmark that has any to a file in `directory`, in HdrHistogram's log format")

// OpenHistograms makes the directory that -histograms names, if it does, and
// finds out that files can be written there, before anything is measured.
func OpenHistograms() error {
	if *histograms == "" {
		return nil
	}
	if err := files.MakeDir(*histograms); err != nil {
		return fmt.Errorf("-histograms=%s: %w", *histograms, err)
	}
	return nil
}

// logs holds the intervals of each benchmark's file: one for each -count and
// -cpu.
var logs = make(map[string]*log)

type log struct {
	intervals []latency.Interval
	n         int // b.N of the last
}

// keep writes the benchmark's file, whole, if one was asked for. Of the runs by
// which testing finds its b.N the last one stays: b.N grows from each to the
// next.
func keep(b *testing.B, began time.Time, h *latency.Histogram, scale float64, unit string) {
	b.Helper()
	if *histograms == "" {
		return
	}
	name := strings.TrimPrefix(b.Name(), "Benchmark")
	l := logs[name]
	switch {
	case l == nil:
		l = new(log)
		logs[name] = l
	case b.N > l.n:
		l.intervals = l.intervals[:len(l.intervals)-1]
	}
	tag := name
	if n := runtime.GOMAXPROCS(0); n != 1 {
		tag = fmt.Sprintf("%s-%d", tag, n) // as testing prints it
	}
	l.n = b.N
	l.intervals = append(l.intervals, latency.Interval{Tag: tag, Start: began, End: time.Now(), Histogram: h, Scale: scale})
	data, err := latency.Log([]string{"benchmark: " + name, "unit: " + unit}, l.intervals)
	if err == nil {
		err = files.Write(histogramFile(b), data)
	}
	if err != nil {
		b.Fatalf("-histograms=%s: %v", *histograms, err)
	}
}

// forgetFailed has the benchmark's file removed if the benchmark fails: what an
// earlier run of it, or an earlier process, left there is not this one's
// result.
func forgetFailed(b *testing.B) {
	if *histograms == "" {
		return
	}
	b.Cleanup(func() {
		if !b.Failed() {
			return
		}
		if err := os.Remove(histogramFile(b)); err != nil && !errors.Is(err, os.ErrNotExist) {
			b.Errorf("-histograms=%s: %v", *histograms, err)
		}
	})
}

func histogramFile(b *testing.B) string {
	return filepath.Join(*histograms, files.Name(strings.TrimPrefix(b.Name(), "Benchmark"))+".hlog")
}
