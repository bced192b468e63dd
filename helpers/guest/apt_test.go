package guest

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"

	"golang.org/x/sys/unix"
)

// The lists under testdata/apt are excerpts of the suites of November 2026.
func TestParsePackages(t *testing.T) {
	check := func(arch *Arch, suite string, want ...string) {
		t.Helper()
		f, err := os.Open(filepath.Join("testdata", "apt", "Packages."+suite))
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		found, err := parsePackages(f, arch, suite, "http://mirror.example/debian/")
		if err != nil {
			t.Fatal(err)
		}
		var got []string
		for _, p := range found {
			got = append(got, fmt.Sprintf("%s %s %s %s", p.Series, p.Name, p.Version, p.Suite))
			if !strings.HasPrefix(p.URI, "http://mirror.example/debian/pool/main/l/linux") || len(p.SHA256) != 64 {
				t.Errorf("%s: URI %q, SHA256 %q", p.Name, p.URI, p.SHA256)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s:\ngot  %q\nwant %q", suite, got, want)
		}
	}
	// Neither the unsigned image, nor what is not for clouds, nor a package
	// that only depends on an image.
	check(AMD64, "bookworm",
		"6.1 linux-image-6.1.0-50-cloud-amd64 6.1.176-1 bookworm")
	check(AMD64, "bookworm-backports",
		"6.12 linux-image-6.12.95+deb12-cloud-amd64 6.12.95-1~bpo12+1 bookworm-backports")
	// Here linux-image-7.3.4 is such a package itself.
	check(AMD64, "trixie-backports",
		"7.2 linux-binary-7.2.9+deb13-cloud-amd64 7.2.9-1~bpo13+1 trixie-backports",
		"7.3 linux-binary-7.3.4+deb13-cloud-amd64 7.3.4-1~bpo13+1 trixie-backports",
		"6.18 linux-image-6.18.15+deb13-cloud-amd64 6.18.15-1~bpo13+1 trixie-backports")
}

func TestParsePackagesBroken(t *testing.T) {
	_, err := parsePackages(strings.NewReader("Package: linux-image-6.1.0-50-cloud-amd64\nSize: many\n"), AMD64, "sid", "")
	if err == nil || !strings.Contains(err.Error(), "linux-image-6.1.0-50-cloud-amd64") {
		t.Errorf("got error %v, want one that names the package", err)
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
			got := compareVersions(a, b)
			if (got < 0) != (i < j) || (got > 0) != (i > j) {
				t.Errorf("compareVersions(%q, %q) = %d", a, b, got)
			}
		}
	}
	if got := compareVersions("6.01", "6.1"); got != 0 {
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

	dir := t.TempDir()
	tooltest.MustWrite(t, filepath.Join(dir, "sources.list"), "deb http://archive.example/ubuntu noble main\n")
	if _, err := systemMirrors(dir); err == nil || !strings.Contains(err.Error(), "-mirror") {
		t.Errorf("no mirror: got error %v, want one that says what to do", err)
	}
}

func TestSources(t *testing.T) {
	got := string(mirrors{main: "http://m.example/debian/"}.sources())
	for _, want := range []string{
		" http://m.example/debian/ bullseye main\n",
		" http://m.example/debian-security bullseye-security main\n",
		" http://m.example/debian/ sid main\n",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, got)
		}
	}
	for line := range strings.Lines(got) {
		if !strings.HasPrefix(line, "deb [signed-by="+debianKeyring+"] ") {
			t.Errorf("signature of %q unchecked", line)
		}
	}
}

func TestAptComplaints(t *testing.T) {
	check := func(said string, want ...string) {
		t.Helper()
		if got := aptComplaints(strings.Split(said, "\n")); !slices.Equal(got, want) {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	// What apt-get update said without a network, when it ended with 0.
	check(`W: Failed to fetch http://m.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'm.example'
W: Failed to fetch http://m.example/debian/dists/sid/InRelease  Temporary failure resolving 'm.example'
W: Some index files failed to download. They have been ignored, or old ones used instead.`,
		"Failed to fetch http://m.example/debian/dists/bookworm/InRelease  Temporary failure resolving 'm.example'",
		"Failed to fetch http://m.example/debian/dists/sid/InRelease  Temporary failure resolving 'm.example'")
	// A suite that does not exist.
	check(`Err:14 http://m.example/debian bullseye-backports Release
  404  Not Found [IP: 203.0.113.80 80]
E: The repository 'http://m.example/debian bullseye-backports Release' does not have a Release file.`,
		"The repository 'http://m.example/debian bullseye-backports Release' does not have a Release file.")
	// A download that is not what the lists say.
	check(`E: Failed to fetch http://m.example/debian/pool/l.deb  Hash Sum mismatch
   Hashes of expected file:
    - SHA256:139e51253b0d93db1ba3eb87707f76f3c5a7d83a50a5e5aacbda010ad21bd73b
E: Download Failed`,
		"Failed to fetch http://m.example/debian/pool/l.deb  Hash Sum mismatch", "Download Failed")
	check("")
}

// apt waits for ever where there is no room: the context ends then, and only
// then.
func TestWhileThereIsRoom(t *testing.T) {
	need.Need(t, need.HasMounts)
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size=1m"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Unmount(dir, 0) })
	ctx, stop := whileThereIsRoom(t.Context(), dir)
	time.Sleep(time.Second)
	if err := ctx.Err(); err != nil {
		t.Errorf("with room: %v", context.Cause(ctx))
	}
	stop()
	if err := os.WriteFile(filepath.Join(dir, "big"), make([]byte, 2<<20), 0o666); !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("filling %s: %v", dir, err)
	}
	ctx, stop = whileThereIsRoom(t.Context(), dir)
	defer stop()
	select {
	case <-ctx.Done():
	case <-time.After(tooltest.Patience):
	}
	if full := (*fullError)(nil); !errors.As(context.Cause(ctx), &full) || full.dir != dir {
		t.Errorf("without room: %v", context.Cause(ctx))
	}
}
