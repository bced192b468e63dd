// Package printable makes text printable that comes from elsewhere: from files,
// from the console of a guest, from programs. No name, unit or message in it
// can move the cursor of the terminal it is shown on, hide what stands beside
// it or write it from right to left.
//
// What is not a printable character, in the sense of [unicode.IsPrint], comes
// out as Go writes it in a string: \x1b, \u009b, \u202e, \xff. So a reader sees
// what is there. Above U+FFFF it is a surrogate pair, which makes an escaped
// JSON document one that means the same.
package printable

import (
	"io"
	"strings"
	"unicode"
	"unicode/utf16"
	"unicode/utf8"
)

// Text returns s as part of a line: a newline or tab in it is escaped too.
func Text(s string) string {
	for i, r := range s {
		if !unicode.IsPrint(r) || r == utf8.RuneError {
			b := append([]byte(nil), s[:i]...)
			return string(appendText(b, s[i:]))
		}
	}
	return s
}

// Line returns a line of a console: without the blanks around it and with a
// blank for each tab.
func Line(s string) string {
	return Text(strings.TrimSpace(strings.ReplaceAll(s, "\t", " ")))
}

func appendText(b []byte, s string) []byte {
	for len(s) > 0 {
		r, n := utf8.DecodeRuneInString(s)
		if r == utf8.RuneError && n == 1 {
			b = append(b, `\x`...)
			b = appendHex(b, uint16(s[0]), 2)
		} else {
			b = appendRune(b, r)
		}
		s = s[n:]
	}
	return b
}

func appendRune(b []byte, r rune) []byte {
	switch {
	case unicode.IsPrint(r):
		return utf8.AppendRune(b, r)
	case r == '\n':
		return append(b, `\n`...)
	case r == '\t':
		return append(b, `\t`...)
	case r == '\r':
		return append(b, `\r`...)
	case r < ' ':
		return appendHex(append(b, `\x`...), uint16(r), 2)
	case r > 0xffff:
		high, low := utf16.EncodeRune(r)
		b = appendHex(append(b, `\u`...), uint16(high), 4)
		r = low
	}
	return appendHex(append(b, `\u`...), uint16(r), 4)
}

func appendHex(b []byte, v uint16, digits int) []byte {
	for shift := 4 * (digits - 1); shift >= 0; shift -= 4 {
		b = append(b, "0123456789abcdef"[v>>shift&15])
	}
	return b
}

// A Writer passes text on, made printable but for its newlines and tabs. Of a
// line that ends in a carriage return and a newline it keeps the newline.
type Writer struct {
	w    io.Writer
	rest []byte // of what was written: the beginning of a character, or a carriage return
}

// NewWriter returns a Writer to w, or w if it is one.
func NewWriter(w io.Writer) *Writer {
	if pw, ok := w.(*Writer); ok {
		return pw
	}
	return &Writer{w: w}
}

// Unwrap returns what w writes to, for those who ask whether that is a terminal
// and then draw on it themselves.
func Unwrap(w io.Writer) io.Writer {
	if pw, ok := w.(*Writer); ok {
		return pw.w
	}
	return w
}

func (w *Writer) Write(p []byte) (int, error) {
	in := append(w.rest, p...)
	var out []byte
	for len(in) > 0 && utf8.FullRune(in) {
		r, n := utf8.DecodeRune(in)
		if r == '\r' {
			if len(in) == 1 {
				break // a newline may follow
			}
			if in[1] == '\n' {
				in = in[1:]
				continue
			}
		}
		if r == '\n' || r == '\t' {
			out = append(out, in[0])
		} else {
			out = appendText(out, string(in[:n]))
		}
		in = in[n:]
	}
	w.rest = append([]byte(nil), in...)
	if _, err := w.w.Write(out); err != nil {
		return 0, err
	}
	return len(p), nil
}

// ShellWord returns s as a POSIX shell takes it for one word, quoted where that
// is needed. It is for showing: control characters come out escaped.
func ShellWord(s string) string {
	s = Text(s)
	if s != "" && strings.Trim(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-+=:,./@%^") == "" {
		return s
	}
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}
