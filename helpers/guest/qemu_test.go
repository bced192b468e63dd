package guest

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"eventbench/helpers/need"
	"eventbench/helpers/tooltest"
)

func TestOptions(t *testing.T) {
	check := func(arch *Arch, m Machine, wantArgs, wantCmdline string) {
		t.Helper()
		m.QEMU = &QEMU{Arch: arch}
		cmd := &qemuCommand{}
		cmd.add(m.options()...)
		cmd.add(serialPort{arch, consoleID, cmd.inherit(os.Stdout)}, serialPort{arch, "stdout", cmd.inherit(os.Stdout)})
		cmd.add(boot{kernel: cmd.inherit(os.Stdin), initramfs: cmd.inherit(os.Stdin)}, userArgs(m.Append))
		args, err := cmd.args()
		if err != nil {
			t.Fatal(err)
		}
		port := map[*Arch]string{AMD64: "-serial chardev:stdout", ARM64: "-device pci-serial,chardev=stdout"}[arch]
		wantArgs = "-no-user-config -nodefaults -display none -machine " + wantArgs + " -m 512M" +
			" -chardev file,id=console,path=/proc/self/fd/3 -serial chardev:console" +
			" -chardev file,id=stdout,path=/proc/self/fd/4 " + port +
			" -kernel /proc/self/fd/5 -initrd /proc/self/fd/6"
		i := slices.Index(args, "-append")
		if got := strings.Join(args[:i], " "); got != wantArgs {
			t.Errorf("QEMU's arguments:\ngot  %s\nwant %s", got, wantArgs)
		}
		if got := args[i+1]; got != wantCmdline {
			t.Errorf("the kernel's command line:\ngot  %s\nwant %s", got, wantCmdline)
		}
	}
	const (
		pc      = "pc,hpet=off,usb=off,vmport=off,graphics=off -no-reboot "
		virt    = "virt,gic-version=3,its=off -no-reboot "
		counted = "-accel tcg -icount shift=0,sleep=off -rtc base=2020-01-01,clock=vm "
		quick   = "panic=-1 edd=off no_timer_check cpu_init_udelay=0 cryptomgr.notests "
		quickly = "panic=-1 cryptomgr.notests "
	)
	check(AMD64, Machine{Accel: TCG, Clock: InstrClock, CPUs: 2, Memory: 512, Seed: 7, Append: " a=b  quiet "},
		pc+counted+"-seed 7 -cpu max -smp 2",
		quick+"tsc=reliable console=ttyS0 quiet 8250.nr_uarts=4 a=b quiet")
	check(AMD64, Machine{Accel: KVM, Clock: WallClock, CPUs: 1, Memory: 512},
		pc+"-accel kvm -seed 0 -cpu host -smp 1",
		quick+"console=ttyS0 quiet 8250.nr_uarts=4")
	check(AMD64, Machine{Accel: TCG, Clock: WallClock, CPUs: 4, Memory: 512, Model: "EPYC"},
		pc+"-accel tcg,thread=multi -seed 0 -cpu EPYC -smp 4",
		quick+"console=ttyS0 quiet 8250.nr_uarts=4")
	check(ARM64, Machine{Accel: TCG, Clock: InstrClock, CPUs: 2, Memory: 512, Seed: 7},
		virt+counted+"-seed 7 -cpu max,cntfrq=1000000000 -smp 2",
		quickly+"console=ttyAMA0 quiet 8250.nr_uarts=4")
	check(ARM64, Machine{Accel: TCG, Clock: InstrClock, CPUs: 1, Memory: 512, Model: "neoverse-n1"},
		virt+counted+"-seed 0 -cpu neoverse-n1,cntfrq=1000000000 -smp 1",
		quickly+"console=ttyAMA0 quiet 8250.nr_uarts=4")
	check(ARM64, Machine{Accel: TCG, Clock: WallClock, CPUs: 2, Memory: 512},
		virt+"-accel tcg,thread=multi -seed 0 -cpu max -smp 2",
		quickly+"console=ttyAMA0 quiet 8250.nr_uarts=4")
}

func TestFindQEMU(t *testing.T) {
	dir := t.TempDir()
	fake := func(name, script string) string {
		t.Helper()
		path := filepath.Join(dir, name)
		tooltest.MustWrite(t, path, "#!/bin/sh\n"+script+"\n")
		if err := os.Chmod(path, 0o755); err != nil {
			t.Fatal(err)
		}
		return path
	}
	check := func(path, version string, fair bool, wantErr string) {
		t.Helper()
		q, err := FindQEMU(t.Context(), AMD64, path)
		if wantErr != "" {
			if err == nil || !strings.Contains(err.Error(), wantErr) {
				t.Errorf("%s: got error %v, want %q in it", path, err, wantErr)
			}
			return
		}
		if err != nil || q.Version != version || q.fairCounting() != fair || q.Path != path {
			t.Errorf("%s: got %+v, %v", path, q, err)
		}
	}
	check(fake("q7", "echo 'QEMU emulator version 7.2.22 (Debian 1:7.2+dfsg-7+deb12u18)'; echo Copyright"), "7.2.22", false, "")
	check(fake("q10", "echo 'QEMU emulator version 10.0.2 (Debian 1:10.0.2+ds-2+deb13u1~bpo12+1)'"), "10.0.2", true, "")
	check(fake("q11", "echo 'QEMU emulator version 11.1.0'"), "11.1.0", true, "")
	check(fake("ls", "echo 'ls (GNU coreutils) version 9.1'"), "", false, "is not QEMU")
	check(fake("bad", "echo no such library; exit 127"), "", false, "no such library")
	check(filepath.Join(dir, "missing"), "", false, "no QEMU")
	t.Setenv("PATH", dir)
	check("", "", false, "qemu-system-x86")
	if _, err := FindQEMU(t.Context(), ARM64, ""); err == nil || !strings.Contains(err.Error(), "qemu-system-aarch64") || !strings.Contains(err.Error(), "qemu-system-arm;") {
		t.Errorf("for arm64: got error %v", err)
	}
}

func TestChooseCPUs(t *testing.T) {
	check := func(clock Clock, major, asked, want int, wantSaid bool) {
		t.Helper()
		m := &Machine{QEMU: &QEMU{major: major}, Clock: clock, CPUs: asked}
		said := false
		if err := m.ChooseCPUs(func(string, ...any) { said = true }); err != nil || m.CPUs != want || said != wantSaid {
			t.Errorf("%s, QEMU %d, -cpus %d: got %d, %v, said %v", clock, major, asked, m.CPUs, err, said)
		}
	}
	check(InstrClock, 10, 0, 2, false)
	check(InstrClock, 10, 4, 4, false)
	check(InstrClock, 7, 0, 1, true)
	check(InstrClock, 7, 1, 1, false)
	check(WallClock, 7, 0, 2, false)
	m := &Machine{QEMU: &QEMU{major: 7, Version: "7.2"}, Clock: InstrClock, CPUs: 2}
	if err := m.ChooseCPUs(t.Logf); err == nil || !strings.Contains(err.Error(), "-cpus 2: QEMU 7.2") {
		t.Errorf("got error %v", err)
	}
}

// The probe is for KVM; that it ends where instructions are executed is shown
// on the translator, which works everywhere.
func TestProbe(t *testing.T) {
	need.Need(t, need.HasQEMU)
	q, err := FindQEMU(t.Context(), AMD64, "")
	if err != nil {
		t.Fatal(err)
	}
	if err := probe(t.Context(), q, TCG, "max"); err != nil {
		t.Error(err)
	}
	if err := probe(t.Context(), q, TCG, "no-such-model"); err == nil || !strings.Contains(err.Error(), "no-such-model") {
		t.Errorf("got error %v, want what QEMU says", err)
	}
}

// What QEMU inherits has the names that are given out before it runs.
func TestInherited(t *testing.T) {
	cmd := &qemuCommand{}
	for i := range 2 {
		if got, want := cmd.inherit(os.Stdout).path(), InheritedName(i); got != want {
			t.Errorf("file %d is %s, said to be %s", i, got, want)
		}
	}
	cmd.add(debugger{cmd.inherit(os.Stdin)})
	args, err := cmd.args()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(args, " "), "-chardev socket,id=debugger,fd=5 -gdb chardev:debugger -S"; got != want {
		t.Errorf("QEMU's arguments: %s, want %s", got, want)
	}
}
