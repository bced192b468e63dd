package latency

import (
	"bytes"
	"fmt"
	"math"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// An Interval is the histogram of one run, as a log has it.
type Interval struct {
	Tag        string // no commas, blanks or line breaks
	Start, End time.Time
	Histogram  *Histogram
	// Scale is what a recorded value of 1 stands for in the log's unit: a
	// tick's length in ns.
	Scale float64
}

// Log returns the intervals in HdrHistogram's log format, version 1.3, each as
// a V2 compressed histogram. All counts are kept; a value is the middle of its
// bucket, so right to 0.8 % as percentiles are, and the largest and smallest
// are exact to the unit. Comments, which readers of the format pass over, go
// before the first interval. The column Interval_Max is in millions of the
// unit, as readers expect of ns.
func Log(comments []string, intervals []Interval) ([]byte, error) {
	var buf bytes.Buffer
	w := hdrhistogram.NewHistogramLogWriter(&buf)
	for _, c := range comments {
		w.OutputComment(" " + c)
	}
	w.OutputLogFormatVersion()
	if len(intervals) > 0 {
		w.OutputStartTime(intervals[0].Start.UnixMilli())
	}
	w.OutputLegend()
	for _, i := range intervals {
		h, err := i.encodable()
		if err != nil {
			return nil, fmt.Errorf("histogram of %s: %w", i.Tag, err)
		}
		if err := w.OutputIntervalHistogram(h); err != nil {
			return nil, fmt.Errorf("histogram of %s: %w", i.Tag, err)
		}
	}
	return buf.Bytes(), nil
}

// encodable returns the interval's histogram in the unit of the log.
func (i Interval) encodable() (*hdrhistogram.Histogram, error) {
	scaled := func(v uint64) int64 { return int64(math.Round(float64(v) * i.Scale)) }
	h := hdrhistogram.New(1, max(scaled(i.Histogram.max), 2), 3)
	h.SetTag(i.Tag)
	h.SetStartTimeMs(i.Start.UnixMilli())
	h.SetEndTimeMs(i.End.UnixMilli())
	for b, n := range i.Histogram.counts {
		if n == 0 {
			continue
		}
		// The largest value stands for itself: the bucket's middle may
		// be below.
		if b == index(i.Histogram.max) {
			if err := h.RecordValue(scaled(i.Histogram.max)); err != nil {
				return nil, err
			}
			n--
		}
		if err := h.RecordValues(scaled(i.Histogram.middle(b)), int64(n)); err != nil {
			return nil, err
		}
	}
	return h, nil
}
