package guest

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// A Kernel is an image that a machine can boot.
type Kernel struct {
	// Name says which it is in a result: the package and its version, or the
	// file's name and the beginning of its SHA-256.
	Name string
	// Release is what uname -r will say.
	Release string
	image   []byte
}

var seriesPattern = regexp.MustCompile(`^[0-9]+\.[0-9]+$`)

// FindKernel finds the kernel that arg means: a file (a vmlinuz or bzImage,
// or a Debian package that holds one), or a release series such as "6.12",
// which is Debian's newest cloud kernel of that series. To mean a file whose
// name looks like a series, write ./6.12.
func FindKernel(ctx context.Context, c *Cache, arg string, progress func(format string, args ...any)) (*Kernel, error) {
	if arg == "" {
		return nil, errors.New("no kernel given: -kernel wants a vmlinuz, a .deb or a series such as 6.12 (-list shows which there are)")
	}
	data, err := os.ReadFile(arg)
	if err != nil {
		return nil, err
	}
	k, err := parseKernel(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", arg, err)
	}
	sum := sha256.Sum256(data)
	k.Name = fmt.Sprintf("%s sha256:%x", filepath.Base(arg), sum[:6])
	return k, nil
}

// Offsets of Documentation/arch/x86/boot.rst in the kernel's source.
const (
	bootFlagAt    = 0x1fe
	headerAt      = 0x202
	versionAt     = 0x206
	textOffsetAt  = 0x20e
	xloadflagsAt  = 0x236
	headerEnd     = 0x268
	loads64Bit    = 1 << 0 // of xloadflags
	firstWith64   = 0x020c // the protocol's version that has them
	armMagicAt    = 56
	maxReleaseLen = 256
)

// parseKernel looks at an image that may be a kernel for x86-64.
func parseKernel(data []byte) (*Kernel, error) {
	le := binary.LittleEndian
	switch {
	case len(data) >= headerEnd && le.Uint16(data[bootFlagAt:]) == 0xaa55 && string(data[headerAt:headerAt+4]) == "HdrS":
	case bytes.HasPrefix(data, []byte("\x7fELF")):
		return nil, errors.New("an ELF file, perhaps a vmlinux; what boots is the bzImage made from it (arch/x86/boot/bzImage, or /boot/vmlinuz-*)")
	case len(data) > armMagicAt+4 && string(data[armMagicAt:armMagicAt+4]) == "ARM\x64",
		len(data) > 8 && string(data[4:8]) == "zimg": // an EFI zboot image, which x86 has none of
		return nil, errors.New("a kernel for another architecture; guests are x86-64")
	case bytes.HasPrefix(data, []byte("\x1f\x8b")):
		return nil, errors.New("gzipped, as kernels for arm64 are; a guest wants an x86-64 vmlinuz or bzImage as it is in /boot")
	default:
		return nil, errors.New("no Linux kernel for x86: a vmlinuz or bzImage has HdrS at 0x202")
	}
	if le.Uint16(data[versionAt:]) < firstWith64 || le.Uint16(data[xloadflagsAt:])&loads64Bit == 0 {
		return nil, errors.New("a 32-bit kernel; guests are x86-64")
	}
	// The setup code is followed by the kernel proper. One that was cut short
	// hangs in its decompressor or resets the machine, which says nothing.
	setup := int64(data[0x1f1])
	if setup == 0 {
		setup = 4
	}
	if want := (setup+1)*512 + int64(le.Uint32(data[0x1f4:]))*16; int64(len(data)) < want {
		return nil, fmt.Errorf("truncated: %d bytes of a kernel of %d", len(data), want)
	}
	k := &Kernel{image: data}
	if at := int(le.Uint16(data[textOffsetAt:])); at != 0 && at+0x200 < len(data) {
		text := data[at+0x200 : min(len(data), at+0x200+maxReleaseLen)]
		text, _, _ = bytes.Cut(text, []byte{0})
		k.Release, _, _ = strings.Cut(string(text), " ")
	}
	return k, nil
}
