package gate

import (
	"strings"
	"testing"
)

// Every format says which functions make most of a change.
func TestWhere(t *testing.T) {
	r, err := Compare("testdata/files/old", "testdata/files/slow", Options{Filter: ".name:EventfdSelf"})
	if err != nil {
		t.Fatal(err)
	}
	c := r.findings()[0]
	c.Where = &Where{
		Old: 1636, New: 1656, Functions: []Function{{"vfs_write", 87, 105}, {"user: loop", 10, 12}},
		Profiles: [2]string{"old kernel.pb.gz", "new.pb.gz"},
		Shift:    &Shift{20.04, -3},
		OldWays:  []NamedWay{{1636, 0.97, nil}, {2104, 0.03, []Mark{{"requeue_delayed_entity", 468}}}},
	}
	for format, wants := range map[string][]string{
		"text": {"\n    where: 1636 to 1656 instructions in one operation, +20: most in vfs_write +18, user: loop +2\n",
			"\n    ways: old 1636 in 97% of operations, 2104 in 3% of operations (requeue_delayed_entity +468); the mean moved by +20.0 as ways became longer and by -3.0 as others are taken more often\n",
			"\n    go tool pprof -http=: -diff_base 'old kernel.pb.gz' new.pb.gz\n"},
		"markdown": {"\n  - where: 1636 to 1656 instructions in one operation, +20: most in vfs\\_write +18, user: loop +2\n",
			"\n  - ways: old 1636 in 97% of operations, 2104 in 3% of operations (requeue\\_delayed\\_entity +468); the mean moved by +20.0 as ways became longer and by -3.0 as others are taken more often\n",
			"\n  - `go tool pprof -http=: -diff_base 'old kernel.pb.gz' new.pb.gz`\n"},
		"json": {`"where": {`, `"name": "vfs_write",`, `"old kernel.pb.gz",`, `"old_ways": [`, `"share": 0.03,`},
	} {
		var b strings.Builder
		if err := r.Write(&b, format); err != nil {
			t.Fatal(err)
		}
		for _, want := range wants {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%s has no %q:\n%s", format, want, b.String())
			}
		}
	}
}
