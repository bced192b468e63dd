package guest

import (
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"sort"
	"strings"

	"golang.org/x/sys/unix"

	"eventbench/helpers/bounded"
)

// An initramfs is the guest's file system: a cpio archive in the "newc" format,
// described in Documentation/driver-api/early-userspace/buffer-format.rst of
// the kernel's source.
//
// Its bytes depend only on names, modes and contents. Entries are sorted by
// name, times are zero and inode numbers count up. So the same program gives
// the same archive, and a counted guest always starts from the same memory.
type initramfs struct {
	entries map[string]cpioEntry
}

type cpioEntry struct {
	mode         uint32 // as in struct stat
	data         []byte
	major, minor uint32 // of a device node
}

// dir adds a directory and its parents.
func (fsys *initramfs) dir(name string) {
	for name = clean(name); name != ""; name = clean(path.Dir(name)) {
		if _, ok := fsys.entries[name]; ok {
			return
		}
		fsys.add(name, cpioEntry{mode: unix.S_IFDIR | 0o755})
	}
}

// file adds a regular file and its directories.
func (fsys *initramfs) file(name string, perm fs.FileMode, data []byte) {
	fsys.dir(path.Dir(name))
	fsys.add(clean(name), cpioEntry{mode: unix.S_IFREG | uint32(perm.Perm()), data: data})
}

func (fsys *initramfs) symlink(name, target string) {
	fsys.dir(path.Dir(name))
	fsys.add(clean(name), cpioEntry{mode: unix.S_IFLNK | 0o777, data: []byte(target)})
}

// device adds a character device.
func (fsys *initramfs) device(name string, perm fs.FileMode, major, minor uint32) {
	fsys.dir(path.Dir(name))
	fsys.add(clean(name), cpioEntry{mode: unix.S_IFCHR | uint32(perm.Perm()), major: major, minor: minor})
}

// tree adds the host's directory hostDir as name, with its regular files,
// symbolic links and directories. It leaves out anything else, such as sockets
// and devices, because no test can expect these in its testdata.
func (fsys *initramfs) tree(name, hostDir string) error {
	return filepath.WalkDir(hostDir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(hostDir, p)
		if err != nil {
			return err
		}
		to := path.Join(name, filepath.ToSlash(rel))
		switch d.Type() {
		case fs.ModeDir:
			fsys.dir(to)
		case fs.ModeSymlink:
			target, err := os.Readlink(p)
			if err != nil {
				return err
			}
			fsys.symlink(to, target)
		case 0:
			data, err := bounded.ReadFile(p, bounded.Program)
			if err != nil {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			fsys.file(to, info.Mode(), data)
		}
		return nil
	})
}

func (fsys *initramfs) add(name string, e cpioEntry) {
	if fsys.entries == nil {
		fsys.entries = make(map[string]cpioEntry)
	}
	fsys.entries[name] = e
}

// size returns the memory that the files will take in the guest, in bytes.
func (fsys *initramfs) size() int64 {
	var n int64
	for _, e := range fsys.entries {
		n += int64(len(e.data))
	}
	return n
}

// WriteTo writes the archive uncompressed: for an emulated processor, unpacking
// costs more than reading.
func (fsys *initramfs) WriteTo(w io.Writer) (int64, error) {
	names := make([]string, 0, len(fsys.entries))
	for name := range fsys.entries {
		names = append(names, name)
	}
	// The kernel does not create missing directories. Sorting puts each
	// directory before its contents.
	sort.Strings(names)

	cw := &cpioWriter{w: w}
	for i, name := range names {
		cw.entry(uint32(i+1), name, fsys.entries[name])
	}
	cw.entry(0, "TRAILER!!!", cpioEntry{})
	return cw.n, cw.err
}

// A cpioWriter writes cpio archives. github.com/cavaliergopher/cpio does not
// write device numbers, which /dev/console needs.
type cpioWriter struct {
	w   io.Writer
	n   int64
	err error
}

func (cw *cpioWriter) entry(ino uint32, name string, e cpioEntry) {
	nlink := uint32(1)
	if e.mode&unix.S_IFMT == unix.S_IFDIR {
		nlink = 2
	}
	if uint64(len(e.data)) > 1<<32-1 {
		cw.fail(fmt.Errorf("%s: a cpio archive holds files of less than 4 GiB", name))
		return
	}
	cw.write([]byte("070701"))
	for _, field := range [...]uint32{
		ino, e.mode, 0, 0, nlink, 0, // uid, gid; mtime
		uint32(len(e.data)), 0, 0, e.major, e.minor,
		uint32(len(name) + 1), 0, // the checksum is another format's
	} {
		cw.write(fmt.Appendf(nil, "%08X", field))
	}
	cw.write(append([]byte(name), 0))
	cw.pad()
	cw.write(e.data)
	cw.pad()
}

func (cw *cpioWriter) pad() {
	cw.write(make([]byte, (4-cw.n%4)%4))
}

func (cw *cpioWriter) write(p []byte) {
	if cw.err != nil {
		return
	}
	n, err := cw.w.Write(p)
	cw.n += int64(n)
	cw.fail(err)
}

func (cw *cpioWriter) fail(err error) {
	if cw.err == nil {
		cw.err = err
	}
}

// clean returns a path in the archive's form: without a leading slash, and
// empty for the root.
func clean(name string) string {
	return strings.TrimPrefix(path.Clean("/"+name), "/")
}
