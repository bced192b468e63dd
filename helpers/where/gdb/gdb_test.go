package gdb

import (
	"strings"
	"testing"
)

func TestUnescape(t *testing.T) {
	check := func(packet, want string) {
		t.Helper()
		if got, err := unescape(packet); err != nil || got != want {
			t.Errorf("%q: %q, %v; want %q", packet, got, err, want)
		}
	}
	check("OK", "OK")
	check("", "")
	check("0* ", "0000") // a blank is 32: three more
	check("a}\x03b", "a#b")
	check("}]", "}")
	for _, packet := range []string{"a}", "a*", "* "} {
		if got, err := unescape(packet); err == nil || !strings.Contains(err.Error(), "cut short") {
			t.Errorf("%q: %q, %v; want an error", packet, got, err)
		}
	}
}
