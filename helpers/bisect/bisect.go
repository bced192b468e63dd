//go:build linux

// Package bisect finds the commit that made a benchmark cost more. It builds
// commits of a history, measures each with the gate against the good one, and
// lets git bisect choose the next.
package bisect

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"eventbench/helpers/bounded"
	"eventbench/helpers/cli"
	"eventbench/helpers/files"
	"eventbench/helpers/gate"
	"eventbench/helpers/process"
	"eventbench/helpers/results"
	"eventbench/helpers/samples"
)

// options are what the user asks for.
type options struct {
	tree, good, bad string
	bench           string
	config          string
	build           string
	image           string // what the build makes, relative to the tree
	exec            string
	strict          bool
	results         string
	jobs            int
	timeout         time.Duration

	binary string // measures kernels; without, the tree makes test binaries
}

// New defines the flags of the verb bisect.
func New(fs *flag.FlagSet) cli.Action {
	var o options
	fs.StringVar(&o.tree, "tree", ".", "bisect the history of the git `directory`")
	fs.StringVar(&o.good, "good", "", "a `revision` before the regression")
	fs.StringVar(&o.bad, "bad", "HEAD", "a `revision` with the regression")
	fs.StringVar(&o.bench, "bench", "", "measure the benchmarks that match `regexp`, as in go test")
	fs.StringVar(&o.config, "config", "", "build kernels with the configuration in `file` (default that of go tool eventbench kbuild)")
	fs.StringVar(&o.build, "build", "", "shell `command` that builds a commit, in a tree of its own\n(default make bzImage, or go test -c)")
	fs.StringVar(&o.image, "image", "", "`file` in the tree that the build makes (default arch/x86/boot/bzImage, or bisect.test)")
	fs.StringVar(&o.exec, "exec", "", "put `command` before the test binaries that the tree makes, as go test -exec does")
	fs.BoolVar(&o.strict, "strict", false, "look for one instruction more in an exact count")
	fs.StringVar(&o.results, "results", "results", "keep verdicts, images and samples in `dir`")
	fs.IntVar(&o.jobs, "jobs", 0, "run `n` guests at a time (default one for each CPU)")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "give up on a boot after this `time`")
	return func(ctx context.Context, c *cli.Call) error {
		if err := o.check(c.Operands); err != nil {
			return cli.Usage("%w", err)
		}
		b, err := open(ctx, o, c)
		if err != nil {
			return err
		}
		defer b.unlock()
		return b.run(ctx)
	}
}

func (o *options) check(operands []string) error {
	switch {
	case len(operands) > 1:
		return fmt.Errorf("want a static test binary that measures the kernels, or none if the tree makes test binaries, have %q", operands)
	case o.good == "":
		return errors.New("-good: want a revision before the regression, such as v6.11")
	case o.bench == "":
		return errors.New("-bench: want the benchmark that costs more, such as EventfdSelf")
	case o.jobs < 0:
		return fmt.Errorf("-jobs=%d: want at least 1", o.jobs)
	case o.timeout <= 0:
		return fmt.Errorf("-timeout=%v: want more than 0", o.timeout)
	case o.results == "":
		return errors.New("-results: the directory's name is empty")
	case len(operands) == 1 && o.exec != "":
		return errors.New("-exec: is for trees that make test binaries, and a kernel is measured by one")
	case len(operands) == 0 && o.config != "":
		return errors.New("-config: is for kernels: want a static test binary that measures them (make eventbench.static)")
	case o.config != "" && o.build != "":
		return errors.New("-config and -build: the command decides on the configuration: copy it there")
	}
	if len(operands) == 1 {
		o.binary = operands[0]
	}
	if o.image == "" {
		o.image = "arch/x86/boot/bzImage"
		if o.binary == "" {
			o.image = "bisect.test"
		}
	}
	if !filepath.IsLocal(o.image) {
		return fmt.Errorf("-image %s: want a file in the tree", o.image)
	}
	if err := samples.CheckPattern(o.bench); err != nil {
		return fmt.Errorf("-bench %q: %w", o.bench, err)
	}
	return nil
}

// A bisection is one search in one history. Everything that it knows is in a
// directory of its own, so that the same command continues.
type bisection struct {
	options
	*cli.Call
	dir    string
	git    git
	first  string // the good commit, and what commits are measured against
	last   string
	steps  int // at most, about
	known  map[string]verdict
	unlock func()
	tool   string
}

// A verdict is what is known of a commit.
type verdict struct {
	Commit string
	Is     string // good, bad, skip
	Why    string
	Twin   string `json:",omitempty"` // was measured in its place: it builds the same, byte for byte
}

// open checks the history and makes a tree for the search, beside the user's.
func open(ctx context.Context, o options, c *cli.Call) (*bisection, error) {
	b := &bisection{options: o, Call: c, known: make(map[string]verdict), unlock: func() {}}
	user, err := openGit(ctx, o.tree)
	if err != nil {
		return nil, err
	}
	if b.first, err = user.commit(ctx, "-good", o.good); err != nil {
		return nil, err
	}
	if b.last, err = user.commit(ctx, "-bad", o.bad); err != nil {
		return nil, err
	}
	if b.first == b.last {
		return nil, cli.Usage("-good and -bad are the same commit, %.12s", b.first)
	}
	if _, err := user.run(ctx, "merge-base", "--is-ancestor", b.first, b.last); process.ExitCode(err) == 1 {
		return nil, fmt.Errorf("-good %s is no ancestor of -bad %s: name a commit that the bad one was made from, such as %s", o.good, o.bad, user.base(ctx, b.first, b.last))
	} else if err != nil {
		return nil, err
	}
	if b.steps, err = user.steps(ctx, b.first, b.last); err != nil {
		return nil, err
	}
	id, err := o.identity(user.dir, b.first)
	if err != nil {
		return nil, err
	}
	if b.results, err = filepath.Abs(o.results); err != nil {
		return nil, err
	}
	if o.binary == "" && strings.ContainsAny(b.results, " \t\n") {
		return nil, cli.Usage("-results %q: go tool eventbench gate-arms would split the name at its blanks: name another", b.results)
	}
	b.dir = filepath.Join(b.results, "bisect", files.Name(filepath.Base(user.dir))+"-"+id)
	if err := files.MakeDir(filepath.Join(b.dir, "images")); err != nil {
		return nil, err
	}
	if b.unlock, err = results.Lock(b.dir); err != nil {
		return nil, err
	}
	if err = b.remember(); err == nil {
		b.tool, err = results.Tool(ctx, "eventbench")
	}
	if err == nil {
		b.git, err = user.worktree(ctx, filepath.Join(b.dir, "tree"), b.last)
	}
	if err != nil {
		b.unlock()
		return nil, err
	}
	return b, nil
}

// identity is a name for everything that verdicts depend on.
func (o *options) identity(tree, first string) (string, error) {
	h := sha256.New()
	fmt.Fprintf(h, "%q %q %q %q %q %q %v\n", tree, first, o.bench, o.build, o.image, o.exec, o.strict)
	for _, file := range []string{o.binary, o.config} {
		if file == "" {
			continue
		}
		sum, err := results.Hash(file)
		if err != nil {
			return "", err
		}
		fmt.Fprintln(h, sum)
	}
	return fmt.Sprintf("%x", h.Sum(nil))[:10], nil
}

func (b *bisection) verdicts() string { return filepath.Join(b.dir, "verdicts.json") }

// remember reads the verdicts of an earlier call.
func (b *bisection) remember() error {
	data, err := bounded.ReadFile(b.verdicts(), bounded.Text)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = json.Unmarshal(data, &b.known)
	}
	if err != nil {
		return fmt.Errorf("%s: %w: remove it, and what it knew is measured again", b.verdicts(), err)
	}
	return nil
}

func (b *bisection) keep(v verdict) error {
	b.known[v.Commit] = v
	return b.write()
}

func (b *bisection) forget(commit string) error {
	delete(b.known, commit)
	return b.write()
}

func (b *bisection) write() error {
	data, err := json.MarshalIndent(b.known, "", "\t")
	if err != nil {
		return err
	}
	return files.Write(b.verdicts(), append(data, '\n'))
}

// run searches, and shows what it has found.
func (b *bisection) run(ctx context.Context) error {
	b.Say("about %d steps; verdicts and images are kept in %s", b.steps, b.dir)
	err := b.search(ctx)
	if ctx.Err() != nil {
		return err // the same command continues with what builds have left in the tree
	}
	return errors.Join(err, b.git.remove(ctx))
}

func (b *bisection) search(ctx context.Context) error {
	if err := b.ends(ctx); err != nil {
		return err
	}
	state, err := b.git.bisect(ctx, "start", b.last, b.first)
	for err == nil && state.found == "" {
		var v verdict
		if v, err = b.judge(ctx, state.next); err == nil {
			state, err = b.git.bisect(ctx, v.Is)
		}
	}
	if only := (*skippedError)(nil); errors.As(err, &only) {
		for _, commit := range only.commits {
			fmt.Fprintf(b.Stdout, "%s %s\n", commit, b.known[commit].Why)
		}
		return fmt.Errorf("the first bad commit is one of the %d above: those between that could tell do not build, boot or run", len(only.commits))
	}
	if err != nil {
		return err
	}
	return b.show(ctx, state.found)
}

// ends checks that the good commit can be measured and that the bad one is
// worse.
func (b *bisection) ends(ctx context.Context) error {
	for _, end := range []struct{ flag, commit string }{{"-good", b.first}, {"-bad", b.last}} {
		if _, err := b.make(ctx, end.commit); err != nil {
			return fmt.Errorf("%s %.12s: %w", end.flag, end.commit, err)
		}
	}
	v, err := b.judge(ctx, b.last)
	switch {
	case err != nil:
		return err
	case v.Is == "skip":
		// It may be this machine that lacks something: the next call tries again.
		if err := b.forget(b.last); err != nil {
			return err
		}
		return fmt.Errorf("-good %.12s or -bad %.12s cannot be measured: %s", b.first, b.last, v.Why)
	case v.Is == "good":
		return fmt.Errorf("-bad %.12s is not worse than -good %.12s: %s", b.last, b.first, v.Why)
	}
	return nil
}

// most are the numbers of samples a side after which a step that cannot tell
// tries the next.
var most = []string{"18", "41", "93"}

// judge returns the verdict on a commit, from memory or by measuring.
func (b *bisection) judge(ctx context.Context, commit string) (verdict, error) {
	v, ok := b.known[commit]
	if ok {
		b.Say("%.12s: %s, as before: %s", commit, v.Is, v.Why)
		return v, nil
	}
	image, err := b.make(ctx, commit)
	if broken := (*buildError)(nil); errors.As(err, &broken) {
		v = verdict{Commit: commit, Is: "skip", Why: broken.Error()}
	} else if err != nil {
		return v, err
	} else if v, err = b.measure(ctx, commit, image); err != nil {
		return v, err
	}
	b.Say("%.12s: %s: %s", commit, v.Is, v.Why)
	return v, b.keep(v)
}

// measure lets the gate compare an image with the good commit's.
func (b *bisection) measure(ctx context.Context, commit, image string) (v verdict, err error) {
	if twin, err := b.twin(commit); err != nil {
		return v, err
	} else if twin != commit {
		is := "good"
		if twin != b.first {
			is = b.known[twin].Is
		}
		return verdict{commit, is, fmt.Sprintf("it builds what %.12s builds, byte for byte", twin), twin}, nil
	}
	good := b.imageOf(b.first)
	decide := func(is, why string) (verdict, error) {
		return verdict{Commit: commit, Is: is, Why: strings.ReplaceAll(why, image+": ", "")}, nil
	}
	for _, max := range most {
		report, stderr, code, err := b.gate(ctx, good, image, "-format", "json", "-max", max)
		if err != nil {
			return v, err
		}
		var said struct {
			Outcome  string   `json:"outcome"`
			Summary  string   `json:"summary"`
			Problems []string `json:"problems"`
		}
		if jerr := json.Unmarshal([]byte(report), &said); jerr != nil {
			return v, fmt.Errorf("%.12s: the gate ends with %d and no report: %s", commit, code, stderr)
		}
		switch code {
		case 0:
			return decide("good", said.Summary)
		case 1:
			return decide("bad", said.Summary)
		case 125:
			return decide("skip", strings.Join(said.Problems, "; "))
		case 3:
			b.Say("%.12s: the gate cannot tell after at most %s samples a side: %s", commit, max, said.Summary)
		case 2:
			if b.binary == "" { // it runs no benchmark: for a program what not booting is for a kernel
				return decide("skip", strings.Join(said.Problems, "; "))
			}
			fallthrough
		default:
			return v, fmt.Errorf("%.12s: %s", commit, strings.Join(said.Problems, "\n\t"))
		}
	}
	return v, cli.WithStatus(fmt.Errorf("%.12s: the gate cannot tell after %s samples a side: narrow -bench to what costs more, and the search begins anew", commit, most[len(most)-1]), 3)
}

// twin returns the commit that was measured and builds what this one builds, or
// else the commit itself.
func (b *bisection) twin(commit string) (string, error) {
	sum, err := results.Hash(b.imageOf(commit))
	if err != nil {
		return commit, err
	}
	for _, other := range append([]string{b.first}, slices.Sorted(maps.Keys(b.known))...) {
		if v := b.known[other]; other == commit || v.Is == "skip" || v.Twin != "" {
			continue
		}
		if have, err := results.Hash(b.imageOf(other)); err != nil || have == sum {
			return other, err
		}
	}
	return commit, nil
}

// gate runs the gate with more flags on two images and returns its exit status.
func (b *bisection) gate(ctx context.Context, old, new string, flags ...string) (stdout, stderr string, code int, err error) {
	args := append([]string{"gate-kernels", "-where=false", "-timeout", b.timeout.String()}, flags...)
	if b.binary == "" {
		args = append([]string{"gate-arms"}, flags...)
		// Paths of its own making, without blanks unless -results has some.
		old, new = strings.TrimSpace(b.exec+" "+old), strings.TrimSpace(b.exec+" "+new)
	} else if b.jobs > 0 {
		args = append(args, "-jobs", fmt.Sprint(b.jobs))
	}
	// Each step may raise a false alarm: together they may with the usual
	// probability.
	args = append(args, "-bench", b.bench, "-results", b.results, "-alpha", fmt.Sprintf("%.5f", gate.DefaultAlpha/float64(b.steps+1)))
	if b.strict {
		args = append(args, "-strict")
	}
	args = append(args, "--")
	if b.binary != "" {
		args = append(args, b.binary)
	}
	cmd := exec.Command(b.tool, append(args, old, new)...)
	var out process.Buffer
	var tail process.Tail
	cmd.Stdout, cmd.Stderr = &out, io.MultiWriter(b.Stderr, &tail)
	err = process.Limits{Runner: true}.Run(ctx, cmd)
	if ctx.Err() != nil {
		return "", "", 0, context.Cause(ctx)
	}
	code = process.ExitCode(err)
	if code < 0 {
		return "", "", 0, err
	}
	return out.String(), strings.Join(tail.Lines(5), "\n"), code, nil
}
