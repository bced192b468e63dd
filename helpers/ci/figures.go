package ci

import (
	"encoding/csv"
	"io"
	"math"
	"strconv"
	"strings"
)

type bencherMetric struct {
	Value float64  `json:"value"`
	Low   *float64 `json:"lower_value,omitempty"`
	High  *float64 `json:"upper_value,omitempty"`
}

// bencher writes the new figures in Bencher's metric format:
// https://bencher.dev/docs/reference/bencher-metric-format. Its measure of
// ns/op is called latency.
func bencher(w io.Writer, r *Run) error {
	doc := map[string]map[string]bencherMetric{}
	r.all(func(_ *Suite, f *Finding) {
		if f.New == nil {
			return
		}
		m := bencherMetric{Value: f.New.Value}
		if f.New.bounded() {
			m.Low, m.High = &f.New.Low, &f.New.High
		}
		measure := f.Unit
		if measure == "ns/op" {
			measure = "latency"
		}
		if doc[f.Name] == nil {
			doc[f.Name] = map[string]bencherMetric{}
		}
		doc[f.Name][measure] = m
	})
	return document(w, doc)
}

type actionResult struct {
	Name  string  `json:"name"`
	Unit  string  `json:"unit"`
	Value float64 `json:"value"`
	Range string  `json:"range,omitempty"`
	Extra string  `json:"extra,omitempty"`
}

// actionBenchmark writes the new figures for github-action-benchmark, as its
// tool customSmallerIsBetter: src/extract.ts of
// benchmark-action/github-action-benchmark. So a figure of which more is better
// is left out.
func actionBenchmark(w io.Writer, r *Run) error {
	doc := []actionResult{}
	r.all(func(_ *Suite, f *Finding) {
		if f.New == nil || f.Better != "lower" {
			return
		}
		result := actionResult{Name: f.title(), Unit: f.Unit, Value: f.New.Value, Extra: f.Verdict + ": " + f.Reason}
		if f.New.bounded() {
			result.Range = "± " + decimal(math.Max(f.New.High-f.New.Value, f.New.Value-f.New.Low))
		}
		doc = append(doc, result)
	})
	return document(w, doc)
}

// decimal formats a number, without the last digits, which computing made up.
// What is not known is empty.
func decimal(v float64) string {
	if !finite(v) {
		return ""
	}
	return strconv.FormatFloat(v, 'g', 12, 64)
}

// table writes one line for each finding, as comma-separated values.
func table(w io.Writer, r *Run) error {
	c := csv.NewWriter(w)
	c.Write([]string{"suite", "name", "unit", "status", "verdict", "old", "old_low", "old_high", "old_samples", "new", "new_low", "new_high", "new_samples",
		"ratio", "ratio_low", "ratio_high", "threshold", "gates", "change", "reason", "reproduce"})
	for _, problem := range r.Problems {
		c.Write([]string{tool, "", "", "no verdict", r.Outcome, "", "", "", "", "", "", "", "", "", "", "", "", "", "", problem, ""})
	}
	r.all(func(s *Suite, f *Finding) {
		row := []string{s.Name, f.Name, f.Unit, statuses[f.Status], f.Verdict}
		for _, side := range []*Figure{f.Old, f.New} {
			if side == nil {
				row = append(row, "", "", "", "")
				continue
			}
			row = append(row, decimal(side.Value), decimal(side.Low), decimal(side.High), strconv.Itoa(side.N))
		}
		if f.Ratio == nil {
			row = append(row, "", "", "", "", "")
		} else {
			row = append(row, decimal(f.Ratio.Value), decimal(f.Ratio.Low), decimal(f.Ratio.High), decimal(f.Threshold), strconv.FormatBool(f.Gates))
		}
		c.Write(append(row, f.Change, f.Reason, strings.TrimSpace(f.Reproduce)))
	})
	c.Flush()
	return c.Error()
}

var statuses = map[Status]string{Passed: "pass", Failed: "fail", Unknown: "unknown", Informs: "informs", Skipped: "skip"}
