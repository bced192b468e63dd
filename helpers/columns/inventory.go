//go:build linux

package columns

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"eventbench/helpers/behaviour"
	"eventbench/helpers/cli"
	"eventbench/helpers/guest"
)

// A mechanism has an inventory and a test with its rows as subtests.
type mechanism struct {
	name string // the file's name without .txt
	rows []behaviour.Row
}

// test returns the name of the mechanism's test.
func (m mechanism) test() string { return behaviour.Test(m.name) }

type inventory []mechanism

func readInventories(dir string) (inventory, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*.txt"))
	if err != nil {
		return nil, err
	}
	var inv inventory
	owner := map[string]string{}
	for _, file := range files {
		f, err := os.Open(file)
		if err != nil {
			return nil, err
		}
		rows, err := behaviour.Parse(file, f)
		f.Close()
		if err != nil {
			return nil, err
		}
		for _, r := range rows {
			if owner[r.ID] != "" {
				return nil, fmt.Errorf("%s: %s is also a row of %s", file, r.ID, owner[r.ID])
			}
			owner[r.ID] = file
		}
		inv = append(inv, mechanism{strings.TrimSuffix(filepath.Base(file), ".txt"), rows})
	}
	if len(inv) == 0 {
		return nil, fmt.Errorf("no inventories in %s: run this in the repository, or set -inventories", dir)
	}
	return inv, nil
}

// match returns the ids that match the pattern, in the order of the
// inventories.
func (inv inventory) match(pattern string) ([]string, error) {
	re, err := regexp.Compile(pattern)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, m := range inv {
		for _, r := range m.rows {
			if re.MatchString(r.ID) {
				ids = append(ids, r.ID)
			}
		}
	}
	if len(ids) == 0 {
		return nil, cli.Usage("-rows: no row matches %q", pattern)
	}
	return ids, nil
}

// pattern returns the -test.run pattern for these rows. Ids are unique across
// mechanisms.
func (inv inventory) pattern(ids []string) string {
	var tests []string
	for _, m := range inv {
		if slices.ContainsFunc(m.rows, func(r behaviour.Row) bool { return slices.Contains(ids, r.ID) }) {
			tests = append(tests, m.test())
		}
	}
	return "^(" + strings.Join(tests, "|") + ")$/^(" + strings.Join(ids, "|") + ")$"
}

// setting returns the NAME=VALUE that a row's needs begin with. It permits a
// row that might disable the machine.
func (inv inventory) setting(id string) string {
	for _, m := range inv {
		for _, r := range m.rows {
			if r.ID == id {
				return setting.FindString(r.Notes["needs"])
			}
		}
	}
	return ""
}

var setting = regexp.MustCompile(`^[A-Z_]+=[^ ,]+`)

// checkTests checks that the binary has the tests of all inventories.
func checkTests(ctx context.Context, binary string, inv inventory) error {
	path, err := filepath.Abs(binary)
	if err != nil {
		return err
	}
	if _, err := os.Stat(path); err != nil {
		return fmt.Errorf("%w: to build it: CGO_ENABLED=0 go test -c -o %s ./behaviours", err, binary)
	}
	have, err := guest.Tests(ctx, path, "Test")
	if err != nil {
		return err
	}
	var errs []error
	for _, m := range inv {
		if !slices.Contains(have, m.test()) {
			errs = append(errs, fmt.Errorf("%s has no %s, for the rows of %s.txt", binary, m.test(), m.name))
		}
	}
	return errors.Join(errs...)
}
