package behaviour

import (
	"bufio"
	"cmp"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// A Row is one promise of a mechanism, as the inventory states it.
type Row struct {
	ID        string            // "EFD-19"
	Statement string            // what holds, in a sentence
	Notes     map[string]string // by key: source, since, varies, checked-by, needs, note
	Line      int               // of the file, where the row starts
}

// keys are the keys that a row may have below its statement.
var keys = []string{
	"source",     // manual page or kernel source that promises it
	"since",      // first kernel that keeps it
	"varies",     // kernel from which on it differs
	"checked-by", // other test suites that check it
	"needs",      // a privilege or configuration without which it cannot be checked
	"note",       // evidence where kernels and documents disagree
}

var rowID = regexp.MustCompile(`^[A-Z]+-[0-9]+$`)

// Parse reads an inventory: blocks of lines separated by blank lines, one for
// each row. A block's first line has the row's id and statement. Each further
// line is indented and has a key, a colon and a text.
//
//	EFD-19 write of more than 8 bytes is refused with EINVAL from 6.9 on
//	  source: eventfd(2)
//	  varies: 6.9
//
// Rows are in the order of their ids. All ids of a file have the same prefix.
// name is for errors.
func Parse(name string, r io.Reader) ([]Row, error) {
	var rows []Row
	var row *Row // the block that the next lines may belong to
	scanner := bufio.NewScanner(r)
	for n := 1; scanner.Scan(); n++ {
		line := scanner.Text()
		fail := func(format string, args ...any) ([]Row, error) {
			return nil, fmt.Errorf("%s:%d: %s", name, n, fmt.Sprintf(format, args...))
		}
		text := strings.TrimSpace(line)
		switch {
		case text == "":
			row = nil
		case line[0] == ' ' || line[0] == '\t':
			key, value, ok := strings.Cut(text, ": ")
			switch {
			case row == nil:
				return fail("an indented line outside a row: %q", text)
			case !ok || !slices.Contains(keys, key):
				return fail("%q is not one of %s, a colon and a text", text, strings.Join(keys, ", "))
			case row.Notes[key] != "":
				return fail("a second %s for %s", key, row.ID)
			}
			row.Notes[key] = value
		case row != nil:
			return fail("no blank line between %s and %q", row.ID, text)
		default:
			id, statement, _ := strings.Cut(text, " ")
			if !rowID.MatchString(id) || statement == "" {
				return fail("%q is not an id such as EFD-19 and a statement", text)
			}
			if len(rows) > 0 {
				last := rows[len(rows)-1].ID
				if prefix(last) != prefix(id) {
					return fail("%s after %s: a file has one kind of id", id, last)
				}
				if Compare(id, last) <= 0 {
					return fail("%s after %s: ids must ascend", id, last)
				}
			}
			rows = append(rows, Row{ID: id, Statement: statement, Notes: map[string]string{}, Line: n})
			row = &rows[len(rows)-1]
		}
	}
	if err := scanner.Err(); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	if len(rows) == 0 {
		return nil, fmt.Errorf("%s: no rows", name)
	}
	return rows, nil
}

// Compare orders ids by their numbers, so that SIG-100 comes after SIG-99.
func Compare(a, b string) int {
	number := func(id string) int {
		n, _ := strconv.Atoi(strings.TrimPrefix(id, prefix(id)+"-"))
		return n
	}
	return cmp.Or(cmp.Compare(prefix(a), prefix(b)), cmp.Compare(number(a), number(b)))
}

func prefix(id string) string {
	p, _, _ := strings.Cut(id, "-")
	return p
}
