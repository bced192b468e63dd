//go:build linux

package debian

import (
	"bufio"
	"bytes"
	"io"
)

// A paragraph is a stanza of a deb822(5) file: the values of the wanted fields,
// by lower-case name. Continued lines follow a newline.
type paragraph map[string]string

// eachParagraph calls do for each paragraph of r with the wanted fields, whose
// names are in lower case. The paragraph is only good until do returns. Lists
// of packages have 60 MB, most of it fields that nobody wants.
func eachParagraph(r io.Reader, wanted []string, do func(p paragraph) error) error {
	want := make(map[string]bool)
	for _, name := range wanted {
		want[name] = true
	}
	p := make(paragraph)
	last := ""
	flush := func() error {
		if len(p) == 0 {
			return nil
		}
		err := do(p)
		clear(p)
		last = ""
		return err
	}
	in := bufio.NewScanner(r)
	in.Buffer(nil, 4<<20) // the longest Depends
	for in.Scan() {
		line := in.Bytes()
		switch {
		case len(bytes.TrimSpace(line)) == 0:
			if err := flush(); err != nil {
				return err
			}
		case line[0] == '#':
		case line[0] == ' ' || line[0] == '\t':
			if last != "" {
				p[last] += "\n" + string(bytes.TrimSpace(line))
			}
		default:
			key, value, _ := bytes.Cut(line, []byte(":"))
			last = string(bytes.ToLower(key))
			if !want[last] {
				last = ""
				continue
			}
			p[last] = string(bytes.TrimSpace(value))
		}
	}
	if err := in.Err(); err != nil {
		return err
	}
	return flush()
}
