package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxHead bounds the beginning of a file that is kept to identify its format.
const maxHead = 4 << 10

// foreign names the format of a file without benchmark results, judging by its
// beginning, and says how to convert it. It returns "" if it does not recognize
// the format.
func foreign(head []byte) string {
	text := bytes.TrimSpace(head)
	has := func(word string) bool { return bytes.Contains(text, []byte(word)) }
	switch {
	case bytes.HasPrefix(text, []byte("command,mean,stddev,")):
		return "this is hyperfine's CSV, which has no individual times: run hyperfine with --export-json FILE"
	case len(text) == 0 || text[0] != '{' && text[0] != '[':
		return ""
	case has(`"results"`) && has(`"command"`):
		return `this is hyperfine's JSON; to convert it to benchmark results, a line for each time: ` +
			`jq -r '.results[] | (.command | gsub("[^A-Za-z0-9]+"; "_")) as $name | .times | to_entries[] | ` +
			`"sample: \(.key)\nBenchmark\($name) 1 \(.value * 1e9) ns/op"' FILE`
	case has(`"context"`) && (has(`"benchmarks"`) || has(`"library_build_type"`)):
		return "this is the JSON of Google's benchmark library, which eventbench does not read"
	case isTestJSON(text):
		return "output of go test -json without a benchmark"
	}
	return "this looks like JSON; want the output of go test -bench"
}

// isTestJSON reports whether a line comes from go test -json.
func isTestJSON(line []byte) bool {
	return len(line) > 0 && line[0] == '{' && bytes.Contains(line, []byte(`"Action":`))
}

// jsonText is the text in the Output fields of go test -json.
type jsonText struct {
	text  []byte // not returned yet
	pkg   string // the package that printed it
	begun bool   // the package has begun and not ended
	out   []byte
}

// next returns a line of the text. l reads the lines of the file.
func (j *jsonText) next(l *lineReader) ([]byte, error) {
	for {
		if i := bytes.IndexByte(j.text, '\n'); i >= 0 {
			j.out = append(j.out[:0], j.text[:i+1]...)
			j.text = j.text[:copy(j.text, j.text[i+1:])]
			return j.out, nil
		}
		if len(j.text) > maxLine {
			return nil, fmt.Errorf("a line longer than %d bytes: this is not a file of benchmark results", maxLine)
		}
		line, err := l.nextRaw()
		if err == io.EOF && len(j.text) > 0 {
			return nil, errors.New("the last line of the Output has no end: the file is truncated")
		} else if err != nil {
			return nil, err
		}
		if err := j.add(line); err != nil {
			return nil, err
		}
	}
}

// add adds a line of JSON. Lines that are not JSON come from standard error and
// say nothing about benchmarks.
func (j *jsonText) add(line []byte) error {
	if len(line) == 0 || line[0] != '{' {
		return nil
	}
	var event struct{ Action, Package, Test, Output string }
	if err := json.Unmarshal(line, &event); err != nil {
		return fmt.Errorf("go test -json: %w", err)
	}
	switch event.Action {
	case "output":
		if j.begun && event.Package != j.pkg {
			return fmt.Errorf("go test -json: the output of %q begins before that of %q has ended: run them one after the other (go test -p 1)", event.Package, j.pkg)
		}
		j.pkg, j.begun = event.Package, true
		j.text = append(j.text, event.Output...)
	case "pass", "fail", "skip":
		if event.Test == "" && event.Package == j.pkg {
			j.begun = false
		}
	}
	return nil
}
