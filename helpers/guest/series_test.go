package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eventbench/helpers/cache"
	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"

	"golang.org/x/sys/unix"
)

// The tests use the real apt on packages in local files.
func TestSeries(t *testing.T) {
	needApt(t)
	dir := t.TempDir()
	deb := mustPackage(t, dir, "linux", map[string]string{"boot/vmlinuz-6.12.9": string(fakeKernel("6.12.9-test"))})
	older := mustPackage(t, dir, "older", map[string]string{"boot/vmlinuz-6.12.8": string(fakeKernel("6.12.8-test"))})
	c := cache.At(filepath.Join(dir, "cache"))
	mustIndex(t, c, time.Now(), mustDescribe(t, deb, "6.12.9-1"), mustDescribe(t, older, "6.12.8-1"))

	// Several at once: one of them fetches.
	var wg sync.WaitGroup
	var mu sync.Mutex
	downloads := 0
	say := func(format string, args ...any) {
		mu.Lock()
		defer mu.Unlock()
		if strings.HasPrefix(format, "downloading") {
			downloads++
		}
	}
	for range 4 {
		wg.Go(func() {
			k, err := FindKernel(t.Context(), c, AMD64, "6.12", testMirror, false, say)
			if err != nil {
				t.Error(err)
			} else if k.Release != "6.12.9-test" || k.Name != "linux-image-6.12.9-cloud-amd64 6.12.9-1" {
				t.Errorf("got %q %q", k.Name, k.Release)
			}
		})
	}
	wg.Wait()
	if downloads != 1 {
		t.Errorf("%d downloads, want 1", downloads)
	}

	// From the cache it comes without an index, a package or a lock.
	for _, gone := range []string{deb, c.Path(indexFile(AMD64)), c.Path("lock")} {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := FindKernel(t.Context(), c, AMD64, "6.12", testMirror, false, t.Logf); err != nil {
		t.Errorf("cached: %v", err)
	}
	left, err := filepath.Glob(c.Path("*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != kernelsDir {
		t.Errorf("left in the cache: %q, %v", left, err)
	}

	// One that was damaged since is not used.
	tooltest.MustWrite(t, c.Path(kernelsDir, "linux-image-6.12.9-cloud-amd64_6.12.9-1", imageName), string(fakeKernel("6.12.7-bad")))
	mustIndex(t, c, time.Now(), mustDescribe(t, older, "6.12.8-1"))
	unused := 0
	k, err := FindKernel(t.Context(), c, AMD64, "6.12", testMirror, false, func(format string, args ...any) {
		if strings.HasPrefix(format, "cached kernel not used") {
			unused++
		}
	})
	if err != nil || k.Release != "6.12.8-test" || unused != 1 {
		t.Errorf("after damage: got %+v, %v; said %d times, want once", k, err, unused)
	}
}

// A full disk is told as such, with what to do, and is not taken for an archive
// that has moved on.
func TestSeriesFullDisk(t *testing.T) {
	need.Need(t, need.HasMounts)
	needApt(t)
	dir := t.TempDir()
	full := filepath.Join(dir, "full")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(full, unix.MNT_DETACH) })
	image := append(fakeKernel("6.12.9-test"), make([]byte, 1<<20)...)
	rand.NewChaCha8([32]byte{}).Read(image[len(image)-1<<20:])
	deb := mustPackage(t, dir, "linux", map[string]string{"boot/vmlinuz-6.12.9": string(image)})
	c := cache.At(full)
	mustIndex(t, c, time.Now().Add(-time.Hour), mustDescribe(t, deb, "6.12.9-1"))
	_, err := FindKernel(t.Context(), c, AMD64, "6.12", testMirror, false, t.Logf)
	if err == nil || !noSpace(err) || !strings.Contains(err.Error(), "free space for "+full) {
		t.Errorf("on a full disk: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(full, "*", "*")); err != nil || len(left) != 0 {
		t.Errorf("left in the cache: %q, %v", left, err)
	}
}

func TestSeriesErrors(t *testing.T) {
	needApt(t)
	dir := t.TempDir()
	deb := mustPackage(t, dir, "linux", map[string]string{"boot/vmlinuz-6.12.9": string(fakeKernel("6.12.9-test"))})
	described := mustDescribe(t, deb, "6.12.9-1")
	fresh := func(p ...aptPackage) *cache.Dir {
		c := cache.At(t.TempDir())
		mustIndex(t, c, time.Now(), p...)
		return c
	}
	check := func(c *cache.Dir, series string, want ...string) {
		t.Helper()
		_, err := FindKernel(t.Context(), c, AMD64, series, testMirror, false, t.Logf)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got error %v, want %q in it", err, w)
			}
		}
		if kernels, _ := cachedKernels(c); len(kernels) != 0 {
			t.Errorf("cached all the same: %+v", kernels)
		}
		if _, err := os.Stat(c.Path("work")); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("work directory left: %v", err)
		}
	}
	check(fresh(described), "9.9", "series 9.9", "6.12")

	wrong := described
	wrong.SHA256 = strings.Repeat("0", 64)
	check(fresh(wrong), "6.12", "kernel 6.12", "Hash Sum mismatch")

	gone := described
	gone.URI += ".gone"
	check(fresh(gone), "6.12", "kernel 6.12", "linux.deb.gone")
	older := gone
	older.Version = "6.12.8-1"
	check(fresh(gone, older), "6.12", "kernel 6.12", "linux.deb.gone")
	check(fresh(gone, wrong, described), "6.12", "kernel 6.12", "Hash Sum mismatch") // which is no reason for another

	empty := mustPackage(t, dir, "empty", map[string]string{"usr/share/doc/x": "x"})
	check(fresh(mustDescribe(t, empty, "6.12.9-1")), "6.12", "no vmlinuz")
}

// Where the mirror lists a version whose file it lacks, the next serves, which
// is said once: the second time it is cached.
func TestSeriesListedButMissing(t *testing.T) {
	needApt(t)
	dir := t.TempDir()
	deb := mustPackage(t, dir, "linux", map[string]string{"boot/vmlinuz-6.12.8": string(fakeKernel("6.12.8-test"))})
	older := mustDescribe(t, deb, "6.12.8-1")
	gone := older
	gone.URI, gone.Version = gone.URI+".gone", "6.12.9-1"
	web := gone
	web.URI, web.Version = mustServeNothing(t)+"/linux.deb", "6.12.10-1"
	c := cache.At(filepath.Join(dir, "cache"))
	mustIndex(t, c, time.Now(), web, gone, older)
	var said []string
	for range 2 {
		k, err := FindKernel(t.Context(), c, AMD64, "6.12", testMirror, false, func(format string, args ...any) {
			said = append(said, fmt.Sprintf(format, args...))
		})
		if err != nil || k.Release != "6.12.8-test" {
			t.Fatalf("got %+v, %v; said %q", k, err, said)
		}
	}
	said = slices.DeleteFunc(said, func(s string) bool { return strings.HasPrefix(s, "downloading ") })
	if want := []string{
		"linux-image-6.12.9-cloud-amd64 6.12.10-1 is listed, but the mirror lacks it: looking for the next version that is there",
	}; !slices.Equal(said, want) {
		t.Errorf("said %q, want %q", said, want)
	}
}

// mustServeNothing returns the URL of a server that answers 404.
func mustServeNothing(t *testing.T) string {
	t.Helper()
	t.Setenv("no_proxy", "127.0.0.1")
	s := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(s.Close)
	return s.URL
}

// A mirror that is not there, with the real lists wanted from it.
func TestIndexUnreachable(t *testing.T) {
	need.Need(t, need.HasApt)
	c := cache.At(t.TempDir())
	mirror := "file://" + t.TempDir() + "/debian"
	_, err := FindKernel(t.Context(), c, AMD64, "6.12", mirror, false, t.Logf)
	if err == nil || !strings.Contains(err.Error(), "kernel 6.12: apt") {
		t.Errorf("got error %v", err)
	}
	if _, err := FindKernel(t.Context(), c, AMD64, "6.12", "no url", false, t.Logf); err == nil || !strings.Contains(err.Error(), "-mirror") {
		t.Errorf("got error %v, want one about -mirror", err)
	}
}

func TestListSeries(t *testing.T) {
	c := cache.At(t.TempDir())
	mustIndex(t, c, time.Now(),
		listed("7.3", "linux-binary-7.3.4-cloud-amd64", "7.3.4-1", "sid"),
		listed("6.12", "linux-image-6.12.9-cloud-amd64", "6.12.9-1", "trixie"))
	facts := func(series, name, version, sum string) string {
		return fmt.Sprintf(`{"Series": %q, "Package": %q, "Version": %q, "SHA256": %q}`, series, name, version, sum)
	}
	sum := strings.Repeat("0", 64)
	for dir, text := range map[string]string{
		"a": facts("6.12", "linux-image-6.12.8-cloud-amd64", "6.12.8-1", sum),
		"b": facts("5.4", "linux-image-5.4.1-cloud-amd64", "5.4.1-1", sum),
		// These are as good as not there.
		"c": `{`,
		"d": facts("6.12", "linux-image-6.12.99-cloud-amd64", "6.12.99-1", "none"),
		"e": facts("6.12", "linux-image-6.12.99-cloud-amd64", "7.3.99-1", sum),
		"f": facts("6.12", "../../linux-image-6.12.99-cloud-amd64", "6.12.99-1", sum),
		"g": facts("6.12", "linux-image-6.12.99-cloud-amd64", "6.12.99-1\x1b[31m", sum),
		"h": facts("6.12", "linux-image-6.12.99-cloud-arm64", "6.12.99-1", sum),
	} {
		tooltest.MustWrite(t, c.Path(kernelsDir, dir, factsName), text)
	}
	got, err := ListSeries(t.Context(), c, AMD64, "", false, t.Logf)
	want := []Series{
		{Name: "7.3", Newest: "7.3.4-1", Suite: "sid", Package: "linux-binary-7.3.4-cloud-amd64"},
		{Name: "6.12", Newest: "6.12.9-1", Suite: "trixie", Package: "linux-image-6.12.9-cloud-amd64", Cached: "6.12.8-1"},
		{Name: "5.4", Package: "linux-image-5.4.1-cloud-amd64", Cached: "5.4.1-1"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
}

// listed is a package as an index has it.
func listed(series, name, version, suite string) aptPackage {
	return aptPackage{Series: series, Name: name, Version: version, Suite: suite,
		URI: "http://mirror.invalid/debian/pool/x.deb", SHA256: strings.Repeat("0", 64), Size: minImageSize}
}

// A cached index is believed no more than a mirror.
func TestIndexChecked(t *testing.T) {
	good := listed("6.12", "linux-image-6.12.9-cloud-amd64", "6.12.9-1~bpo12+1", "trixie")
	read := func(p aptPackage) error {
		c := cache.At(t.TempDir())
		mustIndex(t, c, time.Now(), p)
		_, err := readIndex(c, AMD64)
		return err
	}
	if err := read(good); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*aptPackage){
		func(p *aptPackage) { p.Name = "../../../../../x" },
		func(p *aptPackage) { p.Name = "linux-image-6.12.9-../../../x-cloud-amd64" },
		func(p *aptPackage) { p.Name = "linux-image-6.12.9-cloud-amd64/../../x" },
		func(p *aptPackage) { p.Name = "" },
		func(p *aptPackage) { p.Name = "linux-image-6.12.9" + strings.Repeat("9", 300) + "-cloud-amd64" },
		func(p *aptPackage) { p.Version = "6.12.9-1/../../x" },
		func(p *aptPackage) { p.Version = "6.12.9-1\n" },
		func(p *aptPackage) { p.Version = "6.13.9-1" },
		func(p *aptPackage) { p.Series = "6.12.9" },
		func(p *aptPackage) { p.SHA256 = "" },
		func(p *aptPackage) { p.SHA256 = strings.Repeat("0", 63) + "\n" },
		func(p *aptPackage) { p.Size = -1 },
		func(p *aptPackage) { p.Size = 1 << 50 },
		func(p *aptPackage) { p.URI = "-o=APT::Update::Pre-Invoke::=touch /tmp/x" },
		func(p *aptPackage) { p.URI = "http://mirror.invalid/a b" },
		func(p *aptPackage) { p.Source = true },
		func(p *aptPackage) { p.Name = "linux-image-6.12.9-cloud-arm64" },
		func(p *aptPackage) { p.Name = "linux-image-6.12.9-cloud-riscv64" },
	} {
		bad := good
		change(&bad)
		if err := read(bad); err == nil {
			t.Errorf("believed: %+v", bad)
		}
	}
	c := cache.At(t.TempDir())
	mustIndex(t, c, time.Now().Add(time.Hour), good)
	if _, err := readIndex(c, AMD64); err == nil {
		t.Error("believed: an index of the future, which is fresh for ever")
	}
}

// Lists that are older than what the mirror has had are not used, and the user
// is told what to do.
func TestReleaseDates(t *testing.T) {
	dir := t.TempDir()
	c := cache.At(filepath.Join(dir, "cache"))
	list := filepath.Join(dir, "mirror_debian_dists_trixie_main_binary-amd64_Packages")
	look := func(kind, date, suite string) error {
		t.Helper()
		tooltest.MustWrite(t, filepath.Join(dir, "mirror_debian_dists_trixie_"+kind), "-----BEGIN PGP SIGNED MESSAGE-----\n\nOrigin: Debian\n"+date)
		d, err := readReleaseDates(c)
		if err != nil {
			t.Fatal(err)
		}
		if err := d.check("http://mirror/debian/", suite, list); err != nil {
			return err
		}
		return d.write(c)
	}
	check := func(kind, date, suite, want string) {
		t.Helper()
		err := look(kind, date, suite)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", date, err, want)
		}
	}
	check("InRelease", "Date: Sat, 07 Nov 2026 10:11:12 UTC\n", "trixie", "")
	check("InRelease", "Date: Sat, 07 Nov 2026 10:11:12 UTC\n", "trixie", "")
	check("InRelease", "Date: Sat, 07 Nov 2026 10:11:11 UTC\n", "trixie", "remove "+c.Path(releasesFile))
	check("InRelease", "Date: Sat, 07 Nov 2026 10:11:11 UTC\n", "sid", "")
	check("InRelease", "Date: Sun, 08 Nov 2026 10:11:12 UTC\n", "trixie", "")
	check("InRelease", "Date: Sat, 07 Nov 2026 10:11:12 UTC\n", "trixie", "2026-11-08T10:11:12Z")
	check("InRelease", "Label: Debian\n", "trixie", "no date")
	check("InRelease", "Date: yesterday\n", "trixie", "yesterday")
	if err := os.Remove(filepath.Join(dir, "mirror_debian_dists_trixie_InRelease")); err != nil {
		t.Fatal(err)
	}
	check("Release", "Date: Mon, 09 Nov 2026 10:11:12 UTC\n", "trixie", "")
	tooltest.MustWrite(t, c.Path(releasesFile), "{")
	if _, err := readReleaseDates(c); err == nil || !strings.Contains(err.Error(), c.Path(releasesFile)) {
		t.Errorf("of a broken file: %v", err)
	}
}

func TestCacheUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	tooltest.MustWrite(t, file, "")
	c := cache.At(filepath.Join(file, "cache")) // also root cannot
	_, err := FindKernel(t.Context(), c, AMD64, "6.12", testMirror, false, t.Logf)
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("got error %v", err)
	}
}

// testMirror is not asked: what the tests fetch is in files.
const testMirror = "http://mirror.invalid/debian"

// needApt is for tests that make packages and fetch them.
func needApt(t *testing.T) {
	t.Helper()
	need.Need(t, need.HasApt)
	need.Need(t, need.HasDpkg)
}

func mustIndex(tb testing.TB, c *cache.Dir, made time.Time, packages ...aptPackage) {
	tb.Helper()
	data, err := json.Marshal(aptIndex{Made: made, Packages: packages})
	if err != nil {
		tb.Fatal(err)
	}
	tooltest.MustWrite(tb, c.Path(indexFile(AMD64)), string(data))
}

func mustDescribe(tb testing.TB, deb, version string) aptPackage {
	tb.Helper()
	data, err := os.ReadFile(deb)
	if err != nil {
		tb.Fatal(err)
	}
	sum := sha256.Sum256(data)
	return aptPackage{
		Series: "6.12", Name: "linux-image-6.12.9-cloud-amd64", Version: version, Suite: "test",
		URI: "file://" + deb, SHA256: hex.EncodeToString(sum[:]), Size: int64(len(data)),
	}
}
