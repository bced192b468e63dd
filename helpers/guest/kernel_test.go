package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/debian/debiantest"
	"eventbench/helpers/tooltest"
)

func TestParseKernel(t *testing.T) {
	k, err := parseKernel(fakeKernel("6.12.9-test"))
	if err != nil || k.Release != "6.12.9-test" || k.arch != AMD64 {
		t.Errorf("got %+v, %v", k, err)
	}
	k, err = parseKernel(fakeArmKernel("6.12.9-arm"))
	if err != nil || k.Release != "6.12.9-arm" || k.arch != ARM64 {
		t.Errorf("got %+v, %v", k, err)
	}

	change := func(f func(image []byte)) []byte {
		image := fakeKernel("6.12.9-test")
		f(image)
		return image
	}
	check := func(image []byte, want string) {
		t.Helper()
		_, err := parseKernel(image)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got error %v, want %q in it", err, want)
		}
	}
	check(nil, "not a Linux kernel")
	check([]byte("#!/bin/sh\n"), "not a Linux kernel")
	check(fakeArmKernel("")[:512], "truncated: an Image for arm64")
	check([]byte("MZ\x00\x00zimg\x00\x00\x00\x00gzip"), "zboot")
	check([]byte("\x1f\x8b\x08\x00"), "gzipped")
	check(debiantest.Compress(t, ".gz", []byte("text")), "not a Linux kernel")
	check(debiantest.Compress(t, ".gz", fakeArmKernel("6.12.9-arm"))[:60], "unexpected EOF")
	check(debiantest.Compress(t, ".gz", make([]byte, bounded.Image+1)), "unpacks to more than 256 MiB")
	if k, err := parseKernel(debiantest.Compress(t, ".gz", fakeArmKernel("6.12.9-arm"))); err != nil || k.arch != ARM64 || !bytes.Equal(k.image, fakeArmKernel("6.12.9-arm")) {
		t.Errorf("Image.gz: %+v, %v", k, err)
	}
	check([]byte("\x7fELF\x02\x01\x01"), "bzImage")
	check(change(func(b []byte) { b[xloadflagsAt] = 0 }), "32-bit")
	check(change(func(b []byte) { binary.LittleEndian.PutUint16(b[versionAt:], 0x020a) }), "32-bit")
	check(fakeKernel("6.12.9-test")[:4096], "truncated: 4096 bytes")
}

func TestFindKernelFile(t *testing.T) {
	dir := t.TempDir()
	c := cache.At(filepath.Join(dir, "cache"))
	find := func(arg string) (*Kernel, error) {
		return FindKernel(context.Background(), c, AMD64, arg, "", false, t.Logf)
	}
	tooltest.MustWrite(t, filepath.Join(dir, "bzImage"), string(fakeKernel("6.12.9-test")))
	k, err := find(filepath.Join(dir, "bzImage"))
	if err != nil {
		t.Fatal(err)
	}
	if !strings.HasPrefix(k.Name, "bzImage sha256:") || len(k.Name) != len("bzImage sha256:")+12 {
		t.Errorf("Name = %q", k.Name)
	}
	if _, err := os.Stat(c.Path()); err == nil {
		t.Error("a file made a cache")
	}

	check := func(arg, want string) {
		t.Helper()
		_, err := find(arg)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("-kernel %q: got error %v, want %q in it", arg, err, want)
		}
	}
	check("", "-kernel wants")
	check(dir, "not a file")
	tooltest.MustWrite(t, filepath.Join(dir, "Image"), string(fakeArmKernel("6.12.9-arm")))
	check(filepath.Join(dir, "Image"), "Image is for arm64, but the program for x86-64: build the program with GOARCH=arm64")
	check(filepath.Join(dir, "missing"), "no such file")
	for name, size := range map[string]int64{"image": bounded.Image + 1, "file": bounded.Package + 1, "terabyte": 1 << 40} {
		sparse := filepath.Join(dir, name)
		tooltest.MustWrite(t, sparse, string(fakeKernel("6.12.9-test")))
		if err := os.Truncate(sparse, size); err != nil {
			t.Log(err) // of a file system that cannot
			continue
		}
		check(sparse, sparse+" has more than ")
	}
	check("6.12.9", "no such file")
}

func TestImageInPackage(t *testing.T) {
	dir := t.TempDir()
	image := fakeKernel("6.12.9-test")
	check := func(name string, wantConfig, wantErr string) {
		t.Helper()
		k, err := FindKernel(context.Background(), cache.At(dir), AMD64, name, "", false, t.Logf)
		switch {
		case wantErr == "" && (err != nil || !bytes.Equal(k.image, image) || string(k.config) != wantConfig):
			t.Errorf("%s: %v, configured %q", name, err, k.config)
		case wantErr != "" && (err == nil || !strings.Contains(err.Error(), wantErr)):
			t.Errorf("%s: got error %v, want %q in it", name, err, wantErr)
		}
	}
	good := mustPackage(t, dir, "good", map[string]string{
		"boot/config-6.12.9": "CONFIG_EVENTFD=y\n", "boot/vmlinuz-6.12.9": string(image), "usr/lib/modules/6.12.9/kernel/m.ko": "x",
	})
	check(good, "CONFIG_EVENTFD=y\n", "")
	check(mustPackage(t, dir, "newer", map[string]string{"usr/lib/modules/7.3/vmlinuz": string(image)}), "", "")
	check(mustPackage(t, dir, "depends", map[string]string{"usr/share/doc/x": "x"}), "", "no vmlinuz")
	check(mustPackage(t, dir, "junk", map[string]string{"boot/vmlinuz": "junk"}), "", "not a Linux kernel")

	data, err := os.ReadFile(good)
	if err != nil {
		t.Fatal(err)
	}
	cut := filepath.Join(dir, "cut.deb")
	tooltest.MustWrite(t, cut, string(data[:len(data)/2]))
	check(cut, "", "unexpected EOF")
	tooltest.MustWrite(t, filepath.Join(dir, "text.deb"), "no package\n")
	check(filepath.Join(dir, "text.deb"), "", "not a Debian package")
}

// fakeKernel is an image that nothing but its missing code tells from a
// kernel.
func fakeKernel(release string) []byte {
	const setup, rest = 4, 60 // sectors
	image := make([]byte, (1+setup+rest)*512)
	le := binary.LittleEndian
	image[0x1f1] = setup
	le.PutUint32(image[0x1f4:], rest*512/16)
	le.PutUint16(image[bootFlagAt:], 0xaa55)
	copy(image[headerAt:], "HdrS")
	le.PutUint16(image[versionAt:], 0x020f)
	le.PutUint16(image[xloadflagsAt:], loads64Bit)
	le.PutUint16(image[textOffsetAt:], 0x400)
	copy(image[0x600:], release+" (builder@host) #1 SMP\x00")
	return image
}

// fakeArmKernel is the same for arm64.
func fakeArmKernel(release string) []byte {
	image := make([]byte, 4096)
	copy(image[armMagicAt:], "ARM\x64")
	copy(image[1024:], "\x00Linux version %s\x00")
	copy(image[2048:], "\x00Linux version "+release+" (builder@host) (gcc) #1 SMP PREEMPT\n\x00")
	return image
}

// mustPackage makes a Debian package with the files.
func mustPackage(tb testing.TB, dir, name string, files map[string]string) string {
	tb.Helper()
	file := filepath.Join(dir, name+".deb")
	tooltest.MustWrite(tb, file, string(debiantest.Package(tb, ".xz", files)))
	return file
}
