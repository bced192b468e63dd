package guest

import (
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

func TestSpoolNeverWaits(t *testing.T) {
	r, w := io.Pipe() // nobody reads
	s := newSpool(w)
	data := bytes.Repeat([]byte("0123456789"), 100_000)
	if n, err := s.Write(data); n != len(data) || err != nil {
		t.Fatalf("Write = %d, %v", n, err)
	}
	if _, err := s.Write([]byte("end")); err != nil {
		t.Fatal(err)
	}
	read := make(chan []byte)
	go func() {
		got, err := io.ReadAll(r)
		if err != nil {
			t.Error(err)
		}
		read <- got
	}()
	if err := s.close(t.Context()); err != nil {
		t.Error(err)
	}
	w.Close()
	if got := <-read; !bytes.Equal(got, append(data, "end"...)) {
		t.Errorf("%d bytes came through of %d", len(got), len(data)+3)
	}
}

// Of a reader who does not read, a guest that was stopped takes no notice for
// long.
func TestSpoolUnread(t *testing.T) {
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	s := newSpool(w)
	if _, err := s.Write(make([]byte, 1<<20)); err != nil { // more than a pipe holds
		t.Fatal(err)
	}
	stopped := errors.New("stopped")
	ctx, cancel := context.WithCancelCause(t.Context())
	time.AfterFunc(50*time.Millisecond, func() { cancel(stopped) })
	ended := make(chan error, 1)
	go func() { ended <- s.close(ctx) }()
	select {
	case err := <-ended:
		if !errors.Is(err, stopped) || !strings.Contains(err.Error(), "nobody reads") {
			t.Errorf("close = %v, want %v", err, stopped)
		}
	case <-time.After(time.Minute):
		t.Error("waits for its reader still after a minute")
	}
	if _, err := s.Write(make([]byte, maxSpool+1)); !errors.As(err, new(*spoolFullError)) {
		t.Errorf("Write beyond what there is room for = %v", err)
	}
}

func TestSpoolFailure(t *testing.T) {
	r, w := io.Pipe()
	r.CloseWithError(syscall.EPIPE)
	s := newSpool(w)
	if _, err := s.Write([]byte("x")); err != nil {
		t.Errorf("Write = %v", err)
	}
	if err := s.close(t.Context()); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("close = %v, want %v", err, syscall.EPIPE)
	}
}

func TestReporter(t *testing.T) {
	check := func(report string, want int, final, started bool, wantErr string) {
		t.Helper()
		r := &reporter{}
		r.read(strings.NewReader(report))
		if r.status != want || r.final != final || r.started != started {
			t.Errorf("%q: got %+v", report, r)
		}
		if (wantErr == "") != (r.err == nil) || r.err != nil && !strings.Contains(r.err.Error(), wantErr) {
			t.Errorf("%q: got error %v, want %q", report, r.err, wantErr)
		}
	}
	check("started\nexited 3\n", 3, true, true, "")
	check("started\nkilled 11\n", 128+11, true, true, "")
	check("started\n", 0, false, true, "")
	check("", 0, false, false, "")
	check("started\nexi", 0, false, true, "")
	check("failed \"start /bin/x: exec format error\"\n", 0, false, false, "exec format error")
	check("started\nexited\n", 0, false, true, "reported")
	check("nonsense\n", 0, false, false, `reported "nonsense"`)
	check("file 0 4\nabcd", 0, false, false, "reported") // asked for none
}

func TestReceiveFile(t *testing.T) {
	dir := t.TempDir()
	name := dir + "/cpu.prof"
	r := &reporter{files: []output{{host: name}}}
	r.read(strings.NewReader("started\nfile 0 5\na\nb\nc" + "exited 0\n"))
	if r.err != nil || !r.final {
		t.Fatalf("got %+v", r)
	}
	if got, err := os.ReadFile(name); string(got) != "a\nb\nc" || err != nil {
		t.Errorf("got %q, %v", got, err)
	}

	// One that was cut off leaves the old file.
	r = &reporter{files: []output{{host: name}}}
	r.read(strings.NewReader("file 0 500\nshort"))
	if !errors.Is(r.err, io.ErrUnexpectedEOF) {
		t.Errorf("cut off: %v", r.err)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("left in the directory: %v, %v", entries, err)
	}
}
