package gate

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"eventbench/helpers/results"
)

// note collects what readers of the verdicts should know about the input.
func (g *gate) note(r *Report, old, new *side) {
	note := func(format string, args ...any) { r.Notes = append(r.Notes, clean(fmt.Sprintf(format, args...))) }

	for _, key := range slices.Sorted(maps.Keys(old.config)) {
		o, n := old.config[key], new.config[key]
		if n == nil || len(o.values) != 1 || len(n.values) != 1 || o.values[0]+n.values[0] == "" || ownValues(key) {
			continue
		}
		r.settings = append(r.settings, setting{key, o.values[0], n.values[0]})
	}
	var repeated []string
	for _, s := range []*side{old, new} {
		if len(s.samples) == 1 && s.samples[0].most > 1 {
			repeated = append(repeated, fmt.Sprintf("%s holds up to %d lines of a benchmark", s.samples[0].Name, s.samples[0].most))
		}
	}
	if len(repeated) > 0 {
		note("%s. The lines of one process (go test -count) are one sample: they share what differs between processes, memory layout, core and heap, "+
			"and counted as so many measurements would be believed too easily. Run several processes, a file each (or >> one file), old and new in turn.",
			strings.Join(repeated, ", and "))
	}
	for _, s := range []*side{old, new} {
		for _, key := range slices.Sorted(maps.Keys(s.config)) {
			c := s.config[key]
			if len(c.values) > 1 && !ownValues(key) && key != g.SampleKey && !slices.Contains(comparableKeys, key) {
				note("the samples of %s differ in %s: %q in %s, %q in %s", s.label, key, c.values[0], c.where[0], c.values[1], c.where[1])
			}
		}
	}
	for _, s := range []*side{old, new} {
		if how := s.disturbed.String(); how != "" {
			note("%s was %s. What disturbs only the one side looks like a difference between the two.", s.label, how)
		}
	}
	if added := new.beyond(old); len(added) > 0 {
		note("new, and not in %s to be compared with: %s", old.arg, abbreviate(added))
	}
	var directionless, missing []string
	wall := false
	for _, c := range r.Comparisons {
		if c.Better == "" && !slices.Contains(directionless, c.Unit) {
			directionless = append(directionless, c.Unit)
		}
		if c.Old.N < len(old.samples) || c.New.N < len(new.samples) {
			missing = append(missing, c.Name+" "+c.Unit)
		}
		wall = wall || c.Gates && strings.Contains(c.old.unit.Unit, "sec") && !c.paired
	}
	if len(directionless) > 0 {
		note("without a direction (no line \"Unit X better=lower\" in the results), so that they fail nothing: %s", abbreviate(directionless))
	}
	if len(missing) > 0 {
		note("not in every sample: %s", abbreviate(missing))
	}
	if gone := old.beyond(new); len(gone) > 0 {
		note("not in %s, which is allowed or only informs: %s", new.arg, abbreviate(gone))
	}
	if slices.ContainsFunc(r.Comparisons, func(c *Comparison) bool { return c.test.name == "Wilcoxon signed-rank" }) {
		note("the change is the middle of the changes within rounds, where what drifts on the machine is out of it; old and new are each side's median, whose ratio may be another")
	}
	for _, rule := range g.rules {
		if !rule.used && !strings.HasPrefix(rule.pos, builtIn) {
			note("%s: this rule fits no result here, or an earlier one takes them: %s", rule.pos, rule.text)
		}
	}
	if wall && rounds(old, new) == nil && len(old.samples) > 1 {
		note("nothing says that old and new were measured in turn (no rounds: files old-r01.txt and new-r01.txt in one directory, or lines \"round: 1\"). " +
			"If one was measured after the other, what else changed on the machine meanwhile counts as a difference.")
	}
}

// beyond returns the benchmarks that this side has and the other lacks, unless
// they failed there, and likewise the units of benchmarks that both have.
func (s *side) beyond(other *side) (names []string) {
	for _, b := range s.sorted() {
		ob := other.benches[b.key()]
		if ob == nil {
			if other.failed(b, nil) == nil {
				names = append(names, b.name)
			}
			continue
		}
		for _, sr := range b.series {
			if ob.find(sr.unit.Unit) == nil {
				names = append(names, b.name+" "+written(sr))
			}
		}
	}
	return names
}

// ownValues reports whether a key is expected to differ from sample to sample.
func ownValues(key string) bool {
	role := results.RoleOf(key)
	return role == results.Orders || role == results.Ignored
}

// abbreviate lists names, but not hundreds of them.
func abbreviate(names []string) string { return results.List(names, 8) }
