package guest

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"eventbench/helpers/cache"
	"eventbench/helpers/debian/debiantest"
	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"

	"golang.org/x/sys/unix"
)

// imagePackage returns a package with a kernel, of the size of one.
func imagePackage(t *testing.T, release string) []byte {
	t.Helper()
	image := append(fakeKernel(release), make([]byte, 4<<20)...)
	rand.NewChaCha8([32]byte{}).Read(image[len(image)-4<<20:])
	return debiantest.Package(t, ".zst", map[string]string{"boot/vmlinuz-" + release: string(image)})
}

// nameOf returns a name as packages of images have it.
func nameOf(release string) string { return "linux-image-" + release + "-cloud-amd64" }

// add adds the image of a release to the mirror, and returns its path there.
func add(t *testing.T, m *debiantest.Archive, release string) string {
	t.Helper()
	return m.Add("trixie", nameOf(release), release+"-1", "amd64", imagePackage(t, release))
}

// find returns the kernel that is found, or the error, and what was said but for
// the reading of lists.
func find(t *testing.T, c *cache.Dir, mirror, arg string, update bool) (*Kernel, []string, error) {
	t.Helper()
	var said []string
	k, err := FindKernel(t.Context(), c, AMD64, arg, mirror, update, func(format string, args ...any) {
		if !strings.HasPrefix(format, "reading") {
			said = append(said, fmt.Sprintf(format, args...))
		}
	})
	return k, said, err
}

// A series is fetched from a mirror, once, and then is in the cache.
func TestSeries(t *testing.T) {
	m := debiantest.New(t)
	add(t, m, "6.12.8")
	path := add(t, m, "6.12.9")
	m.Publish("trixie", time.Now(), "")
	c := cache.At(filepath.Join(t.TempDir(), "cache"))

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
			k, err := FindKernel(t.Context(), c, AMD64, "6.12", m.URL, false, say)
			if err != nil {
				t.Error(err)
			} else if k.Release != "6.12.9" || k.Name != "linux-image-6.12.9-cloud-amd64 6.12.9-1" {
				t.Errorf("got %q %q", k.Name, k.Release)
			}
		})
	}
	wg.Wait()
	if downloads != 1 {
		t.Errorf("%d downloads, want 1", downloads)
	}

	// From the cache it comes without an index, a package or a lock.
	for _, gone := range []string{filepath.Join(m.Dir, path), c.Path("debian-amd64.json"), c.Path("releases.json"), c.Path("lock")} {
		if err := os.Remove(gone); err != nil {
			t.Fatal(err)
		}
	}
	if _, said, err := find(t, c, m.URL, "6.12", false); err != nil || said != nil {
		t.Errorf("cached: %v; said %q", err, said)
	}
	left, err := filepath.Glob(c.Path("*"))
	if err != nil || len(left) != 1 || filepath.Base(left[0]) != kernelsDir {
		t.Errorf("left in the cache: %q, %v", left, err)
	}

	// One that was damaged since is not used, and where the mirror lists a
	// version whose file it lacks, the next serves. Each is said once.
	tooltest.MustWrite(t, c.Path(kernelsDir, "linux-image-6.12.9-cloud-amd64_6.12.9-1", imageName), string(fakeKernel("6.12.7-bad")))
	k, said, err := find(t, c, m.URL, "6.12", false)
	if err != nil || k.Release != "6.12.8" || len(said) != 3 ||
		!strings.HasPrefix(said[0], "cached kernel not used: ") || !strings.HasSuffix(said[0], "vmlinuz has changed since it was put there") ||
		!strings.HasPrefix(said[1], "downloading ") ||
		said[2] != "linux-image-6.12.9-cloud-amd64 6.12.9-1 is listed, but the mirror lacks it: looking for the next version that is there" {
		t.Errorf("after damage: got %+v, %v; said %q", k, err, said)
	}

	// A newer one is there to be asked for.
	add(t, m, "6.12.10")
	m.Publish("trixie", time.Now(), "")
	if k, _, err = find(t, c, m.URL, "6.12", false); err != nil || k.Release != "6.12.8" {
		t.Errorf("not asked for a newer one: %+v, %v", k, err)
	}
	if k, _, err = find(t, c, m.URL, "6.12", true); err != nil || k.Release != "6.12.10" {
		t.Errorf("asked for a newer one: %+v, %v", k, err)
	}
}

// A kernel of a date is that of the date's archive, and never taken for the
// newest, unless it is.
func TestSeriesSnapshot(t *testing.T) {
	m := debiantest.New(t)
	now := m.Dir
	service := strings.TrimSuffix(m.URL, "/debian")
	m.Dir = filepath.Join(filepath.Dir(now), "archive", "debian", "20990101T000000Z")
	add(t, m, "6.12.8")
	m.Publish("trixie", time.Now(), "")
	c := cache.At(t.TempDir())
	for range 2 {
		k, _, err := find(t, c, service, "6.12@2099-01-01", false)
		if err != nil || k.Release != "6.12.8" {
			t.Fatalf("got %+v, %v", k, err)
		}
	}
	if asked := len(m.Asked); asked == 0 {
		t.Error("the mirror was not asked")
	} else if _, _, err := find(t, c, service, "6.12@2099-01-01", true); err != nil || len(m.Asked) != asked {
		t.Errorf("asked again for what does not change: %q, %v", m.Asked[asked:], err)
	}
	if k, err := loadCached(c, AMD64, "6.12", "", t.Logf); k != nil || err != nil {
		t.Errorf("the newest of a date was taken for the newest: %+v, %v", k, err)
	}
	m.Dir = now
	add(t, m, "6.12.8")
	m.Publish("trixie", time.Now(), "")
	k, said, err := find(t, c, m.URL, "6.12", false)
	if err != nil || k.Release != "6.12.8" || len(said) != 0 {
		t.Errorf("got %+v, %v; said %q, but it was there", k, err, said)
	}
	if k, err := loadCached(c, AMD64, "6.12", "", t.Logf); k == nil || err != nil {
		t.Errorf("the newest is not known as such: %v", err)
	}
	if _, _, err := find(t, c, service, "6.12@yesterday", false); err == nil || !strings.Contains(err.Error(), `snapshot "yesterday": want a date`) {
		t.Errorf("no date: %v", err)
	}
}

// A full disk is told as such, with what to do, and is not taken for an archive
// that has moved on.
func TestSeriesFullDisk(t *testing.T) {
	need.Need(t, need.HasMounts)
	m := debiantest.New(t)
	add(t, m, "6.12.9")
	m.Publish("trixie", time.Now(), "")
	full := filepath.Join(t.TempDir(), "full")
	if err := os.Mkdir(full, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", full, "tmpfs", 0, "size=256k"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(full, unix.MNT_DETACH) })
	_, _, err := find(t, cache.At(full), m.URL, "6.12", false)
	if !errors.Is(err, unix.ENOSPC) || !strings.Contains(err.Error(), "free space for "+full) {
		t.Errorf("on a full disk: %v", err)
	}
	if left, err := filepath.Glob(filepath.Join(full, "*", "*")); err != nil || len(left) != 0 {
		t.Errorf("left in the cache: %q, %v", left, err)
	}
}

// Whatever is wrong is said, and nothing half-made is left.
func TestSeriesErrors(t *testing.T) {
	check := func(set func(m *debiantest.Archive), series string, want ...string) {
		t.Helper()
		m := debiantest.New(t)
		path := add(t, m, "6.12.9")
		m.Publish("trixie", time.Now(), "")
		if set != nil {
			set(m)
		} else if err := os.Remove(filepath.Join(m.Dir, path)); err != nil {
			t.Fatal(err)
		}
		c := cache.At(t.TempDir())
		_, _, err := find(t, c, m.URL, series, false)
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
	same := func(*debiantest.Archive) {}
	check(same, "9.9", "series 9.9", "which has 6.12")
	check(nil, "6.12", "kernel 6.12", "linux-image-6.12.9-cloud-amd64_6.12.9-1_amd64.deb: 404 Not Found")
	answer := func(text string) func(m *debiantest.Archive) {
		return func(m *debiantest.Archive) {
			m.Answer = func(w http.ResponseWriter, r *http.Request) bool {
				if !strings.HasSuffix(r.URL.Path, ".deb") {
					return false
				}
				fmt.Fprint(w, text)
				return true
			}
		}
	}
	check(answer("short"), "6.12", "kernel 6.12", ".deb has 5 bytes, but the signed list says ")
	check(answer("<html>Log in</html>"), "6.12", "kernel 6.12", "web page")
	published := func(deb []byte) func(m *debiantest.Archive) {
		return func(m *debiantest.Archive) {
			m.Add("trixie", nameOf("6.13.1"), "6.13.1-1", "amd64", deb)
			m.Publish("trixie", time.Now(), "")
		}
	}
	large := strings.Repeat("x", 5<<20)
	check(published(debiantest.Package(t, "", map[string]string{"usr/share/doc/x": large})), "6.13", "no vmlinuz")
	check(published(debiantest.Package(t, "", map[string]string{"boot/vmlinuz": large})), "6.13", "not a Linux kernel")
	check(published(debiantest.Package(t, "", map[string]string{"boot/vmlinuz": string(fakeArmKernel("6.13.1")), "x": large})), "6.13", "for arm64, not for x86-64")
}

// A mirror that is not there, and one that cannot be.
func TestIndexUnreachable(t *testing.T) {
	c := cache.At(t.TempDir())
	mirror := "file://" + t.TempDir() + "/debian"
	_, _, err := find(t, c, mirror, "6.12", false)
	if err == nil || !strings.Contains(err.Error(), "kernel 6.12: no kernels could be looked up: "+mirror+"/dists/bullseye/InRelease: 404") {
		t.Errorf("got error %v", err)
	}
	if _, _, err := find(t, c, "no url", "6.12", false); err == nil || !strings.Contains(err.Error(), "-mirror") {
		t.Errorf("got error %v, want one about -mirror", err)
	}
}

func TestListSeries(t *testing.T) {
	m := debiantest.New(t)
	add(t, m, "6.12.9")
	m.Add("sid", "linux-binary-7.3.4-cloud-amd64", "7.3.4-1", "amd64", imagePackage(t, "7.3.4"))
	m.Publish("trixie", time.Now(), "")
	m.Publish("sid", time.Now(), "")
	c := cache.At(t.TempDir())
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
		"i": strings.Replace(facts("6.12", "linux-image-6.12.99-cloud-amd64", "6.12.99-1", sum), "}", `, "Snapshot": true}`, 1),
	} {
		tooltest.MustWrite(t, c.Path(kernelsDir, dir, factsName), text)
	}
	got, err := ListSeries(t.Context(), c, AMD64, m.URL, false, t.Logf)
	want := []Series{
		{Name: "7.3", Newest: "7.3.4-1", Suite: "sid", Package: "linux-binary-7.3.4-cloud-amd64"},
		{Name: "6.12", Newest: "6.12.9-1", Suite: "trixie", Package: "linux-image-6.12.9-cloud-amd64", Cached: "6.12.8-1"},
		{Name: "5.4", Package: "linux-image-5.4.1-cloud-amd64", Cached: "5.4.1-1"},
	}
	if err != nil || !slices.Equal(got, want) {
		t.Fatalf("got %+v, %v, want %+v", got, err, want)
	}
}

func TestCacheUnwritable(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	tooltest.MustWrite(t, file, "")
	c := cache.At(filepath.Join(file, "cache")) // also root cannot
	_, _, err := find(t, c, "http://mirror.invalid/debian", "6.12", false)
	if err == nil || !strings.Contains(err.Error(), file) || !strings.Contains(err.Error(), "XDG_CACHE_HOME") {
		t.Errorf("got error %v", err)
	}
}
