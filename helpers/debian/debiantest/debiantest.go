//go:build linux

// Package debiantest makes Debian packages, and archives of them that are
// signed, for tests.
package debiantest

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// Package returns a Debian package with files, by path, packed as the extension
// says: "", ".gz", ".xz" or ".zst".
func Package(tb testing.TB, extension string, files map[string]string) []byte {
	tb.Helper()
	var data bytes.Buffer
	out := tar.NewWriter(&data)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		check(tb, out.WriteHeader(&tar.Header{Name: "./" + name, Mode: 0o644, Size: int64(len(files[name])), Typeflag: tar.TypeReg}))
		_, err := io.WriteString(out, files[name])
		check(tb, err)
	}
	check(tb, out.Close())
	return Deb(tb, extension, data.Bytes())
}

// Deb returns a Debian package with an archive of files.
func Deb(tb testing.TB, extension string, data []byte) []byte {
	tb.Helper()
	deb := []byte("!<arch>\n")
	for _, member := range []struct {
		name string
		data []byte
	}{{"debian-binary", []byte("2.0\n")}, {"control.tar.gz", Compress(tb, ".gz", nil)}, {"data.tar" + extension, Compress(tb, extension, data)}} {
		deb = fmt.Appendf(deb, "%-16s%-12d%-6d%-6d%-8o%-10d`\n", member.name, 0, 0, 0, 0o100644, len(member.data))
		deb = append(deb, member.data...)
		if len(member.data)%2 == 1 {
			deb = append(deb, '\n')
		}
	}
	return deb
}

// Compress packs data as the extension says.
func Compress(tb testing.TB, extension string, data []byte) []byte {
	tb.Helper()
	var packed bytes.Buffer
	var w io.WriteCloser
	var err error
	switch extension {
	case "":
		return data
	case ".gz":
		w, err = gzip.NewWriterLevel(&packed, gzip.BestSpeed)
	case ".xz":
		w, err = xz.NewWriter(&packed)
	case ".zst":
		w, err = zstd.NewWriter(&packed)
	default:
		tb.Fatalf("cannot make %q", extension)
	}
	check(tb, err)
	_, err = w.Write(data)
	check(tb, err)
	check(tb, w.Close())
	return packed.Bytes()
}

// NewKey makes a key.
func NewKey(tb testing.TB, config packet.Config) *openpgp.Entity {
	tb.Helper()
	config.Algorithm = packet.PubKeyAlgoEdDSA // which is quick
	key, err := openpgp.NewEntity("an archive", "of a test", "test@example.org", &config)
	check(tb, err)
	return key
}

// Sign returns a text with the signatures of keys.
func Sign(tb testing.TB, text string, keys ...*openpgp.Entity) []byte {
	tb.Helper()
	var private []*packet.PrivateKey
	for _, key := range keys {
		private = append(private, key.PrivateKey)
	}
	var signed bytes.Buffer
	w, err := clearsign.EncodeMulti(&signed, private, nil)
	check(tb, err)
	_, err = io.WriteString(w, text)
	check(tb, err)
	check(tb, w.Close())
	return signed.Bytes()
}

// Armored returns a key's public part as a text.
func Armored(tb testing.TB, key *openpgp.Entity) string {
	tb.Helper()
	var text bytes.Buffer
	w, err := armor.Encode(&text, openpgp.PublicKeyType, nil)
	check(tb, err)
	check(tb, key.Serialize(w))
	check(tb, w.Close())
	return text.String()
}

// An Archive is a mirror that a test serves, and whose key eventbench trusts for
// as long as the test runs.
type Archive struct {
	tb  testing.TB
	URL string // the mirror
	Dir string // what it serves
	Key *openpgp.Entity
	// Answer, if not nil, answers a request instead, or returns false.
	Answer func(w http.ResponseWriter, r *http.Request) bool
	Asked  []string // the paths of what was fetched, in order
	lists  map[string]string
}

// New starts a mirror without any suite.
func New(tb testing.TB) *Archive {
	tb.Helper()
	dir := tb.TempDir()
	a := &Archive{tb: tb, Dir: filepath.Join(dir, "debian"), Key: NewKey(tb, packet.Config{}), lists: make(map[string]string)}
	keyring := filepath.Join(dir, "keys.asc")
	check(tb, os.WriteFile(keyring, []byte(Armored(tb, a.Key)), 0o644))
	tb.Setenv("EVENTBENCH_KEYRING", keyring)
	tb.Setenv("no_proxy", "127.0.0.1")
	files := http.FileServer(http.Dir(dir))
	asked := make(chan string)
	done := make(chan bool)
	go func() {
		for name := range asked {
			a.Asked = append(a.Asked, name)
			done <- true
		}
	}()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked <- r.URL.Path
		<-done
		if a.Answer == nil || !a.Answer(w, r) {
			files.ServeHTTP(w, r)
		}
	}))
	tb.Cleanup(server.Close)
	a.URL = server.URL + "/debian"
	return a
}

// dir is where the archive of a suite is served from.
func (a *Archive) dir(suite string) string {
	if strings.HasSuffix(suite, "-security") {
		return a.Dir + "-security"
	}
	return a.Dir
}

// Add puts a package into a suite. It is listed once the suite is published. It
// returns the package's path in the archive.
func (a *Archive) Add(suite, name, version, arch string, deb []byte) string {
	a.tb.Helper()
	in := path.Join("pool", fmt.Sprintf("%s_%s_%s.deb", name, version, arch))
	a.Write(a.dir(suite), in, deb)
	a.lists[suite] += fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: %s\nDescription: none\n at all\nFilename: %s\nSize: %d\nSHA256: %x\n\n",
		name, version, arch, in, len(deb), sha256.Sum256(deb))
	return in
}

// Publish writes a suite's lists, for all architectures the same, and its
// InRelease of a date, which more fields can be added to.
func (a *Archive) Publish(suite string, date time.Time, fields string) {
	a.tb.Helper()
	text := fmt.Sprintf("Origin: a test\nCodename: %s\nDate: %s\n%sSHA256:\n", suite, date.UTC().Format(time.RFC1123), fields)
	packed := Compress(a.tb, ".xz", []byte(a.lists[suite]))
	for _, arch := range []string{"amd64", "arm64"} {
		name := "main/binary-" + arch + "/Packages.xz"
		a.Write(a.dir(suite), path.Join("dists", suite, name), packed)
		text += fmt.Sprintf(" %x %d %s\n", sha256.Sum256(packed), len(packed), name)
	}
	a.Write(a.dir(suite), path.Join("dists", suite, "InRelease"), Sign(a.tb, text, a.Key))
}

// Write writes a file that is served.
func (a *Archive) Write(dir, name string, data []byte) {
	a.tb.Helper()
	to := filepath.Join(dir, name)
	check(a.tb, os.MkdirAll(filepath.Dir(to), 0o755))
	check(a.tb, os.WriteFile(to, data, 0o644))
}

func check(tb testing.TB, err error) {
	tb.Helper()
	if err != nil {
		tb.Fatal(err)
	}
}
