package guest

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"

	"eventbench/helpers/bounded"
	"eventbench/helpers/guest/inside"
	"eventbench/helpers/testflag"
)

// A Program is what a guest runs: a statically linked executable.
type Program struct {
	Env []string // in the guest; see Machine.Env

	arch    *Arch
	image   []byte
	name    string // of its file
	args    []string
	dir     string // of the host, for testdata and relative file names; "" for none
	makeDir []string
	collect []output
}

// An output is a file that the program writes for its caller.
type output struct {
	guest string
	host  string
}

// LoadProgram reads the program in file. The guest runs it with args (without
// its name), in a directory that has dir's testdata.
//
// Files and directories that the flags of a test binary name, such as
// -test.cpuprofile, exist in the guest under the same names. They are copied
// back when the program has ended.
func LoadProgram(file string, args []string, dir string) (*Program, error) {
	image, err := bounded.ReadFile(file, bounded.Program)
	if err != nil {
		return nil, err
	}
	p, err := NewProgram(filepath.Base(file), image, args)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	p.dir = dir
	p.findOutputs()
	return p, nil
}

// NewProgram returns a program that is in memory. The guest runs it with args,
// in an empty directory.
func NewProgram(name string, image []byte, args []string) (*Program, error) {
	arch, err := checkProgram(image)
	if err != nil {
		return nil, err
	}
	return &Program{arch: arch, image: image, name: name, args: args}, nil
}

// Arch is the architecture of the guest that can run the program.
func (p *Program) Arch() *Arch { return p.arch }

// checkProgram returns the program's architecture, or why no guest can run it.
func checkProgram(image []byte) (*Arch, error) {
	f, err := elf.NewFile(bytes.NewReader(image))
	if err != nil {
		var format *elf.FormatError
		if errors.As(err, &format) || len(image) < 64 {
			return nil, errors.New("not an ELF executable; a guest has no shell or other interpreter")
		}
		return nil, err
	}
	arch, err := archOf(f)
	if err != nil {
		return nil, err
	}
	if f.Type != elf.ET_EXEC && f.Type != elf.ET_DYN {
		return nil, fmt.Errorf("an ELF file of type %v, not an executable", f.Type)
	}
	for _, p := range f.Progs {
		if p.Type == elf.PT_INTERP {
			return nil, errors.New("dynamically linked, but the guest has no libraries: build it with CGO_ENABLED=0 and without -race (C programs: -static)")
		}
	}
	return arch, nil
}

// addTo adds the program and its files to the guest's file system, and returns
// init's job.
func (p *Program) addTo(fsys *initramfs) (*inside.Job, error) {
	name := path.Join(inside.BinDir, p.name)
	fsys.file(name, 0o755, p.image)
	fsys.dir(inside.HomeDir)
	if p.dir != "" {
		testdata, err := filepath.EvalSymlinks(filepath.Join(p.dir, "testdata"))
		if err == nil {
			err = fsys.tree(path.Join(inside.HomeDir, "testdata"), testdata)
		}
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
	}
	j := &inside.Job{
		Stdout: p.arch.stdout, Stderr: p.arch.stderr, Report: p.arch.report,
		Program: name,
		Args:    append([]string{name}, p.args...),
		Env:     p.Env,
		Dir:     inside.HomeDir,
		MakeDir: p.makeDir,
	}
	for _, o := range p.collect {
		j.Collect = append(j.Collect, o.guest)
	}
	return j, nil
}

func (p *Program) findOutputs() {
	o := testflag.Find(p.args)
	for _, d := range o.Dirs {
		p.makeDir = append(p.makeDir, testflag.In(inside.HomeDir, d))
	}
	for _, f := range o.Files {
		p.collect = append(p.collect, output{
			guest: testflag.In(testflag.In(inside.HomeDir, o.Dir), f),
			host:  testflag.In(testflag.In(p.dir, o.Dir), f),
		})
	}
}
