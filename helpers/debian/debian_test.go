//go:build linux

package debian

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/cache"
	"eventbench/helpers/debian/debiantest"
	"eventbench/helpers/tooltest"

	"github.com/ProtonMail/go-crypto/openpgp/packet"
	openpgp "github.com/ProtonMail/go-crypto/openpgp/v2"
)

// The lists under testdata are excerpts of the suites of November 2026.
func TestParsePackages(t *testing.T) {
	check := func(arch, suiteName string, want ...string) {
		t.Helper()
		f, err := os.Open(filepath.Join("testdata", "Packages."+suiteName))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		found, err := parsePackages(f, arch, suite{name: suiteName})
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range found {
			got = append(got, fmt.Sprintf("%s %s %s %s", p.Series, p.Name, p.Version, p.Suite))
			if !strings.HasPrefix(p.Path, "pool/main/l/linux") || len(p.SHA256) != 64 {
				t.Errorf("%s: path %q, SHA256 %q", p.Name, p.Path, p.SHA256)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", suiteName, got, want)
		}
	}
	// Neither the unsigned image, nor what is not for clouds, nor a package
	// that only depends on an image.
	check("amd64", "bookworm",
		"6.1 linux-image-6.1.0-50-cloud-amd64 6.1.176-1 bookworm")
	check("amd64", "bookworm-backports",
		"6.12 linux-image-6.12.95+deb12-cloud-amd64 6.12.95-1~bpo12+1 bookworm-backports")
	// Here linux-image-7.3.4 is such a package itself.
	check("amd64", "trixie-backports",
		"7.2 linux-binary-7.2.9+deb13-cloud-amd64 7.2.9-1~bpo13+1 trixie-backports",
		"7.3 linux-binary-7.3.4+deb13-cloud-amd64 7.3.4-1~bpo13+1 trixie-backports",
		"6.18 linux-image-6.18.15+deb13-cloud-amd64 6.18.15-1~bpo13+1 trixie-backports")
}

func TestParsePackagesBroken(t *testing.T) {
	const text = "Package: linux-image-6.1.0-50-cloud-amd64\nVersion: 6.1.2-1\nArchitecture: amd64\nSize: many\n"
	_, err := parsePackages(strings.NewReader(text), "amd64", suite{name: "sid"})
	if err == nil || !strings.Contains(err.Error(), "linux-image-6.1.0-50-cloud-amd64") {
		t.Errorf("got error %v, want one that names the package", err)
	}
}

// Fields have any case, may be continued, and are only those that are wanted.
func TestEachParagraph(t *testing.T) {
	const text = "# none\nA: 1\nb:2\n more\n\tyet more\nC: 3\n not wanted\n\n\n \nB: 4"
	var got []paragraph
	err := eachParagraph(strings.NewReader(text), []string{"a", "b"}, func(p paragraph) error {
		got = append(got, maps.Clone(p))
		return nil
	})
	want := []paragraph{{"a": "1", "b": "2\nmore\nyet more"}, {"b": "4"}}
	if err != nil || !slices.EqualFunc(got, want, maps.Equal) {
		t.Errorf("got %q, %v, want %q", got, err, want)
	}
}

func TestCompareVersions(t *testing.T) {
	// Each is older than the next; dpkg --compare-versions agrees.
	order := []string{
		"5.10.218-1", "5.10.251-5", "5.10.262-1",
		"6.1.170-3", "6.1.176-1", "6.1.180-1~deb11u1", "6.1.180-1", "6.1.192-2",
		"6.12.95-1~bpo12+1", "6.12.95-1", "6.12.117-1~deb12u1", "6.12.117-1", "6.12.117-1+b1",
		"7.3~rc7-1~exp1", "7.3.4-1~bpo13+1", "7.3.4-1", "1:0.1",
	}
	for i, a := range order {
		for j, b := range order {
			got := CompareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("CompareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
	if got := CompareVersions("6.01", "6.1"); got != 0 {
		t.Errorf("leading zeros count: %d", got)
	}
}

func TestSystemMirrors(t *testing.T) {
	check := func(name string, files map[string]string, want mirrors) {
		t.Helper()
		dir := t.TempDir()
		for file, text := range files {
			tooltest.MustWrite(t, filepath.Join(dir, file), text)
		}
		got, err := systemMirrors(dir)
		if err != nil || got != want {
			t.Errorf("%s: got %+v, %v, want %+v", name, got, err, want)
		}
	}
	const deb, sec = "http://mirror.example/debian", "http://mirror.example/debian-security"
	check("one-line", map[string]string{"sources.list": `
# deb http://old.example/debian bookworm main
deb-src http://src.example/debian bookworm main
deb cdrom:[Debian]/ bookworm main
deb [arch=amd64 signed-by=/k.gpg] http://mirror.example/debian bookworm main contrib # ours
deb http://mirror.example/debian-security bookworm-security main
`}, mirrors{deb, sec})
	check("deb822, others first", map[string]string{
		"sources.list.d/a.list": "deb https://docker.example/linux/debian bookworm stable\n",
		"sources.list.d/b.sources": `Types: deb
URIs: https://node.example/node_20.x
Suites: nodistro
Components: main

Enabled: no
Types: deb
URIs: http://disabled.example/debian
Suites: bookworm
Components: main
`,
		"sources.list.d/debian.sources": `# snapshot
Types: deb deb-src
URIs: http://mirror.example/debian
Suites: bookworm bookworm-updates
# a comment
Components: main
 contrib

Types: deb
URIs: http://mirror.example/debian-security
Suites: bookworm-security
Components: main
`,
		"sources.list.d/debian.sources.bak": "Types: deb\nURIs: http://bak.example/debian\nSuites: sid\nComponents: main\n",
	}, mirrors{deb, sec})
	check("no security mirror", map[string]string{"sources.list": "deb http://mirror.example/debian sid main\n"}, mirrors{main: deb})

	list := filepath.Join(t.TempDir(), "debian.list")
	tooltest.MustWrite(t, list, "# near\nhttp://mirror.example/debian priority:1\nhttp://far.example/debian\n")
	check("list of mirrors", map[string]string{
		"sources.list.d/debian.sources": "Types: deb\nURIs: mirror+file://" + list + "\nSuites: trixie\nComponents: main\n",
	}, mirrors{main: deb})
	check("another distribution", map[string]string{"sources.list": "deb http://archive.example/ubuntu noble main\n"}, mirrors{})
	check("no apt", nil, mirrors{})
}

// The flag wins over the variable, and a snapshot is of the mirror's service.
func TestOpen(t *testing.T) {
	check := func(mirror, snapshot, wantMain, wantSecurity string) {
		t.Helper()
		a, err := Open(mirror, snapshot)
		if err != nil || a.url(false, "x") != wantMain+"/x" || a.url(true, "x") != wantSecurity+"/x" {
			t.Errorf("Open(%q, %q): %+v, %v; want %s, %s", mirror, snapshot, a, err, wantMain, wantSecurity)
		}
	}
	t.Setenv(mirrorVar, "http://env.example/debian/")
	check("", "", "http://env.example/debian", "http://env.example/debian-security")
	check("https://flag.example/d", "", "https://flag.example/d", "https://flag.example/d-security")
	check("http://snap.example/", "2026-11-01",
		"http://snap.example/archive/debian/20261101T000000Z", "http://snap.example/archive/debian-security/20261101T000000Z")
	t.Setenv(mirrorVar, "")
	check("", "20261101T120000Z", snapshotService+"/archive/debian/20261101T120000Z", snapshotService+"/archive/debian-security/20261101T120000Z")

	wrong := func(mirror, env, snapshot, want string) {
		t.Helper()
		t.Setenv(mirrorVar, env)
		if _, err := Open(mirror, snapshot); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Open(%q, %q) with %q: got error %v, want %q", mirror, snapshot, env, err, want)
		}
	}
	wrong("no url", "", "", `-mirror "no url"`)
	wrong("ftp://x/debian", "", "", "-mirror")
	wrong("http:///debian", "", "", "-mirror")
	wrong("", "deb.debian.org", "", mirrorVar)
	wrong("", "", "yesterday", `snapshot "yesterday"`)
}

// These are the fingerprints that Debian publishes at
// https://ftp-master.debian.org/keys.html. If the keyring package is here, its
// keys are the same.
func TestCarriedKeys(t *testing.T) {
	t.Setenv(keyringVar, "")
	carried, err := readKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	got := make(map[string]string)
	for _, key := range carried {
		_, identity := key.PrimaryIdentity(time.Time{}, nil)
		got[fmt.Sprintf("%X", key.PrimaryKey.Fingerprint)] = strings.Split(identity.Name, " <")[0]
	}
	want := map[string]string{
		"1F89983E0081FDE018F3CC9673A4F27B8DD47936": "Debian Archive Automatic Signing Key (11/bullseye)",
		"AC530D520F2F3269F5E98313A48449044AAD5C5D": "Debian Security Archive Automatic Signing Key (11/bullseye)",
		"A4285295FC7B1A81600062A9605C66F00D6C9793": "Debian Stable Release Key (11/bullseye)",
		"B8B80B5B623EAB6AD8775C45B7C5D7D6350947F8": "Debian Archive Automatic Signing Key (12/bookworm)",
		"05AB90340C0C5E797F44A8C8254CF3B5AEC0A8F0": "Debian Security Archive Automatic Signing Key (12/bookworm)",
		"4D64FEC119C2029067D6E791F8D2585B8783D481": "Debian Stable Release Key (12/bookworm)",
		"04B54C3CDCA79751B16BC6B5225629DF75B188BD": "Debian Archive Automatic Signing Key (13/trixie)",
		"5E04A1E3223A19A20706E20F9904613D4CCE68C6": "Debian Security Archive Automatic Signing Key (13/trixie)",
		"41587F7DB8C774BCCF131416762F67A0B2C39DE4": "Debian Stable Release Key (13/trixie)",
	}
	if !maps.Equal(got, want) {
		t.Errorf("carried keys:\ngot  %q\nwant %q", got, want)
	}
	for _, file := range keyrings {
		system, err := readKeyring(file)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		same := 0
		for _, key := range system {
			for _, other := range carried {
				if bytes.Equal(key.PrimaryKey.Fingerprint, other.PrimaryKey.Fingerprint) {
					same++
				}
			}
		}
		if same == 0 {
			t.Errorf("%s has none of the carried keys", file)
		}
	}
}

// The system's keys come before the carried ones, which fill the gaps, and
// those of a private mirror before both.
func TestReadKeys(t *testing.T) {
	t.Setenv(keyringVar, "")
	dir := t.TempDir()
	own := debiantest.NewKey(t, packet.Config{})
	var binary bytes.Buffer
	if err := own.Serialize(&binary); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, "keys.gpg")
	tooltest.MustWrite(t, file, binary.String())
	carried, err := readKeys(nil)
	if err != nil {
		t.Fatal(err)
	}
	keys, err := readKeys([]string{filepath.Join(dir, "none"), file})
	if err != nil || len(keys) != len(carried)+1 || keys[0].PrimaryKey.KeyId != own.PrimaryKey.KeyId {
		t.Errorf("with a system's keyring: %d keys, %v", len(keys), err)
	}
	t.Setenv(keyringVar, file)
	if keys, err = readKeys(nil); err != nil || len(keys) != 1 {
		t.Errorf("with %s: %d keys, %v", keyringVar, len(keys), err)
	}
	tooltest.MustWrite(t, file, "x")
	if _, err := readKeys(nil); err == nil || !strings.Contains(err.Error(), keyringVar) || !strings.Contains(err.Error(), file) {
		t.Errorf("of a broken keyring: %v", err)
	}
}

// An InRelease file is what a key of the archive signed, is of the suite, and is
// not out of date.
func TestParseRelease(t *testing.T) {
	now := time.Date(2026, 11, 28, 12, 0, 0, 0, time.UTC)
	key, stranger := debiantest.NewKey(t, packet.Config{}), debiantest.NewKey(t, packet.Config{})
	expired := debiantest.NewKey(t, packet.Config{
		Time: func() time.Time { return now.AddDate(-3, 0, 0) }, KeyLifetimeSecs: 365 * 24 * 3600,
	})
	a := &Archive{keys: openpgp.EntityList{key, expired}, now: func() time.Time { return time.Now() }}
	sum := strings.Repeat("0", 64)
	text := func(codename, fields string) string {
		return "Origin: Debian\nCodename: " + codename + "\nDate: Sat, 21 Nov 2026 09:15:44 UTC\n" + fields +
			"SHA256:\n " + sum + " 123 main/binary-amd64/Packages.xz\n"
	}
	check := func(name string, data []byte, want string) {
		t.Helper()
		r, err := a.parseRelease(data, "trixie")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", name, err, want)
		}
		if err == nil && (day(r.date) != "2026-11-21" || r.lists["main/binary-amd64/Packages.xz"] != listed{123, sum}) {
			t.Errorf("%s: got %+v", name, r)
		}
	}
	good := debiantest.Sign(t, text("trixie", ""), key)
	check("good", good, "")
	check("two signatures, the second known", debiantest.Sign(t, text("trixie", ""), stranger, key), "")
	check("valid for long", debiantest.Sign(t, text("trixie", "Valid-Until: Sat, 21 Nov 2099 09:15:44 UTC\n"), key), "")
	check("valid no more", debiantest.Sign(t, text("trixie", "Valid-Until: Sat, 21 Nov 2020 09:15:44 UTC\n"), key), "valid until 2020-11-21")
	check("another suite", debiantest.Sign(t, text("bullseye", ""), key), `of the suite "bullseye"`)
	check("a stranger's key", debiantest.Sign(t, text("trixie", ""), stranger), fmt.Sprintf("key %016X: not one of Debian's", stranger.PrimaryKey.KeyId))
	check("an expired key", debiantest.Sign(t, text("trixie", ""), expired), "expired")
	check("changed", bytes.Replace(good, []byte(" 123 "), []byte(" 124 "), 1), "no good signature")
	check("cut", good[:len(good)/2], "not a signed file")
	check("a page", []byte("<!DOCTYPE html><title>Log in</title>"), "web page")
	check("nothing", nil, "not a signed file")
	check("more in front", append([]byte(text("trixie", "")), debiantest.Sign(t, text("sid", ""), key)...), `of the suite "sid"`)
	check("no date", debiantest.Sign(t, "Codename: trixie\n", key), "no date")
}

// Lists that are older than what the mirror has had are not used, and the user
// is told what to do.
func TestReleaseDates(t *testing.T) {
	c := cache.At(filepath.Join(t.TempDir(), "cache"))
	check := func(date, suite, want string) {
		t.Helper()
		d, err := readReleaseDates(c)
		if err != nil {
			t.Fatal(err)
		}
		at, err := time.Parse(time.DateTime, date)
		if err != nil {
			t.Fatal(err)
		}
		if err = d.check("http://mirror/debian/", suite, at); err == nil {
			err = d.write(c)
		}
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got error %v, want %q", date, err, want)
		}
	}
	check("2026-11-07 10:11:12", "trixie", "")
	check("2026-11-07 10:11:12", "trixie", "")
	check("2026-11-07 10:11:11", "trixie", "remove "+c.Path(releasesFile))
	check("2026-11-07 10:11:11", "sid", "")
	check("2026-11-08 10:11:12", "trixie", "")
	check("2026-11-07 10:11:12", "trixie", "2026-11-08T10:11:12Z")
	tooltest.MustWrite(t, c.Path(releasesFile), "{")
	if _, err := readReleaseDates(c); err == nil || !strings.Contains(err.Error(), c.Path(releasesFile)) {
		t.Errorf("of a broken file: %v", err)
	}
}

// image is large enough for a kernel's package.
func image(t *testing.T) []byte {
	return debiantest.Package(t, "", map[string]string{"boot/vmlinuz-6.12.9": strings.Repeat("x", minImageSize)})
}

// The index has what the suites list, is kept, and is made again from the lists
// that have changed alone.
func TestIndex(t *testing.T) {
	m := debiantest.New(t)
	deb := image(t)
	m.Add("trixie", "linux-image-6.12.9-cloud-amd64", "6.12.9-1", "amd64", deb)
	m.Add("trixie", "linux-source-6.12", "6.12.9-1", "all", deb)
	m.Add("trixie", "linux-image-6.12.9-cloud-arm64", "6.12.9-1", "arm64", deb)
	m.Add("trixie-security", "linux-image-6.12.10-cloud-amd64", "6.12.10-1", "amd64", deb)
	now := time.Now().Truncate(time.Second)
	m.Publish("trixie", now, "")
	m.Publish("trixie-security", now, "")
	m.Publish("sid", now, "Valid-Until: Sat, 21 Nov 2020 09:15:44 UTC\n")
	a, err := Open(m.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	c := cache.At(t.TempDir())
	index := func(life time.Duration) *Index {
		t.Helper()
		x, err := a.Index(t.Context(), c, "amd64", life, t.Logf)
		if err != nil {
			t.Fatal(err)
		}
		return x
	}
	x := index(0)
	if got := x.Of("6.12", false); len(got) != 2 || got[0].Version != "6.12.10-1" || !got[0].Security || got[1].Suite != "trixie" {
		t.Errorf("images: %+v", got)
	}
	if got := x.Of("6.12", true); len(got) != 1 || got[0].Name != "linux-source-6.12" {
		t.Errorf("sources: %+v", got)
	}
	troubles := strings.Join(x.Troubles, "\n")
	for _, want := range []string{"/dists/bullseye/InRelease: 404", "/dists/sid/InRelease: valid until 2020-11-21"} {
		if !strings.Contains(troubles, want) {
			t.Errorf("no %q in %s", want, troubles)
		}
	}
	m.Asked = nil
	index(IndexLife)
	if m.Asked != nil {
		t.Errorf("from the cache, but asked for %q", m.Asked)
	}
	// Another mirror is asked, although the usual one's lists are fresh.
	usual := a.main
	a.main += "/."
	if index(IndexLife); m.Asked == nil {
		t.Error("another mirror was not asked")
	}
	a.main = usual
	m.Add("trixie", "linux-image-6.12.11-cloud-amd64", "6.12.11-1", "amd64", deb)
	m.Publish("trixie", now.Add(time.Second), "")
	x = index(0)
	if got := x.Of("6.12", false); len(got) != 3 || got[0].Version != "6.12.11-1" {
		t.Errorf("after a change: %+v", got)
	}
	lists := slices.DeleteFunc(slices.Clone(m.Asked), func(s string) bool { return !strings.Contains(s, "binary-") })
	if len(lists) != 2 || !strings.Contains(lists[0], "/trixie/main/binary-amd64/by-hash/SHA256/") || !strings.HasSuffix(lists[1], "/trixie/main/binary-amd64/Packages.xz") {
		t.Errorf("asked for the lists %q, want that of trixie by its hash, then by its name", lists)
	}

	m.Publish("trixie", now, "")
	x = index(0)
	if troubles := strings.Join(x.Troubles, "\n"); !strings.Contains(troubles, "trixie: the mirror has lists of") || len(x.Of("6.12", false)) != 1 {
		t.Errorf("after a replay: %+v, %s", x.Of("6.12", false), troubles)
	}
}

// A list that is not the signed one is named, with the reason, and its suite
// left out.
func TestIndexWrongList(t *testing.T) {
	m := debiantest.New(t)
	m.Add("trixie", "linux-image-6.12.9-cloud-amd64", "6.12.9-1", "amd64", image(t))
	m.Publish("trixie", time.Now(), "")
	list := filepath.Join(m.Dir, "dists/trixie/main/binary-amd64/Packages.xz")
	data, err := os.ReadFile(list)
	if err != nil {
		t.Fatal(err)
	}
	check := func(data []byte, want string) {
		t.Helper()
		tooltest.MustWrite(t, list, string(data))
		a, err := Open(m.URL, "")
		if err != nil {
			t.Fatal(err)
		}
		_, err = a.Index(t.Context(), cache.At(t.TempDir()), "amd64", 0, t.Logf)
		if err == nil || !strings.Contains(err.Error(), "no kernels could be looked up") {
			t.Errorf("got error %v", err)
		}
		x, err := a.newIndex(t.Context(), "amd64", &releaseDates{seen: map[string]time.Time{}}, &Index{})
		if err == nil || x != nil {
			t.Errorf("got %+v, %v", x, err)
		}
		_, err = a.getExact(t.Context(), a.url(false, "dists/trixie/main/binary-amd64/Packages.xz"), int64(len(data)), strings.Repeat("0", 64))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q", err, want)
		}
	}
	check(data[:len(data)-1], "Packages.xz has the SHA-256")
	check([]byte("<html>Log in"), "web page")
	check(append(bytes.Clone(data[:len(data)-1]), 'x'), "Packages.xz has the SHA-256")
}

// A snapshot is read from its directory, with the clock of its date, and kept
// for good. A suite that there was not is no trouble.
func TestSnapshot(t *testing.T) {
	m := debiantest.New(t)
	date := time.Date(2026, 11, 1, 0, 0, 0, 0, time.UTC)
	m.Key = debiantest.NewKey(t, packet.Config{Time: func() time.Time { return date.AddDate(-1, 0, 0) }})
	tooltest.MustWrite(t, os.Getenv(keyringVar), debiantest.Armored(t, m.Key))
	service := strings.TrimSuffix(m.URL, "/debian")
	m.Dir = filepath.Join(filepath.Dir(m.Dir), "archive", "debian", "20301101T000000Z")
	m.Add("trixie", "linux-image-6.12.9-cloud-amd64", "6.12.9-1", "amd64", image(t))
	m.Publish("trixie", date, "Valid-Until: Sun, 10 Nov 2030 09:15:44 UTC\n")
	a, err := Open(service, "2030-11-01")
	if err != nil {
		t.Fatal(err)
	}
	c := cache.At(t.TempDir())
	for range 2 {
		x, err := a.Index(t.Context(), c, "amd64", 0, t.Logf)
		if err != nil || len(x.Troubles) > 0 || len(x.Of("6.12", false)) != 1 {
			t.Fatalf("got %+v, %v", x, err)
		}
		m.Dir = "" // the second time it is cached
	}
	late, err := Open(service, "2031-11-01")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := late.Index(t.Context(), c, "amd64", 0, t.Logf); err == nil || !strings.Contains(err.Error(), "no kernels could be looked up") {
		t.Errorf("a snapshot that is not there: %v", err)
	}
}

// A package is fetched whole and verified or not at all, and what is wrong is
// said with its name.
func TestDownload(t *testing.T) {
	m := debiantest.New(t)
	deb := image(t)
	m.Add("trixie", "linux-image-6.12.9-cloud-amd64", "6.12.9-1", "amd64", deb)
	m.Publish("trixie", time.Now(), "")
	a, err := Open(m.URL, "")
	if err != nil {
		t.Fatal(err)
	}
	a.pause = 0
	x, err := a.Index(t.Context(), cache.At(t.TempDir()), "amd64", 0, t.Logf)
	if err != nil {
		t.Fatal(err)
	}
	p := x.Of("6.12", false)[0]
	asked := 0
	check := func(answer func(w http.ResponseWriter), wantAsked int, want string) {
		t.Helper()
		asked = 0
		m.Answer = func(w http.ResponseWriter, r *http.Request) bool {
			asked++
			answer(w)
			return true
		}
		to := filepath.Join(t.TempDir(), "package.deb")
		err := a.Download(t.Context(), p, to, t.Logf)
		if (err == nil) != (want == "") || err != nil && (!strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), p.Path)) {
			t.Errorf("got error %v, want %q", err, want)
		}
		if _, e := os.Stat(to); (e == nil) != (err == nil) {
			t.Errorf("%v, but the file: %v", err, e)
		}
		if NotThere(err) != (want == "404") {
			t.Errorf("%v: NotThere is %v", err, NotThere(err))
		}
		if asked != wantAsked {
			t.Errorf("%v: asked %d times, want %d", err, asked, wantAsked)
		}
	}
	check(func(w http.ResponseWriter) { w.Write(deb) }, 1, "")
	check(func(w http.ResponseWriter) { http.Error(w, "", http.StatusNotFound) }, 1, "404")
	check(func(w http.ResponseWriter) { http.Error(w, "", http.StatusForbidden) }, 1, "403")
	check(func(w http.ResponseWriter) {
		if asked < tries {
			http.Error(w, "", http.StatusBadGateway)
		} else {
			w.Write(deb)
		}
	}, tries, "")
	check(func(w http.ResponseWriter) { w.Write(bytes.Repeat([]byte("y"), len(deb))) }, 1, "has the SHA-256")
	check(func(w http.ResponseWriter) { w.Write(deb[:100]) }, 1, "has 100 bytes")
	check(func(w http.ResponseWriter) { io.WriteString(w, "<html>Log in</html>") }, 1, "web page")
	check(func(w http.ResponseWriter) { w.Write(append(bytes.Clone(deb), 'x')) }, tries, "larger than it should be")
	check(func(w http.ResponseWriter) {
		w.Header().Set("Content-Length", fmt.Sprint(len(deb)))
		w.Write(deb[:100])
		w.(http.Flusher).Flush()
		panic(http.ErrAbortHandler)
	}, tries, "cut off after")
}

func TestWalk(t *testing.T) {
	walk := func(deb []byte) (got []string, err error) {
		file := filepath.Join(t.TempDir(), "x.deb")
		tooltest.MustWrite(t, file, string(deb))
		err = Walk(file, func(name string, size int64, r io.Reader) error {
			text, err := io.ReadAll(r)
			got = append(got, fmt.Sprintf("%s %d %s", name, size, text))
			if name == "enough" {
				return fs.SkipAll
			}
			return err
		})
		return got, err
	}
	files := map[string]string{"boot/config": "c", "boot/vmlinuz": "image", "enough": "e", "more": ""}
	want := []string{"boot/config 1 c", "boot/vmlinuz 5 image", "enough 1 e"}
	for _, extension := range []string{"", ".gz", ".xz", ".zst"} {
		deb := debiantest.Package(t, extension, files)
		if got, err := walk(deb); err != nil || !slices.Equal(got, want) {
			t.Errorf("%q: got %q, %v", extension, got, err)
		}
		if _, err := walk(deb[:230]); err == nil {
			t.Errorf("%q: no error for a cut package", extension)
		}
	}
	check := func(name string, deb []byte, want string) {
		t.Helper()
		if got, err := walk(deb); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, %v, want an error with %q", name, got, err, want)
		}
	}
	check("text", []byte("text"), "not a Debian package")
	check("nothing", nil, "not a Debian package")
	check("no archive", []byte(arMagic), "without data.tar")
	check("a broken header", append([]byte(arMagic), bytes.Repeat([]byte("x"), 60)...), "broken header")
	check("bzip2", bytes.ReplaceAll(debiantest.Package(t, ".gz", files), []byte("data.tar.gz "), []byte("data.tar.bz2")), "packed in a way")
	check("not packed so", bytes.ReplaceAll(debiantest.Package(t, ".gz", files), []byte("data.tar.gz "), []byte("data.tar.xz ")), "xz")
	for _, name := range []string{"../x", "a/../../x", "/../x"} {
		check(name, debiantest.Deb(t, "", tarOf(t, &tar.Header{Name: name, Typeflag: tar.TypeReg})), "leads out of it")
	}
	// A link is not followed, and not a file.
	if got, err := walk(debiantest.Deb(t, "", tarOf(t, &tar.Header{Name: "boot/vmlinuz", Typeflag: tar.TypeSymlink, Linkname: "/etc/passwd"}))); got != nil || err != nil {
		t.Errorf("a link: got %q, %v", got, err)
	}
	huge := tarOf(t, &tar.Header{Name: "x", Typeflag: tar.TypeReg, Size: 1 << 40})
	check("a file that is not there", debiantest.Deb(t, "", huge), "unexpected EOF")
	u := &unpacking{r: bytes.NewReader(make([]byte, 100)), left: 10}
	if n, err := io.Copy(io.Discard, u); n != 10 || err == nil || !strings.Contains(err.Error(), "unpacks to more than") {
		t.Errorf("more than is allowed: %d bytes, %v", n, err)
	}
}

func tarOf(t *testing.T, h *tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := tar.NewWriter(&b).WriteHeader(h); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// A cached index is believed no more than a mirror.
func TestIndexChecked(t *testing.T) {
	good := Package{Series: "6.12", Name: "linux-image-6.12.9-cloud-amd64", Version: "6.12.9-1~bpo12+1", Suite: "trixie",
		Path: "pool/main/l/linux/x.deb", SHA256: strings.Repeat("0", 64), Size: minImageSize}
	a := &Archive{}
	read := func(made time.Time, p Package) error {
		c := cache.At(t.TempDir())
		data, err := json.Marshal(Index{Made: made, Lists: []list{{Packages: []Package{p}}}})
		if err != nil {
			t.Fatal(err)
		}
		tooltest.MustWrite(t, c.Path(indexFile("amd64", "")), string(data))
		_, err = a.ReadIndex(c, "amd64")
		return err
	}
	if err := read(time.Now(), good); err != nil {
		t.Fatal(err)
	}
	for _, change := range []func(*Package){
		func(p *Package) { p.Name = "../../../../../x" },
		func(p *Package) { p.Name = "linux-image-6.12.9-../../../x-cloud-amd64" },
		func(p *Package) { p.Name = "linux-image-6.12.9-cloud-amd64/../../x" },
		func(p *Package) { p.Name = "" },
		func(p *Package) { p.Name = "linux-image-6.12.9" + strings.Repeat("9", 300) + "-cloud-amd64" },
		func(p *Package) { p.Version = "6.12.9-1/../../x" },
		func(p *Package) { p.Version = "6.12.9-1\n" },
		func(p *Package) { p.Version = "6.13.9-1" },
		func(p *Package) { p.Series = "6.12.9" },
		func(p *Package) { p.SHA256 = "" },
		func(p *Package) { p.SHA256 = strings.Repeat("0", 63) + "\n" },
		func(p *Package) { p.Size = -1 },
		func(p *Package) { p.Size = 1 << 50 },
		func(p *Package) { p.Path = "../../etc/passwd" },
		func(p *Package) { p.Path = "pool/../../x" },
		func(p *Package) { p.Path = "/etc/passwd" },
		func(p *Package) { p.Path = "pool/a b" },
		func(p *Package) { p.Path = "" },
		func(p *Package) { p.Source = true },
		func(p *Package) { p.Name = "linux-image-6.12.9-cloud-arm64" },
		func(p *Package) { p.Name = "linux-image-6.12.9-cloud-riscv64" },
	} {
		bad := good
		change(&bad)
		if err := read(time.Now(), bad); err == nil {
			t.Errorf("believed: %+v", bad)
		}
	}
	if err := read(time.Now().Add(time.Hour), good); err == nil {
		t.Error("believed: an index of the future, which is fresh for ever")
	}
}

// A suite ends with its security archive, and backports promise nothing.
func TestEnds(t *testing.T) {
	for _, s := range suites {
		end := SuiteEnd(s.name)
		if promised := !strings.HasSuffix(s.name, "-backports") && s.name != "sid"; (end != "") != promised {
			t.Errorf("%s ends %q", s.name, end)
		}
	}
	for _, ends := range []map[string]string{suiteEnds, seriesEnds} {
		for name, end := range ends {
			if _, err := time.Parse("2006-01", end); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
}
