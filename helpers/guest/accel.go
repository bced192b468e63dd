package guest

import (
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"eventbench/helpers/bounded"
	"eventbench/helpers/cache"
	"eventbench/helpers/process"
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Accel is how the guest's instructions are executed.
type Accel string

const (
	KVM Accel = "kvm" // the host's processor
	TCG Accel = "tcg" // QEMU's translator
)

// Clock is the source of a guest's time.
type Clock string

const (
	WallClock  Clock = "wall"   // the host's time
	InstrClock Clock = "instrs" // a nanosecond for each instruction, see countedProcessor
)

// kvmDevice is KVM's device. Tests replace it with one that does not exist.
var kvmDevice = "/dev/kvm"

// CheckAccel checks the values of the -accel and -clock flags.
func CheckAccel(accel, clock string) error {
	a, cl := Accel(accel), Clock(clock)
	if accel != "auto" && a != KVM && a != TCG {
		return fmt.Errorf("-accel %q: want auto, kvm or tcg", accel)
	}
	if clock != "auto" && cl != WallClock && cl != InstrClock {
		return fmt.Errorf("-clock %q: want auto, wall or instrs", clock)
	}
	if a == KVM && cl == InstrClock {
		return errors.New("-clock instrs: KVM cannot count instructions: use -accel tcg, or auto")
	}
	return nil
}

// ChooseAccel decides what the -accel and -clock flags leave open: KVM and the
// wall clock where KVM works, counted instructions elsewhere. The first time
// that it would have chosen KVM but cannot, it says so.
func ChooseAccel(ctx context.Context, q *QEMU, c *cache.Dir, accel, clock string, say progress) (Accel, Clock, error) {
	if err := CheckAccel(accel, clock); err != nil {
		return "", "", err
	}
	a, cl := Accel(accel), Clock(clock)
	if hasKVM := q.Arch == here() && q.Arch.probe != nil; a == KVM && !hasKVM {
		return "", "", fmt.Errorf("-accel kvm: not for %s guests on this machine: leave -accel out", q.Arch)
	} else if a != TCG && cl != InstrClock && hasKVM {
		err := kvmUsable(ctx, q, c, a == KVM, say)
		switch {
		case err == nil:
			return KVM, WallClock, nil
		case ctx.Err() != nil:
			return "", "", context.Cause(ctx)
		case a == KVM:
			return "", "", fmt.Errorf("-accel kvm: %w", err)
		}
	}
	if clock == "auto" {
		cl = InstrClock
	}
	return TCG, cl, nil
}

// probeTimeout limits a guest of a few instructions. It takes a tenth of a
// second where KVM works. Where KVM is broken, some guests never leave the
// firmware.
const probeTimeout = 5 * time.Second

// kvmUsable returns an error if KVM cannot be used. It relies on what an
// earlier call with this QEMU found since the host booted, unless asked is set:
// then the user wants KVM and nothing else. A new finding is also reported with
// say.
func kvmUsable(ctx context.Context, q *QEMU, c *cache.Dir, asked bool, say progress) error {
	found := kvmFinding{QEMU: fileIdentity(q.Path), Boot: bootID()}
	old, known := recallKVM(c)
	known = known && old.QEMU == found.QEMU && old.Boot == found.Boot
	err := openKVM()
	if err == nil {
		if known && old.Opened && !asked {
			if old.Trouble != "" {
				return errors.New(old.Trouble)
			}
			return nil
		}
		found.Opened = true
		err = probe(ctx, q, KVM, hostModel)
		if ctx.Err() != nil {
			return err // which says nothing about KVM
		}
		if err != nil {
			err = fmt.Errorf("%s is there but does not work: %w", kvmDevice, err)
		}
	}
	if err != nil {
		found.Trouble = err.Error()
	}
	if found != old {
		rememberKVM(c, found)
		if err != nil && !asked {
			say("no KVM, so QEMU's translator runs the guest: %v", err)
		}
	}
	return err
}

func openKVM() error {
	fd, err := unix.Open(kvmDevice, unix.O_RDWR|unix.O_CLOEXEC, 0)
	if err != nil {
		err = &os.PathError{Op: "open", Path: kvmDevice, Err: err}
		if errors.Is(err, os.ErrPermission) {
			err = fmt.Errorf("%w: become a member of the group that owns it, mostly kvm", err)
		}
		return err
	}
	return unix.Close(fd)
}

// probe runs a guest of a few instructions.
func probe(ctx context.Context, q *QEMU, accel Accel, cpu string) error {
	code, options := q.Arch.probe()
	image, err := memfd("kvm-probe", bytes.NewReader(code))
	if err != nil {
		return err
	}
	defer image.Close()
	ctx, cancel := context.WithTimeoutCause(ctx, probeTimeout, fmt.Errorf("a guest of a few instructions did not end within %v", probeTimeout))
	defer cancel()

	cmd := &qemuCommand{}
	kernel := cmd.inherit(image)
	args := append([]string{
		"-no-user-config", "-nodefaults", "-display", "none", "-no-reboot",
		"-accel", string(accel), "-cpu", cpu, "-m", "16M", "-kernel", kernel.path(),
	}, options...)
	out := &process.Tail{}
	err = process.Limits{}.Run(ctx, q.command(args, cmd.files, out))
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	if process.ExitCode(err) == probeStatus {
		return nil
	}
	why := "QEMU ended early"
	if err != nil {
		why = err.Error()
	}
	if lines := out.Lines(1); len(lines) > 0 {
		why += ": " + lines[0]
	}
	return errors.New(why)
}

// probeStatus is QEMU's exit status after a probe.
const probeStatus = 0x55

// multibootProbe is a probe in the form of the Multiboot Specification, version
// 0.6.96, which QEMU can boot: it writes a byte to a port. The device there,
// isa-debug-exit, turns it into the exit status byte<<1|1.
func multibootProbe() (image []byte, options []string) {
	const (
		port   = 0x501
		magic  = 0x1badb002
		flags  = 1 << 16 // the addresses below are valid
		base   = 1 << 20
		header = 48
	)
	code := []byte{
		0xb0, probeStatus >> 1, // mov $(probeStatus>>1), %al
		0x66, 0xba, port & 0xff, port >> 8, // mov $port, %dx
		0xee,       // out %al, (%dx)
		0xf4,       // hlt
		0xeb, 0xfd, // jmp to the hlt
	}
	end := uint32(base + header + len(code))
	for _, field := range [header / 4]uint32{
		magic, flags, -(magic + flags) & 0xffffffff,
		base, base, end, end, base + header, // header, load, load end, bss end, entry
	} {
		image = binary.LittleEndian.AppendUint32(image, field)
	}
	return append(image, code...), []string{"-machine", "pc", "-device", fmt.Sprintf("isa-debug-exit,iobase=%#x,iosize=1", port)}
}

// kvmFinding is what the cache keeps about KVM.
type kvmFinding struct {
	QEMU    string // which binary
	Boot    string // of the host
	Opened  bool   // the device can be opened, so that QEMU was tried
	Trouble string // none if KVM works
}

const kvmFile = "kvm.json"

// recallKVM and rememberKVM ignore a cache that cannot be used: it only saves
// the next start a few seconds.
func recallKVM(c *cache.Dir) (f kvmFinding, ok bool) {
	data, err := bounded.ReadFile(c.Path(kvmFile), bounded.Text)
	if err != nil {
		return f, false
	}
	return f, json.Unmarshal(data, &f) == nil
}

func rememberKVM(c *cache.Dir, f kvmFinding) {
	if data, err := json.MarshalIndent(f, "", "\t"); err == nil {
		c.WriteFile(kvmFile, append(data, '\n'))
	}
}

// fileIdentity changes when the file is replaced.
func fileIdentity(path string) string {
	info, err := os.Stat(path)
	if err != nil {
		return path
	}
	return fmt.Sprintf("%s %d %s", path, info.Size(), info.ModTime().UTC().Format(time.RFC3339Nano))
}

// bootID differs for each boot of the host, see random(4).
func bootID() string {
	id, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
