package printable

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode"
	"unicode/utf8"
)

func TestText(t *testing.T) {
	check := func(in, want string) {
		t.Helper()
		if got := Text(in); got != want {
			t.Errorf("%q: got %q, want %q", in, got, want)
		}
	}
	check("", "")
	check("µs ± 3 % │ ∞ é 日本", "µs ± 3 % │ ∞ é 日本")
	check("a\x1b[31mb", `a\x1b[31mb`)
	check("\x9b31m", `\x9b31m`)     // CSI in 8 bits
	check("\u009b31m", `\u009b31m`) // and in UTF-8
	check("\u202eabc\u2066", `\u202eabc\u2066`)
	check("\u200b\ufeff\u00a0", `\u200b\ufeff\u00a0`)
	check("a\nb\tc\rd", `a\nb\tc\rd`)
	check("\x00\a\b\x7f", `\x00\x07\x08\u007f`)
	check("\xff\xc3(", `\xff\xc3(`)
	check("\ufffd", "\ufffd") // a character like others
	check("\U000e0041", `\udb40\udc41`)
}

func TestLine(t *testing.T) {
	if got, want := Line("\t\x1b[1ma\tb \r\n"), `\x1b[1ma b`; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

// However text is cut into writes, it comes out as one.
func TestWriter(t *testing.T) {
	const in = "é│\x1b[2J日本\r\nab\rc\n\u009b\xff\xe2\x82z\t\U000e0041\n"
	const want = "é│\\x1b[2J日本\nab\\rc\n\\u009b\\xff\\xe2\\x82z\t\\udb40\\udc41\n"
	for size := 1; size < len(in); size++ {
		var out bytes.Buffer
		w := NewWriter(&out)
		for rest := in; rest != ""; {
			n := min(size, len(rest))
			if m, err := w.Write([]byte(rest[:n])); m != n || err != nil {
				t.Fatalf("Write = %d, %v", m, err)
			}
			rest = rest[n:]
		}
		if out.String() != want {
			t.Errorf("in pieces of %d: %q, want %q", size, out.String(), want)
		}
	}
}

// A document keeps its meaning.
func TestJSON(t *testing.T) {
	want := "a\u009b\x7f\u202e\U000e0041\x1b\"\\ é"
	var out bytes.Buffer
	e := json.NewEncoder(NewWriter(&out))
	e.SetEscapeHTML(false)
	if err := e.Encode(want); err != nil {
		t.Fatal(err)
	}
	var got string
	if err := json.Unmarshal(out.Bytes(), &got); err != nil || got != want {
		t.Errorf("%q came back as %q, %v", want, got, err)
	}
}

func FuzzWriter(f *testing.F) {
	f.Add([]byte("\x1b[31m\u009b\xff\r\n"), 3)
	f.Fuzz(func(t *testing.T, in []byte, at int) {
		var out bytes.Buffer
		w := NewWriter(&out)
		at = min(max(at, 0), len(in))
		w.Write(in[:at])
		w.Write(in[at:])
		for _, r := range out.String() {
			if r == utf8.RuneError || !unicode.IsPrint(r) && !strings.ContainsRune("\n\t", r) {
				t.Fatalf("%q came out as %q", in, out.String())
			}
		}
	})
}
