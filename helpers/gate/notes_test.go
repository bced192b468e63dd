package gate

import (
	"fmt"
	"slices"
	"testing"
)

// A side that was measured on a busy machine is named, for what disturbs one
// side alone looks like a regression.
func TestNotesDisturbed(t *testing.T) {
	sent := func(load string) []string {
		files := with(8, func(int) string {
			return fmt.Sprintf("# disturbed: nice=0 load=%s steal=0.1%% preempted=9 stopped=0\n", load)
		})
		for i, f := range files {
			files[i] = "cpus: 2\n" + f
		}
		return files
	}
	for _, c := range []struct {
		old, new string
		want     string
	}{
		{"1.50", "2.10", ""},
		{"1.50", "9.50", "new was disturbed from outside: 8 of 8 processes: a load of up to 9.5 on 2 CPUs (8). What disturbs only the one side looks like a difference between the two."},
	} {
		r, err := judgeTexts(Options{}, sent(c.old), sent(c.new))
		if err != nil {
			t.Fatal(err)
		}
		if got := slices.IndexFunc(r.Notes, func(n string) bool { return n == c.want }); (got >= 0) != (c.want != "") {
			t.Errorf("loads of %s and %s: notes %q, want %q", c.old, c.new, r.Notes, c.want)
		}
	}
}
