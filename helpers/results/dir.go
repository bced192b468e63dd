//go:build linux

package results

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"eventbench/helpers/files"
)

// PatternName returns a file name for the set of benchmarks that match the
// pattern: "all" for all, otherwise the pattern with unsuitable characters
// replaced and a hash that keeps it unique.
func PatternName(pattern string) string {
	if pattern == "." {
		return "all"
	}
	name := files.Name(pattern)
	if name != pattern || name == "all" || len(name) > 60 || name[0] == '.' {
		sum := sha256.Sum256([]byte(pattern))
		name = fmt.Sprintf("%.60s-%x", strings.Trim(name, "_."), sum[:3])
	}
	return name
}

// Hash returns the hexadecimal SHA-256 of the file at path.
func Hash(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// HashCommand returns a hexadecimal SHA-256 that identifies a command by its
// words, but by contents for words that name a file, such as the program. A
// rebuilt program is a different command; the same program at another path is
// not.
func HashCommand(argv []string) (string, error) {
	h := sha256.New()
	for i, word := range argv {
		path := word
		if i == 0 {
			var err error
			if path, err = exec.LookPath(word); err != nil && !errors.Is(err, exec.ErrDot) {
				return "", err
			}
		}
		if fi, err := os.Stat(path); err == nil && fi.Mode().IsRegular() {
			sum, err := Hash(path)
			if err != nil {
				return "", err
			}
			word = "sha256:" + sum
		}
		fmt.Fprintf(h, "%q\n", word)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Lock keeps other runs from measuring into the same results, until the
// returned function is called or the process ends.
func Lock(dir string) (unlock func(), err error) {
	f, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	switch err := unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB); err {
	case nil:
		return func() { f.Close() }, nil
	case unix.EWOULDBLOCK:
		f.Close()
		return nil, fmt.Errorf("%s: another run is measuring into it; wait until it has ended, because two at once disturb each other", dir)
	default:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
}

// Alone claims the machine until the process ends, and reports whether nobody
// else has claimed it. Runs of other users into other results do not wait for
// each other, so users must be told. The claim is an abstract socket: a file
// would belong to a user, and would stay.
func Alone() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true // unknown
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@eventbench measures"})
	if err != nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.EADDRINUSE)
}

// Link makes the symlink latest, in root, point to dir.
func Link(root, dir string) error {
	target, err := filepath.Rel(root, dir)
	if err != nil {
		return err
	}
	temp := filepath.Join(root, ".latest.tmp")
	if err := os.Remove(temp); err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	if err := os.Symlink(target, temp); err != nil {
		return err
	}
	latest := filepath.Join(root, "latest")
	if info, err := os.Lstat(latest); err == nil && info.Mode().Type() != os.ModeSymlink {
		os.Remove(temp)
		return fmt.Errorf("%s should be a link to the newest results, but is something else: move it away", latest)
	}
	return os.Rename(temp, latest)
}
