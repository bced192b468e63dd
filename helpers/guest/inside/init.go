package inside

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"eventbench/helpers/seccomp"
)

// Run does the job in the initramfs and switches the machine off. It does not
// return there: if init ended, the kernel would panic.
func Run() error {
	if os.Getpid() != 1 || os.Args[0] != InitPath {
		return errors.New("this is the init of eventbench's guests")
	}
	// Everything here runs on one thread, so that the runtime's others
	// sleep while the program is measured.
	runtime.LockOSThread()

	report, err := doJob()
	if err != nil {
		if report == nil {
			fmt.Fprintf(os.Stderr, "guest init: %v\n", err) // on the console
		} else {
			fmt.Fprintf(report, "%s %q\n", ReportFailed, err)
			drain(report)
		}
	}
	// QEMU was told to exit instead of restarting the machine. A restart
	// needs nothing from the machine, while switching off needs ACPI.
	unix.Sync()
	unix.Reboot(unix.LINUX_REBOOT_CMD_RESTART)
	for {
		time.Sleep(time.Hour)
	}
}

// doJob returns the report port if it could be opened, even with an error.
func doJob() (report *os.File, err error) {
	data, err := os.ReadFile(JobPath)
	if err != nil {
		return nil, err
	}
	var j Job
	if err := json.Unmarshal(data, &j); err != nil {
		return nil, fmt.Errorf("%s: %w", JobPath, err)
	}
	if err := mount("devtmpfs", "/dev", "devtmpfs", unix.MS_NOSUID, "mode=0755"); err != nil {
		return nil, err
	}
	if report, err = openPort(j.Report); err != nil {
		return nil, err
	}
	stdout, err := openPort(j.Stdout)
	if err != nil {
		return report, err
	}
	stderr, err := openPort(j.Stderr)
	if err != nil {
		return report, err
	}
	if err := setUp(); err != nil {
		return report, err
	}
	if err := checkParams(j.Params, os.Args[1:], os.Environ()); err != nil {
		return report, err
	}
	if err := setSysctls("/proc/sys", j.Sysctls); err != nil {
		return report, err
	}
	for _, dir := range j.MakeDir {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return report, err
		}
	}
	for _, file := range j.Collect {
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			return report, err
		}
	}
	time.Sleep(j.Settle)

	status, err := runProgram(&j, stdout, stderr, report)
	if err != nil {
		return report, err
	}
	drain(stdout)
	drain(stderr)
	for i, file := range j.Collect {
		if err := sendFile(report, i, file); err != nil {
			return report, err
		}
	}
	if status.Signaled() {
		fmt.Fprintf(report, "%s %d\n", ReportKilled, status.Signal())
	} else {
		fmt.Fprintf(report, "%s %d\n", ReportExited, status.ExitStatus())
	}
	drain(report)
	return report, nil
}

// setUp prepares what a program expects to find.
func setUp() error {
	for _, m := range []struct {
		source, target, fstype string
		flags                  uintptr
		data                   string
		optional               bool // a kernel may be built without
	}{
		{source: "proc", target: "/proc", fstype: "proc", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{source: "sysfs", target: "/sys", fstype: "sysfs", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC},
		{source: "tmpfs", target: "/tmp", fstype: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV, data: "mode=1777"},
		{source: "tmpfs", target: "/dev/shm", fstype: "tmpfs", flags: unix.MS_NOSUID | unix.MS_NODEV, data: "mode=1777"},
		{source: "devpts", target: "/dev/pts", fstype: "devpts", flags: unix.MS_NOSUID | unix.MS_NOEXEC, data: "ptmxmode=0666,mode=0620", optional: true},
		{source: "cgroup2", target: "/sys/fs/cgroup", fstype: "cgroup2", flags: unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC, optional: true},
	} {
		err := mount(m.source, m.target, m.fstype, m.flags, m.data)
		// On a kernel without cgroups, sysfs has no directory for them
		// and does not allow making one.
		if m.optional && (errors.Is(err, unix.ENODEV) || errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.EPERM)) {
			continue
		}
		if err != nil {
			return err
		}
	}
	for link, target := range map[string]string{
		"/dev/fd":     "/proc/self/fd",
		"/dev/stdin":  "/proc/self/fd/0",
		"/dev/stdout": "/proc/self/fd/1",
		"/dev/stderr": "/proc/self/fd/2",
	} {
		if err := os.Symlink(target, link); err != nil && !errors.Is(err, fs.ErrExist) {
			return err
		}
	}

	if err := unix.Sethostname([]byte("guest")); err != nil {
		return os.NewSyscallError("sethostname", err)
	}
	if err := loopbackUp(); err != nil {
		return err
	}
	// The kernel limits its first process to 1024 open files (4096 hard)
	// and 64 KiB of locked memory. Tests are written for the limits that a
	// distribution's init sets.
	for resource, limit := range map[int]unix.Rlimit{
		unix.RLIMIT_NOFILE:  {Cur: 1024, Max: 524288},
		unix.RLIMIT_MEMLOCK: {Cur: 8 << 20, Max: 8 << 20},
		unix.RLIMIT_CORE:    {Cur: 0, Max: unix.RLIM_INFINITY},
	} {
		if err := unix.Setrlimit(resource, &limit); err != nil {
			return os.NewSyscallError("setrlimit", err)
		}
	}
	// Like every init, use a new session, so that the program is not in the
	// kernel's session 0, which getsid(2) could not name.
	if _, err := unix.Setsid(); err != nil {
		return os.NewSyscallError("setsid", err)
	}
	return nil
}

// checkParams returns an error if the kernel did not take one of the parameters:
// what it does not know, it passes on to init, among the arguments or in the
// environment. A misspelt one would measure the kernel as it is.
func checkParams(params, args, environ []string) error {
	for _, p := range params {
		if slices.Contains(args, p) || slices.Contains(environ, p) {
			return fmt.Errorf("this kernel has no parameter %s", p)
		}
	}
	return nil
}

// setSysctls sets sysctls, NAME=VALUE, see sysctl(8).
func setSysctls(root string, sysctls []string) error {
	for _, s := range sysctls {
		name, value, _ := strings.Cut(s, "=")
		file := strings.ReplaceAll(name, ".", "/")
		if strings.Contains(name, "/") { // whose parts may have dots
			file = name
		}
		f, err := os.OpenFile(filepath.Join(root, file), os.O_WRONLY, 0)
		if err == nil {
			_, err = f.WriteString(value)
			f.Close()
		}
		if err != nil {
			return fmt.Errorf("sysctl %s: %w", s, err)
		}
	}
	return nil
}

func mount(source, target, fstype string, flags uintptr, data string) error {
	if err := os.MkdirAll(target, 0o755); err != nil {
		return err
	}
	err := unix.Mount(source, target, fstype, flags, data)
	if errors.Is(err, unix.EBUSY) {
		return nil // CONFIG_DEVTMPFS_MOUNT was quicker
	}
	if err != nil {
		return fmt.Errorf("mount %s on %s: %w", fstype, target, err)
	}
	return nil
}

// loopbackUp brings up lo, see netdevice(7). A kernel without networking is
// fine.
func loopbackUp() error {
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		if errors.Is(err, unix.EAFNOSUPPORT) || errors.Is(err, unix.ENOSYS) {
			return nil
		}
		return os.NewSyscallError("socket", err)
	}
	defer unix.Close(fd)
	ifr, err := unix.NewIfreq("lo")
	if err != nil {
		return err
	}
	ifr.SetUint16(unix.IFF_UP | unix.IFF_RUNNING)
	if err := unix.IoctlIfreq(fd, unix.SIOCSIFFLAGS, ifr); err != nil && !errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("bring up lo: %w", err)
	}
	return nil
}

// runProgram starts the program, reports that on report, and waits for the
// program to end. Meanwhile it reaps orphans; afterwards it kills them.
func runProgram(j *Job, stdout, stderr, report *os.File) (syscall.WaitStatus, error) {
	null, err := os.OpenFile(os.DevNull, os.O_RDWR, 0)
	if err != nil {
		return 0, err
	}
	defer null.Close()
	// This thread's filter is also that of what it starts.
	if j.Seccomp > 0 {
		if err := seccomp.Install(j.Seccomp); err != nil {
			return 0, fmt.Errorf("-seccomp: %w", err)
		}
	}
	// Not os.StartProcess: its Wait would race with the reaping below. The
	// program gets the signal mask and handlers that the kernel gave init:
	// syscall.ForkExec restores the mask, and exec the handlers.
	pid, err := syscall.ForkExec(j.Program, j.Args, &syscall.ProcAttr{
		Dir:   j.Dir,
		Env:   j.Env,
		Files: []uintptr{null.Fd(), stdout.Fd(), stderr.Fd()},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	})
	if err != nil {
		return 0, fmt.Errorf("start %s: %w", j.Program, err)
	}
	fmt.Fprintf(report, "%s\n", ReportStarted)

	var status syscall.WaitStatus
	for {
		var s syscall.WaitStatus
		got, err := syscall.Wait4(-1, &s, 0, nil)
		switch {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, os.NewSyscallError("wait4", err)
		case got == pid:
			status = s
			unix.Kill(-1, unix.SIGKILL) // all but init, see kill(2)
			return status, nil
		}
	}
}

// sendFile sends a file that the program left for the host, if it exists.
func sendFile(report io.Writer, i int, file string) error {
	data, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	fmt.Fprintf(report, "%s %d %d\n", ReportFile, i, len(data))
	_, err = io.Copy(report, bytes.NewReader(data))
	return err
}

// openPort opens a serial port in raw mode.
func openPort(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("%w: the kernel must have CONFIG_SERIAL_8250 with %d ports (CONFIG_SERIAL_8250_NR_UARTS; on a PCI bus CONFIG_SERIAL_8250_PCI)",
			&fs.PathError{Op: "open", Path: name, Err: err}, SerialPorts)
	}
	tio, err := unix.IoctlGetTermios(fd, unix.TCGETS)
	if err != nil {
		return nil, fmt.Errorf("%s: %w: no such serial port in the machine", name, err)
	}
	tio.Iflag = 0
	tio.Oflag = 0 // a newline stays one byte
	tio.Lflag = 0
	tio.Cflag = unix.CS8 | unix.CREAD | unix.CLOCAL | unix.B115200
	if err := unix.IoctlSetTermios(fd, unix.TCSETS, tio); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

// drain waits until the port has sent everything, see tcdrain(3).
func drain(port *os.File) {
	unix.IoctlSetInt(int(port.Fd()), unix.TCSBRK, 1)
}
