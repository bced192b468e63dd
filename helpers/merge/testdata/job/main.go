// Job checks a Kubernetes Job on standard input by the API's own types, in which
// a field that the API does not have is an error. It is a module of its own: what
// the check needs, eventbench does not.
package main

import (
	"fmt"
	"io"
	"os"

	batch "k8s.io/api/batch/v1"
	"sigs.k8s.io/yaml"
)

func main() {
	text, err := io.ReadAll(os.Stdin)
	var job batch.Job
	if err == nil {
		err = yaml.UnmarshalStrict(text, &job)
	}
	if err == nil {
		err = check(&job)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Println(*job.Spec.Completions)
}

// check checks what the API server requires of such a Job beyond its fields.
func check(job *batch.Job) error {
	spec := job.Spec
	switch {
	case job.APIVersion != "batch/v1" || job.Kind != "Job" || job.Name == "":
		return fmt.Errorf("%s %s %q is no Job of batch/v1 with a name", job.APIVersion, job.Kind, job.Name)
	case spec.CompletionMode == nil || *spec.CompletionMode != batch.IndexedCompletion || spec.Completions == nil || spec.Parallelism == nil:
		return fmt.Errorf("want an Indexed Job with completions and parallelism")
	case spec.Template.Spec.RestartPolicy != "Never":
		return fmt.Errorf("restartPolicy %q: backoffLimitPerIndex and podFailurePolicy want Never", spec.Template.Spec.RestartPolicy)
	}
	volumes := make(map[string]bool)
	for _, v := range spec.Template.Spec.Volumes {
		volumes[v.Name] = true
	}
	for _, c := range spec.Template.Spec.Containers {
		for _, m := range c.VolumeMounts {
			if !volumes[m.Name] {
				return fmt.Errorf("container %s mounts %s, which is no volume", c.Name, m.Name)
			}
		}
	}
	return nil
}
