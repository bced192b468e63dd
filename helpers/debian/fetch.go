//go:build linux

package debian

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"time"
)

// How long the network may take.
const (
	connectTime = 20 * time.Second
	answerTime  = 30 * time.Second // for the first bytes of an answer
	stallTime   = 30 * time.Second // without a byte of what follows
	tries       = 3
	triesPause  = time.Second // after the first, then longer
)

// newClient returns a client for http and https, through the proxies that
// http_proxy, https_proxy and no_proxy name, and for files of this machine.
func newClient() *http.Client {
	t := &http.Transport{
		Proxy:                 http.ProxyFromEnvironment,
		DialContext:           (&net.Dialer{Timeout: connectTime}).DialContext,
		TLSHandshakeTimeout:   connectTime,
		ResponseHeaderTimeout: answerTime,
		DisableCompression:    true, // what is fetched is compressed
	}
	t.RegisterProtocol("file", http.NewFileTransport(http.Dir("/")))
	return &http.Client{Transport: t}
}

// A statusError is an answer other than 200 OK.
type statusError struct {
	url    string
	status string
	code   int
}

func (e *statusError) Error() string { return fmt.Sprintf("%s: %s", e.url, e.status) }

// NotThere reports whether err means a file that the mirror lacks.
func NotThere(err error) bool {
	e := (*statusError)(nil)
	return errors.As(err, &e) && (e.code == http.StatusNotFound || e.code == http.StatusGone)
}

// errStalled ends a download that stands still.
var errStalled = fmt.Errorf("nothing came for %v", stallTime)

// fetch writes what is at url to w, at most max bytes. It returns their number.
func (a *Archive) fetch(ctx context.Context, url string, w io.Writer, max int64) (n int64, err error) {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	defer func() {
		if err != nil && ctx.Err() != nil {
			err = fmt.Errorf("%s: %w", url, context.Cause(ctx))
		}
	}()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return 0, err
	}
	req.Header.Set("User-Agent", "eventbench (a kernel benchmark)")
	answer, err := a.client.Do(req)
	if err != nil {
		return 0, err
	}
	defer answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return 0, &statusError{url, answer.Status, answer.StatusCode}
	}
	stalled := time.AfterFunc(stallTime, func() { cancel(errStalled) })
	defer stalled.Stop()
	n, err = io.Copy(w, readerFunc(func(p []byte) (int, error) {
		n, err := answer.Body.Read(p)
		stalled.Reset(stallTime)
		if max -= int64(n); max < 0 {
			return 0, errors.New("it is larger than it should be")
		}
		return n, err
	}))
	if errors.Is(err, io.ErrUnexpectedEOF) {
		err = fmt.Errorf("cut off after %d bytes", n)
	}
	if err != nil {
		err = fmt.Errorf("%s: %w", url, err)
	}
	return n, err
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// again calls do until it succeeds, as often as is of use: not if the answer
// was a clear one.
func (a *Archive) again(ctx context.Context, do func() error) error {
	for try := 1; ; try++ {
		err := do()
		status := (*statusError)(nil)
		lasting := errors.As(err, &status) && status.code < 500 && status.code != http.StatusTooManyRequests
		unwritten := (*os.PathError)(nil)
		if err == nil || try == tries || lasting || ctx.Err() != nil || errors.As(err, &unwritten) {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-time.After(time.Duration(try) * a.pause):
		}
	}
}

// get returns what is at url, at most max bytes.
func (a *Archive) get(ctx context.Context, url string, max int64) ([]byte, error) {
	var b bytes.Buffer
	err := a.again(ctx, func() error {
		b.Reset()
		_, err := a.fetch(ctx, url, &b, max)
		return err
	})
	return b.Bytes(), err
}

// getExact returns what is at url, which must have a size and a digest.
func (a *Archive) getExact(ctx context.Context, url string, size int64, sum string) ([]byte, error) {
	data, err := a.get(ctx, url, size)
	if err != nil {
		return nil, err
	}
	got := sha256.Sum256(data)
	return data, checkDigest(url, int64(len(data)), size, hex.EncodeToString(got[:]), sum, data)
}

// checkDigest returns an error if a file is not the one that was signed. start
// is how it begins.
func checkDigest(url string, size, wantSize int64, sum, wantSum string, start []byte) error {
	switch {
	case size == wantSize && sum == wantSum:
		return nil
	case size != wantSize:
		return fmt.Errorf("%s has %d bytes, but the signed list says %d%s", url, size, wantSize, looksLike(start))
	}
	return fmt.Errorf("%s has the SHA-256 %s, but the signed list says %s%s", url, sum, wantSum, looksLike(start))
}

// looksLike says what else a file is: a proxy or a login page in between
// answers anything with a page of its own.
func looksLike(start []byte) string {
	if start = bytes.TrimSpace(start); len(start) > 0 && start[0] == '<' {
		return ": it is a web page, perhaps of a proxy or a login in between"
	}
	return ""
}

// Download fetches a package into a new file, whole and verified or not at all.
func (a *Archive) Download(ctx context.Context, p Package, to string, say func(format string, args ...any)) (err error) {
	say("downloading %s %s (%d MB)", p.Name, p.Version, (p.Size+500_000)/1_000_000)
	f, err := os.OpenFile(to, os.O_RDWR|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer func() {
		if e := f.Close(); err == nil {
			err = e
		}
		if err != nil {
			os.Remove(to)
		}
	}()
	url := a.url(p.Security, p.Path)
	h := sha256.New()
	var n int64
	err = a.again(ctx, func() error {
		if err := f.Truncate(0); err != nil {
			return err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return err
		}
		h.Reset()
		n, err = a.fetch(ctx, url, io.MultiWriter(h, f), p.Size)
		return err
	})
	if err != nil {
		return err
	}
	start := make([]byte, 64)
	got, _ := f.ReadAt(start, 0)
	return checkDigest(url, n, p.Size, hex.EncodeToString(h.Sum(nil)), p.SHA256, start[:got])
}
