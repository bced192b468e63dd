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

// PatternName returns a file's name for the set of benchmarks that match the
// pattern: "all" for all of them, else the pattern as far as it can be one,
// made unique if it had to be changed.
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

// Hash returns the SHA-256 of the file at path, in hexadecimal.
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

// HashCommand returns a SHA-256, in hexadecimal, of what a command is: its
// words, and in place of those that name a file, the program's first of all,
// the file's content. A program that was built again is another command; the
// same one at another path is not.
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

// Lock keeps other runs from measuring on this machine, into the same results,
// until the returned function is called or the process ends.
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
		return nil, fmt.Errorf("%s: another run is measuring into it; wait until it has ended: two at once would measure each other", dir)
	default:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
}

// Alone takes the machine for measuring, until the process ends, and reports
// whether nobody else has it. Another user's runs, into other results, take
// turns with nobody, so the users must know. What says who has it is a name
// without a file: a file would be somebody's, and would stay.
func Alone() bool {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return true // not known
	}
	err = unix.Bind(fd, &unix.SockaddrUnix{Name: "@eventbench measures"})
	if err != nil {
		unix.Close(fd)
	}
	return !errors.Is(err, unix.EADDRINUSE)
}

// Link lets latest, in root, lead to dir.
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
		return fmt.Errorf("%s is to be a link to the newest results, and is something else: move it away", latest)
	}
	return os.Rename(temp, latest)
}
