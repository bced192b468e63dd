package guest

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math/rand/v2"
	"os"
	"path/filepath"
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
			k, err := FindKernel(t.Context(), c, "6.12", testMirror, false, say)
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
	for _, gone := range []string{deb, c.Path(indexFile), c.Path("lock")} {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := FindKernel(t.Context(), c, "6.12", testMirror, false, t.Logf); err != nil {
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
	k, err := FindKernel(t.Context(), c, "6.12", testMirror, false, func(format string, args ...any) {
		if strings.HasPrefix(format, "cached kernel not used") {
			unused++
		}
	})
	if err != nil || k.Release != "6.12.8-test" || unused != 1 {
		t.Errorf("after damage: got %+v, %v; said %d times, want once", k, err, unused)
	}
}

// A full disk is told as such, with what to do, and is not taken for an archive that has moved on.
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
	_, err := FindKernel(t.Context(), c, "6.12", testMirror, false, t.Logf)
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
		_, err := FindKernel(t.Context(), c, series, testMirror, false, t.Logf)
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

	empty := mustPackage(t, dir, "empty", map[string]string{"usr/share/doc/x": "x"})
	check(fresh(mustDescribe(t, empty, "6.12.9-1")), "6.12", "no vmlinuz")
}

// A mirror that is not there, with the real lists wanted from it.
func TestIndexUnreachable(t *testing.T) {
	need.Need(t, need.HasApt)
	c := cache.At(t.TempDir())
	mirror := "file://" + t.TempDir() + "/debian"
	_, err := FindKernel(t.Context(), c, "6.12", mirror, false, t.Logf)
	if err == nil || !strings.Contains(err.Error(), "kernel 6.12: apt") {
		t.Errorf("got error %v", err)
	}
	if _, err := FindKernel(t.Context(), c, "6.12", "no url", false, t.Logf); err == nil || !strings.Contains(err.Error(), "-mirror") {
		t.Errorf("got error %v, want one about -mirror", err)
	}
}

func TestListSeries(t *testing.T) {
	c := cache.At(t.TempDir())
	mustIndex(t, c, time.Now(),
		aptPackage{Series: "7.3", Name: "b", Version: "7.3.4-1", Suite: "sid"},
		aptPackage{Series: "6.12", Name: "a", Version: "6.12.9-1", Suite: "trixie"})
	tooltest.MustWrite(t, c.Path(kernelsDir, "x", factsName), `{"Series": "6.12", "Package": "a", "Version": "6.12.8-1"}`)
	tooltest.MustWrite(t, c.Path(kernelsDir, "y", factsName), `{"Series": "5.4", "Package": "c", "Version": "5.4.1-1"}`)
	tooltest.MustWrite(t, c.Path(kernelsDir, "z", factsName), `{`)
	got, err := ListSeries(t.Context(), c, "", false, t.Logf)
	want := []Series{
		{Name: "7.3", Newest: "7.3.4-1", Suite: "sid", Package: "b"},
		{Name: "6.12", Newest: "6.12.9-1", Suite: "trixie", Package: "a", Cached: "6.12.8-1"},
		{Name: "5.4", Package: "c", Cached: "5.4.1-1"},
	}
	if err != nil || len(got) != len(want) {
		t.Fatalf("got %+v, %v", got, err)
	}
	for i := range want {
		if got[i] != want[i] {
			t.Errorf("got %+v, want %+v", got[i], want[i])
		}
	}
}

func TestCacheUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	tooltest.MustWrite(t, file, "")
	c := cache.At(filepath.Join(file, "cache")) // also root cannot
	_, err := FindKernel(t.Context(), c, "6.12", testMirror, false, t.Logf)
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
	tooltest.MustWrite(tb, c.Path(indexFile), string(data))
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
