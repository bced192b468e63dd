package guest

import (
	"bytes"
	"compress/gzip"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/debian"
)

// UserCache is the place for kernels in the user's cache directory. It is
// trusted as much as the tool itself: whoever can write to it chooses the
// kernel.
func UserCache() (*cache.Dir, error) { return cache.User("guest") }

// A Kernel is an image that a machine can boot.
type Kernel struct {
	// Name identifies it in results: the package and its version, or the
	// file's name and the start of its SHA-256.
	Name string
	// Release is what uname -r will say.
	Release string
	arch    *Arch
	image   []byte
	config  []byte // what it was built with, or nil if that is not known
}

// Sum is the SHA-256 of the image itself: the same inside a package and
// outside.
func (k *Kernel) Sum() [sha256.Size]byte { return sha256.Sum256(k.image) }

// seriesPattern matches a series, and the date of a snapshot.
var seriesPattern = regexp.MustCompile(`^([0-9]+\.[0-9]+)(?:@([^/]*))?$`)

// CheckKernel checks the value of the -kernel flag before anything is looked up
// or fetched.
func CheckKernel(arg string) error {
	switch {
	case arg == "":
		return errors.New("no kernel given: -kernel wants a vmlinuz, a .deb or a series such as 6.12 (-list shows which there are)")
	case seriesPattern.MatchString(arg):
		if m := seriesPattern.FindStringSubmatch(arg); m[0] != m[1] {
			_, err := debian.ParseSnapshot(m[2])
			return err
		}
		return nil
	}
	info, err := os.Stat(arg)
	if err != nil {
		return fmt.Errorf("kernel: %w (a file, or a series such as 6.12, is wanted)", err)
	}
	if !info.Mode().IsRegular() {
		return fmt.Errorf("kernel: %s is not a file", arg)
	}
	return nil
}

// FindKernel finds the kernel for an architecture that arg means: a file (a
// vmlinuz, bzImage or Image, or a Debian package that contains one), or a
// release series such as "6.12", which means Debian's newest cloud kernel of
// that series, or with a date, "6.12@2026-11-01", the newest at that date. For a
// file whose name looks like a series, write ./6.12.
//
// A cached kernel of the series is used as it is, unless update asks for the
// newest available. For an empty mirror see debian.Open.
func FindKernel(ctx context.Context, c *cache.Dir, arch *Arch, arg, mirror string, update bool, say progress) (*Kernel, error) {
	if err := CheckKernel(arg); err != nil {
		return nil, err
	}
	if m := seriesPattern.FindStringSubmatch(arg); m != nil {
		q := seriesAsked{arch: arch, series: m[1], snapshot: m[2], mirror: mirror, update: update}
		return q.find(ctx, c, say)
	}
	sum, isPackage, err := lookAt(arg)
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	var image, config []byte
	if isPackage {
		if image, config, err = imageInPackage(arg); err != nil {
			return nil, fmt.Errorf("kernel: %s: %w", arg, err)
		}
	} else if image, err = bounded.ReadFile(arg, bounded.Image); err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	k, err := parseKernel(image)
	if err != nil {
		return nil, fmt.Errorf("kernel: %s: %w", arg, err)
	}
	if k.arch != arch {
		return nil, fmt.Errorf("kernel: %s is for %s, but the program for %s: build the program with GOARCH=%s, or name another kernel", arg, k.arch, arch, k.arch.Name)
	}
	k.Name = fmt.Sprintf("%s sha256:%x", filepath.Base(arg), sum[:6])
	k.config = config
	return k, nil
}

// lookAt returns a file's SHA-256 and whether it is a Debian package. Any other
// file must be no larger than an image can be.
func lookAt(name string) (sum []byte, isPackage bool, err error) {
	f, err := bounded.Open(name, bounded.Package)
	if err != nil {
		return nil, false, err
	}
	defer f.Close()
	start := make([]byte, 8)
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false, err
	}
	isPackage = debian.IsPackage(start[:n]) || filepath.Ext(name) == ".deb"
	h := sha256.New()
	h.Write(start[:n])
	if !isPackage {
		if info, err := f.Stat(); err != nil || info.Size() > bounded.Image {
			return nil, false, nil // reading it will say so
		}
	}
	_, err = io.Copy(h, f)
	return h.Sum(nil), isPackage, err
}

// imageFile and configFile are the paths in Debian's packages of the image and
// of the configuration that it was built with.
var (
	imageFile  = regexp.MustCompile(`^(boot|(usr/)?lib/modules/[^/]+)/vmlinuz[^/]*$`)
	configFile = regexp.MustCompile(`^(boot|(usr/)?lib/modules/[^/]+)/config[^/]*$`)
)

// imageInPackage reads the kernel from a Debian package, and its configuration
// if that comes before it.
func imageInPackage(file string) (image, config []byte, err error) {
	err = debian.Walk(file, func(name string, size int64, r io.Reader) error {
		switch {
		case imageFile.MatchString(name):
			if size > bounded.Image {
				return fmt.Errorf("%s: %d bytes are too many for a kernel", name, size)
			}
			image = make([]byte, size)
			if _, err := io.ReadFull(r, image); err != nil {
				return err
			}
			return fs.SkipAll // it comes early
		case configFile.MatchString(name) && size <= bounded.Text:
			config = make([]byte, size)
			_, err := io.ReadFull(r, config)
			return err
		}
		return nil
	})
	if err == nil && image == nil {
		err = errors.New("no vmlinuz in the package (Debian's newer kernels have it in linux-binary-*, not in linux-image-*)")
	}
	return image, config, err
}

// Offsets from Documentation/arch/x86/boot.rst in the kernel's source.
const (
	bootFlagAt    = 0x1fe
	headerAt      = 0x202
	versionAt     = 0x206
	textOffsetAt  = 0x20e
	xloadflagsAt  = 0x236
	headerEnd     = 0x268
	loads64Bit    = 1 << 0 // of xloadflags
	firstWith64   = 0x020c // the protocol's version that has them
	maxReleaseLen = 256

	// From Documentation/arch/arm64/booting.rst.
	armMagicAt   = 56
	armHeaderEnd = 64
)

// parseKernel checks an image that may be a kernel.
func parseKernel(data []byte) (*Kernel, error) {
	if bytes.HasPrefix(data, []byte("\x1f\x8b")) {
		image, err := gunzip(data)
		if err != nil {
			return nil, fmt.Errorf("gzipped, as kernels for arm64 can be, but %w", err)
		}
		data = image
	}
	for _, a := range Archs {
		if a.isKernel(data) {
			release, err := a.parseKernel(data)
			if err != nil {
				return nil, err
			}
			return &Kernel{Release: release, arch: a, image: data}, nil
		}
	}
	switch {
	case bytes.HasPrefix(data, []byte("\x7fELF")):
		return nil, errors.New("an ELF file, perhaps a vmlinux; what boots is the image made from it (arch/x86/boot/bzImage, arch/arm64/boot/Image, or /boot/vmlinuz-*)")
	case len(data) > 8 && string(data[4:8]) == "zimg":
		return nil, errors.New("an EFI zboot image, which is compressed: a guest wants the Image in it (arch/arm64/boot/Image)")
	}
	return nil, fmt.Errorf("not a Linux kernel: %s", archNames(func(a *Arch) string { return a.kernelFile }))
}

// gunzip unpacks what an image can be. Make's Image.gz is one: the boot loader
// of arm64 unpacks it, and QEMU is none.
func gunzip(data []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(data))
	if err != nil {
		return nil, err
	}
	image, err := io.ReadAll(io.LimitReader(z, bounded.Image+1))
	if err == nil && len(image) > bounded.Image {
		err = fmt.Errorf("it unpacks to more than %d MiB", bounded.Image>>20)
	}
	return image, err
}

func isBzImage(data []byte) bool {
	return len(data) >= headerEnd && binary.LittleEndian.Uint16(data[bootFlagAt:]) == 0xaa55 && string(data[headerAt:headerAt+4]) == "HdrS"
}

// parseBzImage checks a kernel for x86, and returns its release.
func parseBzImage(data []byte) (release string, err error) {
	le := binary.LittleEndian
	if le.Uint16(data[versionAt:]) < firstWith64 || le.Uint16(data[xloadflagsAt:])&loads64Bit == 0 {
		return "", errors.New("a 32-bit kernel; guests are 64-bit")
	}
	// The setup code is followed by the kernel itself. A truncated kernel
	// hangs in its decompressor or resets the machine, without an
	// explanation.
	setup := int64(data[0x1f1])
	if setup == 0 {
		setup = 4
	}
	if want := (setup+1)*512 + int64(le.Uint32(data[0x1f4:]))*16; int64(len(data)) < want {
		return "", fmt.Errorf("truncated: %d bytes of a kernel of %d", len(data), want)
	}
	if at := int(le.Uint16(data[textOffsetAt:])); at != 0 && at+0x200 < len(data) {
		text := data[at+0x200 : min(len(data), at+0x200+maxReleaseLen)]
		text, _, _ = bytes.Cut(text, []byte{0})
		release, _, _ = strings.Cut(string(text), " ")
	}
	return release, nil
}

func isArmImage(data []byte) bool {
	return len(data) >= armHeaderEnd && string(data[armMagicAt:armMagicAt+4]) == "ARM\x64"
}

// parseArmImage checks a kernel for arm64, and returns its release: that of the
// text in /proc/version, which the image has uncompressed.
func parseArmImage(data []byte) (release string, err error) {
	// The header does not tell the file's size, only that of the memory that
	// the kernel takes.
	for rest := data; ; {
		_, after, ok := bytes.Cut(rest, []byte("Linux version "))
		if !ok {
			return "", errors.New("truncated: an Image for arm64, but without the text that names its version")
		}
		if m := bannerRelease.FindSubmatch(after[:min(len(after), maxReleaseLen)]); m != nil {
			return string(m[1]), nil
		}
		rest = after
	}
}

// bannerRelease is what follows "Linux version ", see linux_banner in
// init/version-timestamp.c.
var bannerRelease = regexp.MustCompile(`^([0-9][^ \x00\n]*) \(`)
