package guest

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"eventbench/helpers/cache"
	"eventbench/helpers/tooltest"
)

func TestChooseAccel(t *testing.T) {
	q := &QEMU{Arch: AMD64, Path: "/does/not/exist"}
	c := cache.At(t.TempDir())
	check := func(accel, clock string, wantAccel Accel, wantClock Clock, wantErr string) {
		t.Helper()
		a, cl, err := ChooseAccel(t.Context(), q, c, accel, clock, t.Logf)
		if a != wantAccel || cl != wantClock || (wantErr == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), wantErr) {
			t.Errorf("-accel %s -clock %s: got %s, %s, %v", accel, clock, a, cl, err)
		}
	}
	check("tcg", "auto", TCG, InstrClock, "")
	check("tcg", "instrs", TCG, InstrClock, "")
	check("tcg", "wall", TCG, WallClock, "")
	check("auto", "instrs", TCG, InstrClock, "")
	check("kvm", "instrs", "", "", "KVM cannot count")
	check("xen", "auto", "", "", `-accel "xen"`)
	check("auto", "cpu", "", "", `-clock "cpu"`)
	// This QEMU cannot be started, so KVM cannot be used here or anywhere.
	check("kvm", "auto", "", "", "-accel kvm: ")
	check("auto", "auto", TCG, InstrClock, "")
	check("auto", "wall", TCG, WallClock, "")
	// The host's processor is of another architecture.
	q.Arch = ARM64
	if here() == ARM64 {
		q.Arch = AMD64
	}
	check("auto", "auto", TCG, InstrClock, "")
	check("auto", "wall", TCG, WallClock, "")
	check("kvm", "auto", "", "", "-accel kvm: not for "+q.Arch.String()+" guests")
}

func TestKVMIsRemembered(t *testing.T) {
	if here().probe == nil {
		t.Skipf("KVM is not used for %s guests", here())
	}
	dir := t.TempDir()
	real := kvmDevice
	kvmDevice = filepath.Join(dir, "kvm")
	t.Cleanup(func() { kvmDevice = real })
	tooltest.MustWrite(t, kvmDevice, "")
	started := filepath.Join(dir, "started")
	q := &QEMU{Arch: here(), Path: filepath.Join(dir, "qemu")}
	tooltest.MustWrite(t, q.Path, "#!/bin/sh\necho once >>"+started+"\necho assertion failed >&2\nexit 1\n")
	if err := os.Chmod(q.Path, 0o755); err != nil {
		t.Fatal(err)
	}
	c := cache.At(filepath.Join(dir, "cache"))
	said := 0
	try := func(accel string) error {
		_, _, err := ChooseAccel(t.Context(), q, c, accel, "auto", func(string, ...any) { said++ })
		return err
	}
	for range 3 {
		if err := try("auto"); err != nil {
			t.Error(err)
		}
	}
	starts, err := os.ReadFile(started)
	if string(starts) != "once\n" || said != 1 || err != nil {
		t.Errorf("QEMU started %q, said %d times, %v", starts, said, err)
	}
	// Who asks for it gets an answer of today.
	if err := try("kvm"); err == nil || !strings.Contains(err.Error(), "assertion failed") {
		t.Errorf("got error %v", err)
	}
	if starts, _ := os.ReadFile(started); string(starts) != "once\nonce\n" {
		t.Errorf("QEMU started %q", starts)
	}
}
