package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/process"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
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

var seriesPattern = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// CheckKernel checks the value of the -kernel flag before anything is looked up
// or fetched.
func CheckKernel(arg string) error {
	switch {
	case arg == "":
		return errors.New("no kernel given: -kernel wants a vmlinuz, a .deb or a series such as 6.12 (-list shows which there are)")
	case seriesPattern.MatchString(arg):
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
// that series. For a file whose name looks like a series, write ./6.12.
//
// A cached kernel of the series is used as it is, unless update asks for the
// newest available. An empty mirror means the one in the system's apt sources.
func FindKernel(ctx context.Context, c *cache.Dir, arch *Arch, arg, mirror string, update bool, say progress) (*Kernel, error) {
	if err := CheckKernel(arg); err != nil {
		return nil, err
	}
	if seriesPattern.MatchString(arg) {
		return findSeries(ctx, c, arch, arg, mirror, update, say)
	}
	sum, isPackage, err := lookAt(arg)
	if err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	var image, config []byte
	if isPackage {
		if image, config, err = imageInPackage(ctx, arg); err != nil {
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
	const magic = "!<arch>\n"
	start := make([]byte, len(magic))
	n, err := io.ReadFull(f, start)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return nil, false, err
	}
	isPackage = string(start[:n]) == magic || filepath.Ext(name) == ".deb"
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
	imageFile  = regexp.MustCompile(`^(\./)?(boot|(usr/)?lib/modules/[^/]+)/vmlinuz[^/]*$`)
	configFile = regexp.MustCompile(`^(\./)?(boot|(usr/)?lib/modules/[^/]+)/config[^/]*$`)
)

// imageInPackage reads the kernel from a Debian package, and its configuration
// if that comes before it. It runs dpkg-deb, which comes with apt, is a small
// package on other systems, and knows every compression that packages use. A Go
// library would add half a dozen modules for that.
func imageInPackage(ctx context.Context, file string) (image, config []byte, err error) {
	const dpkg = "dpkg-deb"
	if _, err := exec.LookPath(dpkg); err != nil {
		return nil, nil, fmt.Errorf("%w: install dpkg to unpack it", err)
	}
	// The kernel comes early, so dpkg-deb is stopped once it has been read.
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	r, w := io.Pipe()
	says := &process.Tail{}
	ended := make(chan error, 1)
	go func() {
		err := runTool(ctx, w, says, dpkg, "--fsys-tarfile", file)
		w.CloseWithError(err) // or EOF
		ended <- err
	}()
	image, config, err = imageInTar(r)
	stop()
	r.CloseWithError(context.Canceled)
	if e := <-ended; err != nil && len(says.Lines(1)) > 0 {
		return nil, nil, fmt.Errorf("%w: %s", e, strings.Join(says.Lines(2), "; "))
	}
	return image, config, err
}

// imageInTar finds the kernel in an archive. It reads the headers itself,
// because archive/tar imports os/user. In a cgo build that makes the command
// dynamically linked, and then it cannot be a guest's init.
func imageInTar(r io.Reader) (image, config []byte, err error) {
	const block = 512
	var header [block]byte
	for {
		_, err := io.ReadFull(r, header[:])
		if errors.Is(err, io.EOF) || err == nil && header == [block]byte{} { // the end
			return nil, nil, errors.New("no vmlinuz in the package (Debian's newer kernels have it in linux-binary-*, not in linux-image-*)")
		}
		if err != nil {
			return nil, nil, err
		}
		// The fields of struct posix_header in tar(5). The names that
		// matter all fit.
		field := func(from, size int) string {
			text, _, _ := bytes.Cut(header[from:from+size], []byte{0})
			return string(text)
		}
		name, kind := field(0, 100), header[156]
		size, err := strconv.ParseInt(strings.TrimSpace(field(124, 12)), 8, 64)
		if err != nil || size < 0 || string(header[257:262]) != "ustar" {
			return nil, nil, fmt.Errorf("the package's archive has a broken header at %q", name)
		}
		isFile := kind == '0' || kind == 0
		if isFile && imageFile.MatchString(name) {
			if size > bounded.Image {
				return nil, nil, fmt.Errorf("%s: %d bytes are too many for a kernel", name, size)
			}
			image := make([]byte, size)
			_, err := io.ReadFull(r, image)
			return image, config, err
		}
		padded := (size + block - 1) / block * block
		if isFile && configFile.MatchString(name) && size <= bounded.Text {
			config = make([]byte, padded)
			_, err = io.ReadFull(r, config)
			config = config[:size]
		} else {
			_, err = io.CopyN(io.Discard, r, padded)
		}
		if err != nil {
			return nil, nil, err
		}
	}
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
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return nil, errors.New("gzipped, as kernels for arm64 can be: gunzip it")
	}
	return nil, fmt.Errorf("not a Linux kernel: %s", archNames(func(a *Arch) string { return a.kernelFile }))
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
