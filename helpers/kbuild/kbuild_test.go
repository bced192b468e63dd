//go:build linux

package kbuild

import (
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/cache"
	"eventbench/helpers/need"
	"eventbench/helpers/progress"
)

// An edit needs a text that is there once, and says what is wrong with others.
func TestApply(t *testing.T) {
	const text = "int a;\nint b;\nint a;\n"
	check := func(from, to, want, wantErr string) {
		t.Helper()
		got, err := Edit{"x.c", from, to}.Apply(text)
		if got != want || (err == nil) != (wantErr == "") || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("%q for %q: %q, %v; want %q, %q", to, from, got, err, want, wantErr)
		}
	}
	check("int b;", "long b;", "int a;\nlong b;\nint a;\n", "")
	check("int c;", "long c;", "", `x.c has no "int c;"`)
	check("int a;", "long a;", "", "x.c has 2 times \"int a;\", first in lines 1 and 3")
	check("int b;", "int b;", "", "the same")
	check("", "int b;", "", "no text to replace")
}

// What a build changes is as before after it, new files and modes included,
// also if the build was killed and only the next one puts it back.
func TestRestore(t *testing.T) {
	need.Need(t, need.HasPatch)
	tree := mustTree(t, map[string]string{"fs/a.c": "int a;\nint b;\n", "scripts/x.sh": "echo x\n", "fs/gone.c": "int c;\n"})
	if err := os.Chmod(tree.path(sourceDir, "scripts/x.sh"), 0o755); err != nil {
		t.Fatal(err)
	}
	before := snapshot(t, tree)
	v := Variant{
		Edits: []Edit{{"fs/a.c", "int a;", "long a;"}, {"fs/a.c", "int b;", "long b;"}, {"scripts/x.sh", "echo x", "echo y"}},
		Patch: []byte("--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1,2 +1,3 @@\n long a;\n long b;\n+long c;\n" +
			"--- /dev/null\n+++ b/fs/new.c\n@@ -0,0 +1 @@\n+int new;\n" +
			"--- a/fs/gone.c\n+++ /dev/null\n@@ -1 +0,0 @@\n-int c;\n"),
	}
	if err := tree.change(t.Context(), v); err != nil {
		t.Fatal(err)
	}
	changed := snapshot(t, tree)
	for _, want := range []string{"fs/a.c -rw-r--r-- long a;\nlong b;\nlong c;\n", "fs/new.c -rw-r--r-- int new;\n", "scripts/x.sh -rwxr-xr-x echo y\n"} {
		if !slices.Contains(changed, want) {
			t.Errorf("changed to %q, want %q in it", changed, want)
		}
	}
	if len(changed) != 3 {
		t.Errorf("changed to %q, want gone.c gone", changed)
	}
	// Another process finds it like that.
	other := &Tree{cache: tree.cache, dir: tree.dir, p: tree.p}
	if err := other.restore(); err != nil {
		t.Fatal(err)
	}
	if after := snapshot(t, tree); !slices.Equal(after, before) {
		t.Errorf("after restore:\n%q\nwant\n%q", after, before)
	}
	left, err := filepath.Glob(tree.path("undo*"))
	if err != nil || len(left) > 0 {
		t.Errorf("left: %q, %v", left, err)
	}
}

// What does not fit changes nothing for good and says why.
func TestMisfit(t *testing.T) {
	tree := mustTree(t, map[string]string{"fs/a.c": "int a;\n"})
	before := snapshot(t, tree)
	check := func(v Variant, want ...string) {
		t.Helper()
		err := tree.change(t.Context(), v)
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("error %v, want %q in it", err, w)
			}
		}
		if err := tree.restore(); err != nil {
			t.Error(err)
		}
		if after := snapshot(t, tree); !slices.Equal(after, before) {
			t.Errorf("left as %q", after)
		}
	}
	good := Edit{"fs/a.c", "int a;", "long a;"}
	check(Variant{Edits: []Edit{good, {"fs/a.c", "int z;", "long z;"}}}, `fs/a.c has no "int z;"`)
	check(Variant{Edits: []Edit{good, {"fs/z.c", "int z;", "long z;"}}}, "fs/z.c", "no such file")
	check(Variant{Edits: []Edit{{"../a.c", "int z;", "long z;"}}}, "../a.c is not in the source")
	check(Variant{Patch: []byte("not a patch\n")}, "names no files")
	if need.Has(t, need.HasPatch) {
		check(Variant{Edits: []Edit{good}, Patch: []byte("--- a/fs/a.c\n+++ b/fs/a.c\n@@ -1 +1 @@\n-int b;\n+long b;\n")}, "does not fit linux 1.2-3", "fs/a.c")
	}
}

// All options must have become what was asked for.
func TestLostOptions(t *testing.T) {
	got := "CONFIG_A=y\n# CONFIG_B is not set\nCONFIG_C=4\n"
	if lost := lostOptions("# why\nCONFIG_A=y\nCONFIG_B=y\n\nCONFIG_C=8\n", got); !slices.Equal(lost, []string{"CONFIG_B=y", "CONFIG_C=8"}) {
		t.Errorf("lost %q", lost)
	}
}

// The caller's environment does not reach into the kernel.
func TestMakeEnv(t *testing.T) {
	got := makeEnv([]string{"PATH=/bin", "KBUILD_BUILD_HOST=x", "MAKEFLAGS=-j99", "KCFLAGS=-O0", "HOME=/"})
	if want := []string{"PATH=/bin", "HOME=/"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

// Of what make says the compiler's errors count, without the source's path.
func TestReasons(t *testing.T) {
	out := &makeOutput{p: progress.New(io.Discard, "test")}
	io.WriteString(out, "  CC      fs/a.o\n/src/fs/a.c:3:1: warning: w\n/src/fs/a.c:4:1: error: unknown type name\nmake[3]: *** [x] Error 1\n")
	if got, want := out.reasons("/src/"), []string{"fs/a.c:4:1: error: unknown type name"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func mustTree(tb testing.TB, files map[string]string) *Tree {
	tb.Helper()
	t := &Tree{Version: "1.2-3", cache: cache.At(tb.TempDir()), dir: "linux-1.2", p: progress.New(io.Discard, "test")}
	for name, text := range files {
		if err := t.cache.WriteFile(filepath.Join(t.dir, sourceDir, name), []byte(text)); err != nil {
			tb.Fatal(err)
		}
	}
	return t
}

// snapshot returns all files of a source with modes and contents.
func snapshot(tb testing.TB, t *Tree) []string {
	tb.Helper()
	var all []string
	err := filepath.WalkDir(t.path(sourceDir), func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(t.path(sourceDir), path)
		all = append(all, name+" "+info.Mode().String()+" "+string(text))
		return err
	})
	if err != nil {
		tb.Fatal(err)
	}
	return all
}
