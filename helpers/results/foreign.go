package results

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
)

// maxHead is how much of a file's beginning is kept to tell what it is.
const maxHead = 4 << 10

// foreign says what a file is that has no benchmark results in it, and how to
// make it one that has, by its beginning. It is empty where that tells nothing.
func foreign(head []byte) string {
	text := bytes.TrimSpace(head)
	has := func(word string) bool { return bytes.Contains(text, []byte(word)) }
	switch {
	case bytes.HasPrefix(text, []byte("command,mean,stddev,")):
		return "this is hyperfine's CSV, which has no single times: run hyperfine with --export-json FILE"
	case len(text) == 0 || text[0] != '{' && text[0] != '[':
		return ""
	case has(`"results"`) && has(`"command"`):
		return `this is hyperfine's JSON; a line for each time it took makes benchmark results of it: ` +
			`jq -r '.results[] | (.command | gsub("[^A-Za-z0-9]+"; "_")) as $name | .times | to_entries[] | ` +
			`"sample: \(.key)\nBenchmark\($name) 1 \(.value * 1e9) ns/op"' FILE`
	case has(`"context"`) && (has(`"benchmarks"`) || has(`"library_build_type"`)):
		return "this is the JSON of Google's benchmark library, which this does not read"
	case isTestJSON(text):
		return "go test -json that has no benchmark in it"
	}
	return "this looks like JSON; want the output of go test -bench"
}

// isTestJSON reports whether a line is one of go test -json.
func isTestJSON(line []byte) bool {
	return len(line) > 0 && line[0] == '{' && bytes.Contains(line, []byte(`"Action":`))
}

// jsonText is the text in the Output fields of what go test -json prints.
type jsonText struct {
	text  []byte // not handed out yet
	pkg   string // whose text it is
	begun bool   // and has not ended
	out   []byte
}

// next returns a line of the text. The lines of l are those of the file.
func (j *jsonText) next(l *lineReader) ([]byte, error) {
	for {
		if i := bytes.IndexByte(j.text, '\n'); i >= 0 {
			j.out = append(j.out[:0], j.text[:i+1]...)
			j.text = j.text[:copy(j.text, j.text[i+1:])]
			return j.out, nil
		}
		if len(j.text) > maxLine {
			return nil, fmt.Errorf("a line longer than %d bytes: this is no file of benchmark results", maxLine)
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

// add adds a line of JSON. What is none has come between by way of standard
// error, and says nothing of benchmarks.
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
