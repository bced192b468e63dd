package guest

import (
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/tooltest"
)

// A column is a kernel and what is set for it. Its label is what the user wrote.
func TestParseColumn(t *testing.T) {
	t.Chdir(t.TempDir())
	tooltest.MustWrite(t, "my kernel/bzImage", "")
	check := func(arg string, want Column, label, settings string) {
		t.Helper()
		got, err := ParseColumn(arg)
		if err != nil || got.Arg != want.Arg || got.Kernel != want.Kernel || got.Model != want.Model ||
			!slices.Equal(got.Params, want.Params) || !slices.Equal(got.Sysctls, want.Sysctls) {
			t.Errorf("%q: got %+v, %v", arg, got, err)
		}
		if got.Label() != label || got.Settings() != settings {
			t.Errorf("%q: label %q, settings %q", arg, got.Label(), got.Settings())
		}
	}
	check("6.12", Column{Arg: "6.12", Kernel: "6.12"}, "6.12", "")
	check("my kernel/bzImage", Column{Arg: "my kernel/bzImage", Kernel: "my kernel/bzImage"}, "bzImage", "")
	check(" 6.12  nohz=off preempt=voluntary\n", Column{
		Arg: "6.12 nohz=off preempt=voluntary", Kernel: "6.12", Params: []string{"nohz=off", "preempt=voluntary"},
	}, "6.12 nohz=off preempt=voluntary", "nohz=off preempt=voluntary")
	check("/a/linux.deb nosmt sysctl:kernel.sched_autogroup_enabled=0 sysctl:net/ipv4/conf/eth0.1/x=a,b cpu=max,sve=off", Column{
		Arg:    "/a/linux.deb nosmt sysctl:kernel.sched_autogroup_enabled=0 sysctl:net/ipv4/conf/eth0.1/x=a,b cpu=max,sve=off",
		Kernel: "/a/linux.deb", Params: []string{"nosmt"}, Model: "max,sve=off",
		Sysctls: []string{"kernel.sched_autogroup_enabled=0", "net/ipv4/conf/eth0.1/x=a,b"},
	}, "linux nosmt sysctl:kernel.sched_autogroup_enabled=0 sysctl:net/ipv4/conf/eth0.1/x=a,b cpu=max,sve=off",
		"nosmt sysctl:kernel.sched_autogroup_enabled=0 sysctl:net/ipv4/conf/eth0.1/x=a,b cpu=max,sve=off")
	for arg, want := range map[string]string{
		"":                                "no kernel given",
		"  ":                              "no kernel given",
		"6.12 =off":                       `"=off" is no setting`,
		"6.12 sysctl:kernel.x":            `"sysctl:kernel.x" is no setting`,
		"6.12 sysctl:../etc/passwd=x":     "is no setting",
		"6.12 sysctl:kernel/../../x=1":    "is no setting",
		"6.12 sysctl:/etc/passwd=x":       "is no setting",
		"6.12 cpu=":                       `"cpu=" is no setting`,
		"6.12 cpu=max cpu=neoverse-n1":    `"cpu=neoverse-n1" is no setting`,
		"6.12 mitigations=off\x1b[31m":    "is no setting",
		"6.12 mitigations=off -accel kvm": `"-accel" is no setting`,
	} {
		if _, err := ParseColumn(arg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got error %v, want %q", arg, err, want)
		}
	}
}

// Columns of one image are told apart by what is set, and an image without
// settings is what it always was.
func TestColumnSum(t *testing.T) {
	k := &Kernel{image: []byte("image")}
	plain, off, on := Column{Arg: "6.12", Kernel: "6.12"}, Column{Arg: "6.12 nohz=off", Kernel: "6.12"}, Column{Arg: "6.12 nohz=on", Kernel: "6.12"}
	if plain.Sum(k) != k.Sum() || off.Sum(k) == k.Sum() || off.Sum(k) == on.Sum(k) {
		t.Errorf("%x %x %x of %x", plain.Sum(k), off.Sum(k), on.Sum(k), k.Sum())
	}
}

// What a column sets is in the results, beside what the caller set.
func TestColumnSet(t *testing.T) {
	c, err := ParseColumn("6.12 nohz=off cpu=EPYC")
	if err != nil {
		t.Fatal(err)
	}
	m := &Machine{QEMU: &QEMU{Arch: AMD64}, Kernel: &Kernel{}, Append: "quiet"}
	if err := c.Set(m); err != nil {
		t.Fatal(err)
	}
	config, err := m.Config()
	if err != nil || !slices.Contains(config, "settings: nohz=off cpu=EPYC") || !slices.Contains(config, "cpu-model: EPYC") ||
		!slices.ContainsFunc(config, func(s string) bool { return strings.HasSuffix(s, " nohz=off quiet") }) {
		t.Errorf("got %q, %v", config, err)
	}
	if err := c.Set(&Machine{Model: "max"}); err == nil || !strings.Contains(err.Error(), "two CPU models") {
		t.Errorf("another model: %v", err)
	}
}
