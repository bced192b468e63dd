package ci

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"strings"
)

type (
	kcidbReport struct {
		Version kcidbVersion `json:"version"`
		Tests   []kcidbTest  `json:"tests"`
	}
	kcidbVersion struct {
		Major int `json:"major"`
		Minor int `json:"minor"`
	}
	kcidbTest struct {
		BuildID     string            `json:"build_id"`
		ID          string            `json:"id"`
		Origin      string            `json:"origin"`
		Path        string            `json:"path"`
		Comment     string            `json:"comment,omitempty"`
		Status      string            `json:"status"`
		Number      *kcidbNumber      `json:"number,omitempty"`
		Excerpt     string            `json:"log_excerpt,omitempty"`
		Environment *kcidbEnvironment `json:"environment,omitempty"`
		Misc        map[string]any    `json:"misc,omitempty"`
	}
	kcidbNumber struct {
		Value float64 `json:"value"`
		Unit  string  `json:"unit,omitempty"`
	}
	kcidbEnvironment struct {
		Misc map[string]string `json:"misc"`
	}
)

// kcidb writes tests for KernelCI's database, in version 5 of its schema
// (kcidb_io/schema/v05_00.py of kernelci/kcidb-io). A finding is a test with a
// number; the run as a whole is the test eventbench. Checkouts and builds are
// the submitter's to report.
func kcidb(w io.Writer, r *Run) error {
	doc := kcidbReport{Version: kcidbVersion{5, 0}, Tests: []kcidbTest{}}
	add := func(s *Suite, test kcidbTest, seed ...any) {
		test.BuildID = r.build
		if test.BuildID == "" {
			test.BuildID = tool + ":" + hash(s.Tested)
		}
		test.Origin, _, _ = strings.Cut(test.BuildID, ":")
		test.ID = test.Origin + ":" + tool + "-" + hash(append(seed, test.BuildID, test.Path, test.Status, test.Comment)...)
		if s.Settings != nil {
			test.Environment = &kcidbEnvironment{s.Settings}
		}
		doc.Tests = append(doc.Tests, test)
	}
	if r.Problems != nil {
		add(&Suite{}, kcidbTest{Path: tool, Status: "MISS", Comment: excerpt(r.Summary, 1024), Excerpt: excerpt(strings.Join(r.Problems, "\n"), 16384)})
	}
	for _, s := range r.Suites {
		add(s, kcidbTest{Path: tool, Status: s.Status().kcidb(), Comment: excerpt(r.Summary, 1024)})
		for _, f := range s.Findings {
			test := kcidbTest{Path: path(tool) + "." + f.path(), Status: f.Status.kcidb(), Comment: excerpt(f.Verdict+": "+f.Reason, 1024)}
			if f.Status == Failed || f.Status == Unknown {
				test.Excerpt = excerpt(f.says(), 16384)
			}
			test.Misc = map[string]any{"name": f.title(), "verdict": f.Verdict}
			var seed any
			if f.New != nil {
				test.Number = &kcidbNumber{f.New.Value, f.Unit}
				test.Misc["new"], test.Misc["old"], test.Misc["change"], test.Misc["threshold"] = f.New.json(), f.Old.json(), f.Change, f.Threshold
				seed = f.New.Value
			}
			add(s, test, f.title(), seed)
		}
	}
	return document(w, doc)
}

func (s Status) kcidb() string {
	switch s {
	case Failed:
		return "FAIL"
	case Unknown:
		return "ERROR" // "the status of the tested code is unknown"
	case Informs:
		return "DONE" // "had not reported the status of the tested code, but produced a performance measurement result"
	case Skipped:
		return "SKIP"
	}
	return "PASS"
}

func hash(parts ...any) string {
	sum := sha256.Sum256([]byte(fmt.Sprint(parts...)))
	return fmt.Sprintf("%x", sum[:10])
}

// excerpt cuts text to n bytes and keeps it valid: the database refuses zero
// bytes.
func excerpt(text string, n int) string {
	text = strings.ReplaceAll(text, "\x00", "")
	if len(text) > n {
		text = strings.ToValidUTF8(text[:n-3], "") + "…"
	}
	return text
}

// json returns a figure as an object without what is infinite.
func (f *Figure) json() map[string]any {
	m := map[string]any{"value": f.Value, "samples": f.N}
	if f.bounded() {
		m["low"], m["high"] = f.Low, f.High
	}
	return m
}

func document(w io.Writer, doc any) error {
	e := json.NewEncoder(w)
	e.SetIndent("", "  ")
	e.SetEscapeHTML(false)
	return e.Encode(doc)
}
