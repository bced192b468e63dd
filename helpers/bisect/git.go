//go:build linux

package bisect

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"eventbench/helpers/cli"
	"eventbench/helpers/process"
)

// A git is a working tree.
type git struct{ dir string }

// run runs git in the tree and returns what it printed.
func (g git) run(ctx context.Context, args ...string) (string, error) {
	// A user's hooks are for the user's own tree.
	cmd := exec.Command("git", append([]string{"-C", g.dir, "-c", "core.hooksPath=" + os.DevNull, "-c", "advice.detachedHead=false"}, args...)...)
	for _, e := range os.Environ() {
		if !strings.HasPrefix(e, "GIT_") { // which would name another tree
			cmd.Env = append(cmd.Env, e)
		}
	}
	cmd.Env = append(cmd.Env, "LC_ALL=C")
	stdout, stderr, err := process.Limits{}.Output(ctx, cmd)
	if err != nil && ctx.Err() == nil {
		err = fmt.Errorf("git %s: %w: %s", args[0], err, strings.TrimSpace(stderr))
	}
	return strings.TrimSpace(stdout), err
}

// openGit returns the user's tree at dir, if its history can be bisected.
func openGit(ctx context.Context, dir string) (git, error) {
	g := git{dir}
	top, err := g.run(ctx, "rev-parse", "--show-toplevel")
	if err != nil {
		return g, fmt.Errorf("-tree %s: want a git tree: %w", dir, err)
	}
	g.dir = top
	shallow, err := g.run(ctx, "rev-parse", "--is-shallow-repository")
	if err == nil && shallow == "true" {
		err = fmt.Errorf("-tree %s: the history is cut off, as git clone --depth does: git fetch --unshallow", dir)
	}
	if err != nil {
		return g, err
	}
	changed, err := g.run(ctx, "status", "--porcelain", "--untracked-files=no")
	if err == nil && changed != "" {
		first, _, _ := strings.Cut(changed, "\n")
		err = fmt.Errorf("-tree %s: has changes that no commit has, and so would not be measured, such as %q: commit them, or git stash", dir, strings.TrimSpace(first))
	}
	return g, err
}

// commit returns the commit that a flag names.
func (g git) commit(ctx context.Context, flag, rev string) (string, error) {
	id, err := g.run(ctx, "rev-parse", "--verify", "--quiet", "--end-of-options", rev)
	if err == nil { // it may be a tag; what ":/text" finds takes no suffix
		id, err = g.run(ctx, "rev-parse", "--verify", "--quiet", id+"^{commit}")
	}
	if process.ExitCode(err) > 0 {
		return "", cli.Usage("%s %s: no such commit in %s", flag, rev, g.dir)
	}
	return id, err
}

// base returns an ancestor that two commits share.
func (g git) base(ctx context.Context, a, b string) string {
	base, err := g.run(ctx, "merge-base", a, b)
	if err != nil {
		return "one from before they parted"
	}
	return base
}

// steps returns about how many commits a search has to measure.
func (g git) steps(ctx context.Context, good, bad string) (int, error) {
	out, err := g.run(ctx, "rev-list", "--count", good+".."+bad)
	if err != nil {
		return 0, err
	}
	n, err := strconv.Atoi(out)
	steps := 0
	for ; n > 1; n = (n + 1) / 2 {
		steps++
	}
	return steps, err
}

// worktree returns a tree of its own for the search, with what earlier builds
// left there. git keeps the state of a bisection for each tree, so the user may
// have another one going.
func (g git) worktree(ctx context.Context, dir, commit string) (git, error) {
	w := git{dir}
	if _, err := os.Stat(filepath.Join(dir, ".git")); err == nil {
		if _, err := w.run(ctx, "bisect", "reset", "HEAD"); err != nil {
			return w, fmt.Errorf("%w\n\tremove %s, and it is made again", err, dir)
		}
		return w, nil
	}
	if err := os.RemoveAll(dir); err != nil { // of a call that was killed
		return w, err
	}
	if _, err := g.run(ctx, "worktree", "prune"); err != nil {
		return w, err
	}
	_, err := g.run(ctx, "worktree", "add", "--quiet", "--detach", dir, commit)
	return w, err
}

// checkout puts a commit into the tree. What builds have left and git ignores
// or does not know stays, so that the next build has less to do.
func (g git) checkout(ctx context.Context, commit string) error {
	_, err := g.run(ctx, "checkout", "--quiet", "--force", "--detach", commit)
	return err
}

// remove removes the search's tree.
func (g git) remove(ctx context.Context) error {
	_, err := g.run(ctx, "worktree", "remove", "--force", g.dir)
	return err
}

// A state is where git bisect has got to: the commit to measure next, or what
// was found.
type state struct{ next, found string }

// A skippedError says between which commits git cannot decide, because they or
// those around them were skipped.
type skippedError struct{ commits []string }

func (e *skippedError) Error() string { return "only skipped commits are left" }

var (
	foundLine   = regexp.MustCompile(`(?m)^([0-9a-f]{40,64}) is the first bad commit$`)
	skippedLine = regexp.MustCompile(`(?m)^([0-9a-f]{40,64})$`)
)

// bisect runs a command of git bisect.
func (g git) bisect(ctx context.Context, args ...string) (state, error) {
	// What a build changed would keep git from choosing the next commit.
	if _, err := g.run(ctx, "reset", "--quiet", "--hard"); err != nil {
		return state{}, err
	}
	out, err := g.run(ctx, append([]string{"bisect"}, args...)...)
	if m := foundLine.FindStringSubmatch(out); m != nil {
		return state{found: m[1]}, nil
	}
	if strings.Contains(out, "only 'skip'ped commits left") { // with an exit status of 2
		e := new(skippedError)
		for _, m := range skippedLine.FindAllStringSubmatch(out, -1) {
			e.commits = append(e.commits, m[1])
		}
		return state{}, e
	}
	if err != nil {
		return state{}, err
	}
	next, err := g.run(ctx, "rev-parse", "HEAD")
	if err == nil && args[0] != "start" && !strings.Contains(out, "Bisecting:") {
		err = errors.New("git bisect " + strings.Join(args, " ") + ": " + out)
	}
	return state{next: next}, err
}
