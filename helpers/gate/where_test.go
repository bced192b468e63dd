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
	}
	for format, wants := range map[string][]string{
		"text": {"\n    where: 1636 to 1656 instructions in one operation, +20: most in vfs_write +18, user: loop +2\n",
			"\n    go tool pprof -http=: -diff_base 'old kernel.pb.gz' new.pb.gz\n"},
		"markdown": {"\n  - where: 1636 to 1656 instructions in one operation, +20: most in vfs\\_write +18, user: loop +2\n"},
		"json":     {`"where": {`, `"name": "vfs_write",`, `"old kernel.pb.gz",`},
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
