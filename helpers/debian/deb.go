//go:build linux

package debian

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"path/filepath"
	"strconv"
	"strings"

	"eventbench/helpers/bounded"

	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"
)

// IsPackage reports whether a file that starts like this is a Debian package.
func IsPackage(start []byte) bool { return strings.HasPrefix(string(start), arMagic) }

const arMagic = "!<arch>\n"

// MaxUnpacked limits what a package unpacks to. A kernel's source has 150 MB, for
// it is compressed once more; an image with its modules, 400.
const MaxUnpacked = 4 << 30

// Walk calls visit for each regular file in a Debian package, in the order of
// its archive, see deb(5). If visit returns fs.SkipAll, Walk returns nil.
func Walk(file string, visit func(name string, size int64, r io.Reader) error) error {
	f, err := bounded.Open(file, bounded.Package)
	if err != nil {
		return err
	}
	defer f.Close()
	name, data, err := dataMember(f)
	if err != nil {
		return err
	}
	r, err := decompress(data, name)
	if err != nil {
		return err
	}
	defer r.Close()
	return WalkTar(r, visit)
}

// dataMember finds the archive of a package's files.
func dataMember(r io.Reader) (name string, data io.Reader, err error) {
	magic := make([]byte, len(arMagic))
	if _, err := io.ReadFull(r, magic); err != nil || string(magic) != arMagic {
		return "", nil, errors.New("not a Debian package")
	}
	for {
		var header [60]byte // struct ar_hdr in ar(5)
		switch _, err := io.ReadFull(r, header[:]); {
		case errors.Is(err, io.EOF):
			return "", nil, errors.New("a Debian package without data.tar")
		case err != nil:
			return "", nil, fmt.Errorf("a cut Debian package: %w", err)
		}
		size, err := strconv.ParseInt(strings.TrimSpace(string(header[48:58])), 10, 64)
		if err != nil || size < 0 || string(header[58:]) != "`\n" {
			return "", nil, errors.New("a Debian package with a broken header")
		}
		name := strings.TrimSuffix(strings.TrimSpace(string(header[:16])), "/")
		if strings.HasPrefix(name, "data.tar") {
			return name, &whole{r, size}, nil
		}
		if _, err := io.CopyN(io.Discard, r, size+size%2); err != nil {
			return "", nil, fmt.Errorf("a cut Debian package: %w", err)
		}
	}
}

// A whole is a part of a file that must not end early: some decompressors take
// that for the end.
type whole struct {
	r    io.Reader
	left int64
}

func (w *whole) Read(p []byte) (int, error) {
	if w.left == 0 {
		return 0, io.EOF
	}
	n, err := w.r.Read(p[:min(int64(len(p)), w.left)])
	w.left -= int64(n)
	if errors.Is(err, io.EOF) && w.left > 0 {
		err = io.ErrUnexpectedEOF
	}
	return n, err
}

// WalkTar is Walk for a tar archive.
func WalkTar(r io.Reader, visit func(name string, size int64, r io.Reader) error) error {
	in := tar.NewReader(&unpacking{r: r, left: MaxUnpacked})
	for {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		// Nothing is written where the archive says, but this one means
		// harm.
		if !filepath.IsLocal(path.Clean(h.Name)) && path.Clean(h.Name) != "/" {
			return fmt.Errorf("its archive has the path %.100q, which leads out of it", h.Name)
		}
		if h.Typeflag != tar.TypeReg {
			continue
		}
		if err := visit(strings.TrimPrefix(path.Clean(h.Name), "/"), h.Size, in); errors.Is(err, fs.SkipAll) {
			return nil
		} else if err != nil {
			return err
		}
	}
}

// An unpacking ends what grows beyond all reason.
type unpacking struct {
	r    io.Reader
	left int64
}

func (u *unpacking) Read(p []byte) (int, error) {
	if u.left <= 0 {
		return 0, fmt.Errorf("it unpacks to more than %d GiB", MaxUnpacked>>30)
	}
	n, err := u.r.Read(p[:min(int64(len(p)), u.left)])
	u.left -= int64(n)
	return n, err
}

// decompress unpacks a file by the end of its name.
func decompress(r io.Reader, name string) (io.ReadCloser, error) {
	switch extension := filepath.Ext(name); extension {
	case ".gz":
		return gzip.NewReader(r)
	case ".xz":
		x, err := xz.NewReader(r)
		return io.NopCloser(x), err
	case ".zst":
		z, err := zstd.NewReader(r, zstd.WithDecoderMaxWindow(1<<30))
		if err != nil {
			return nil, err
		}
		return z.IOReadCloser(), nil
	case ".tar":
		return io.NopCloser(r), nil
	default:
		return nil, fmt.Errorf("%s: packed in a way that is not known here: gzip, xz and zstd are", name)
	}
}
