//go:build linux

package cmd_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// What is judged cannot rewrite the judge: in a workflow every action is one
// commit, the pull request's code runs in no job that has eventbench, and the
// comment that is changed is the workflow's own.
func TestGateWorkflow(t *testing.T) {
	paths, err := filepath.Glob(filepath.Join("..", "..", ".github", "workflows", "*.yml"))
	if err != nil || len(paths) == 0 {
		t.Fatalf("got %v, %v, want workflows", paths, err)
	}
	uses := regexp.MustCompile(`(?m)^ *-? *uses: (\S+)`)
	pinned := regexp.MustCompile(`^[^@]+@[0-9a-f]{40}$`)
	for _, path := range paths {
		text, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		for _, m := range uses.FindAllSubmatch(text, -1) {
			if action := string(m[1]); !strings.HasPrefix(action, "./") && !pinned.MatchString(action) {
				t.Errorf("%s: %s is not a commit", path, action)
			}
		}
		if filepath.Base(path) != "gate.yml" {
			continue
		}
		_, jobs, _ := strings.Cut(string(text), "\njobs:\n")
		builds := 0
		for _, job := range regexp.MustCompile(`(?m)^  [a-z]+:$`).Split(jobs, -1) {
			if strings.Contains(job, `bash -euo pipefail -c "$BUILD"`) {
				builds++
				if strings.Contains(job, "inputs.eventbench") || strings.Contains(job, ".ci/gate") {
					t.Errorf("%s: a job builds what is judged and has the judge:\n%s", path, job)
				}
			}
		}
		if builds != 2 {
			t.Errorf("%s: %d jobs build, want one for the base and one for the pull request", path, builds)
		}
		if !strings.Contains(jobs, `.user.login == "github-actions[bot]"`) {
			t.Errorf("%s: a comment is changed whoever wrote it", path)
		}
	}
}
