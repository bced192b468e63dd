package behaviour

import (
	"testing"
	"testing/fstest"
)

// An id selects its row, and a pattern that names a test stays as it is.
func TestPattern(t *testing.T) {
	old := Inventory
	t.Cleanup(func() { Inventory = old })
	Inventory = fstest.MapFS{
		"eventfd.txt":  {Data: []byte("EFD-01 is one\n\nEFD-10 is ten\n")},
		"signal.txt":   {Data: []byte("SIG-10 is ten\n\nSIG-100 is a hundred\n")},
		"signalfd.txt": {Data: []byte("SFD-01 is one\n")},
	}
	check := func(pattern, want string) {
		t.Helper()
		if got, err := Pattern(pattern); got != want || err != nil {
			t.Errorf("Pattern(%q) = %q, %v; want %q", pattern, got, err, want)
		}
	}
	check("EFD-01", "^(TestEventfd)$/^EFD-01$")
	check("SIG-10", "^(TestSignal)$/^SIG-10$")
	check("SIG-10|EFD-10", "^(TestSignal)$/^SIG-10$|^(TestEventfd)$/^EFD-10$")
	check("SIG-10.", "^(TestSignal)$/SIG-10.")
	check("[ES]FD-01", "^(TestEventfd|TestSignalfd)$/[ES]FD-01")
	check("(EFD|SFD)-0[1-9]/clock=x", "^(TestEventfd|TestSignalfd)$/(EFD|SFD)-0[1-9]/clock=x")
	check("", "")
	check("TestEventfd", "TestEventfd")
	check("TestEventfd/EFD-01|Test[A-Z]", "TestEventfd/EFD-01|Test[A-Z]")
	check("^(TestEventfd|TestSignal)$/^(EFD-01|SIG-10)$", "^(TestEventfd|TestSignal)$/^(EFD-01|SIG-10)$")
	for _, bad := range []string{"EFD-02", "TestEventfd|EFD-99", "EFD-(", "VIC-01"} {
		if got, err := Pattern(bad); err == nil {
			t.Errorf("Pattern(%q) = %q, want an error", bad, got)
		}
	}
}
