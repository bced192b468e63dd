//go:build linux

// Package kbuild builds small kernels for guests from Debian's linux-source
// packages, unchanged or changed: with a bug planted, a cost added, or a change
// that should not matter.
//
// The source is fetched once, with its signatures checked. It is unpacked into
// the user's cache and configured with
// [Config]: what go tool eventbench guest and the tests of this module need,
// and little else. The first build takes minutes. After that, a kernel with one
// changed line takes as long as compiling that file and linking:
//
//	tree, err := kbuild.Open(ctx, kbuild.Source{Series: kbuild.DefaultSeries}, p)
//	err = tree.Build(ctx, kbuild.Variant{}, "base/bzImage")
//	err = tree.Build(ctx, kbuild.Variant{Edits: []kbuild.Edit{{
//		File: "fs/eventfd.c",
//		Old:  "ctx->count += ucnt;",
//		New:  "ctx->count += ucnt; asm volatile(\"nop\");",
//	}}}, "slow/bzImage")
//
// Each build starts from the pristine source, whatever happened to the previous
// one. Files are saved before they are changed and restored after the build, or
// before the next one if the build was killed. Builds of several processes wait
// for each other. Two builds of the same variant are identical, byte for byte.
package kbuild

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"time"

	"eventbench/helpers/cache"
	"eventbench/helpers/files"
	"eventbench/helpers/process"
	"eventbench/helpers/progress"
)

// Config is the configuration of the kernels: the options that are set. Every
// other option that can be off is off, as after make allnoconfig.
//
//go:embed small.config
var Config string

// A Variant is a change to the pristine source.
type Variant struct {
	Edits []Edit
	// Patch is a unified diff for patch -p1, or nil. It is applied after
	// Edits.
	Patch []byte
	// Stamp is the build's date in uname -v, or [DefaultStamp] if empty.
	Stamp string
	// Symbols, if set, is a file for the kernel's System.map: these kernels
	// have no /proc/kallsyms.
	Symbols string
}

// DefaultStamp replaces the date of builds, which would otherwise differ.
const DefaultStamp = "Wed Jan  1 00:00:00 UTC 2020"

// A Tree is a source from which kernels are built.
type Tree struct {
	Series  string // such as "6.12"
	Version string // Debian's, of the package

	cache *cache.Dir
	dir   string // under cache: of this source
	p     *progress.Progress
}

func (t *Tree) path(elem ...string) string {
	return t.cache.Path(append([]string{t.dir}, elem...)...)
}

// Where things are in a tree's directory.
const (
	sourceDir  = "source"
	buildDir   = "build"
	undoDir    = "undo"
	factsName  = "source.json"
	configName = "small.config"
	imagePath  = "arch/x86/boot/bzImage"
	mapName    = "System.map"
)

// A CompileError means that a variant did not compile.
type CompileError struct {
	Lines []string // what the compiler said, or the last of what make said
}

func (e *CompileError) Error() string {
	return "it does not build:\n\t" + strings.Join(e.Lines, "\n\t")
}

// Build builds a variant and writes its bzImage to the file to, whole or not at
// all. If the variant does not compile, the error is a CompileError. If an edit
// does not fit the source, the error says where. Build waits for other
// processes' builds.
func (t *Tree) Build(ctx context.Context, v Variant, to string) error {
	if err := checkTools(ctx, v.Patch != nil); err != nil {
		return err
	}
	lock, err := t.cache.Lock(ctx, func() { t.p.Say("waiting for another process that builds a kernel") })
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := t.restore(); err != nil {
		return err
	}
	if err := t.configure(ctx, lock); err != nil {
		return err
	}
	if err := t.change(ctx, v); err != nil {
		return errors.Join(err, t.restore())
	}
	err = t.make(ctx, lock, v.Stamp, "bzImage")
	if err == nil && v.Symbols != "" { // before the kernel that they are of
		err = copyFile(v.Symbols, t.path(buildDir, mapName))
	}
	if err == nil {
		err = copyFile(to, t.path(buildDir, imagePath))
	}
	return errors.Join(err, t.restore())
}

func copyFile(to, from string) error {
	data, err := os.ReadFile(from)
	if err != nil {
		return err
	}
	return files.Write(to, data)
}

// configure sets up the build directory according to Config.
func (t *Tree) configure(ctx context.Context, lock *os.File) error {
	have, err := os.ReadFile(t.path(buildDir, configName))
	if err == nil && string(have) == Config {
		return nil
	}
	if err := os.MkdirAll(t.path(buildDir), 0o755); err != nil {
		return t.cache.Unwritable(err)
	}
	// The name shows that it was tried and got stuck.
	trial := t.path(buildDir, configName+".trial")
	if err := os.WriteFile(trial, []byte(Config), 0o644); err != nil {
		return t.cache.Unwritable(err)
	}
	if err := t.make(ctx, lock, "", "KCONFIG_ALLCONFIG="+trial, "allnoconfig"); err != nil {
		return fmt.Errorf("configure linux %s: %w", t.Version, err)
	}
	got, err := os.ReadFile(t.path(buildDir, ".config"))
	if err != nil {
		return err
	}
	if lost := lostOptions(Config, string(got)); len(lost) > 0 {
		return fmt.Errorf("linux %s has no %s, which small.config asks for: it may depend on another option there", t.Version, strings.Join(lost, ", no "))
	}
	return os.Rename(trial, t.path(buildDir, configName))
}

// lostOptions returns the wanted options that a configuration lacks.
func lostOptions(want, got string) []string {
	have := make(map[string]bool)
	for line := range strings.Lines(got) {
		have[strings.TrimSpace(line)] = true
	}
	var lost []string
	for line := range strings.Lines(want) {
		line = strings.TrimSpace(line)
		if line != "" && !strings.HasPrefix(line, "#") && !have[line] {
			lost = append(lost, line)
		}
	}
	return lost
}

// make runs make in the tree. Compilers inherit the lock. If this process is
// killed, the next build waits until the last compiler has ended; otherwise its
// output could be newer than the restored source.
func (t *Tree) make(ctx context.Context, lock *os.File, stamp string, args ...string) error {
	if stamp == "" {
		stamp = DefaultStamp
	}
	cmd := exec.Command("make", append([]string{
		"-C", t.path(sourceDir), "O=" + t.path(buildDir), "-j", fmt.Sprint(runtime.NumCPU()),
		"ARCH=x86_64", "KBUILD_BUILD_TIMESTAMP=" + stamp, "KBUILD_BUILD_VERSION=1",
		"KBUILD_BUILD_USER=eventbench", "KBUILD_BUILD_HOST=eventbench", "LOCALVERSION=",
	}, args...)...)
	cmd.Env = makeEnv(os.Environ())
	cmd.ExtraFiles = []*os.File{lock}
	out := &makeOutput{p: t.p, what: args[len(args)-1], start: time.Now()}
	cmd.Stdout, cmd.Stderr = out, out
	err := process.Run(ctx, cmd)
	t.p.Clear()
	if process.ExitCode(err) > 0 {
		return &CompileError{out.reasons(t.path(sourceDir) + "/")}
	}
	return err
}

// makeEnv is the environment without variables that would make builds differ:
// flags for make and compilers, and Kbuild's own.
func makeEnv(environ []string) []string {
	var env []string
	for _, kv := range environ {
		name, _, _ := strings.Cut(kv, "=")
		switch {
		case strings.HasPrefix(name, "KBUILD_"), strings.HasPrefix(name, "KCONFIG_"), strings.HasPrefix(name, "MAKE"):
		case name == "MFLAGS", name == "GNUMAKEFLAGS", name == "CROSS_COMPILE", name == "LLVM", name == "V", name == "W", name == "C", name == "O",
			name == "KCFLAGS", name == "KCPPFLAGS", name == "KAFLAGS", name == "CC", name == "LD", name == "ARCH", name == "LOCALVERSION", name == "SOURCE_DATE_EPOCH":
		default:
			env = append(env, kv)
		}
	}
	return env
}

// makeOutput keeps make's output and reports progress.
type makeOutput struct {
	p     *progress.Progress
	what  string
	start time.Time
	process.Tail

	mu    sync.Mutex
	steps int
}

// A step is a line such as "  CC      fs/eventfd.o".
var step = regexp.MustCompile(`(?m)^  [A-Z][A-Z0-9_]* `)

func (o *makeOutput) Write(p []byte) (int, error) {
	o.mu.Lock()
	o.steps += len(step.FindAllIndex(p, -1))
	steps := o.steps
	o.mu.Unlock()
	if steps > 5 {
		o.p.Working("building %s: %s, %d files", o.what, time.Since(o.start).Round(time.Second), steps)
	}
	return o.Tail.Write(p)
}

// reasons returns the compiler's errors, or else make's last lines.
func (o *makeOutput) reasons(source string) []string {
	const enough = 6
	lines := o.Lines(1000)
	var errs []string
	for _, line := range lines {
		if strings.Contains(line, "error: ") && len(errs) < enough {
			errs = append(errs, strings.TrimPrefix(line, source))
		}
	}
	if errs == nil {
		errs = lines[max(0, len(lines)-enough):]
	}
	return errs
}
