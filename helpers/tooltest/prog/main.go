//go:build linux

// Prog is what the tests of commands run in a guest or a sandbox. Its arguments
// are commands, obeyed in turn.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	for _, arg := range os.Args[1:] {
		command, value, _ := strings.Cut(arg, "=")
		if err := obey(command, value); err != nil {
			fmt.Fprintf(os.Stderr, "prog: %s: %v\n", arg, err)
			os.Exit(1)
		}
	}
}

func obey(command, value string) error {
	switch command {
	case "out":
		_, err := fmt.Println(value)
		return err
	case "err":
		_, err := fmt.Fprintln(os.Stderr, value)
		return err
	case "env":
		for _, kv := range os.Environ() {
			fmt.Println(kv)
		}
	case "getenv":
		_, err := fmt.Printf("%s=%q\n", value, os.Getenv(value))
		return err
	case "cat":
		data, err := os.ReadFile(value)
		if err != nil {
			return err
		}
		_, err = os.Stdout.Write(data)
		return err
	case "write": // FILE:TEXT
		name, text, _ := strings.Cut(value, ":")
		return os.WriteFile(name, []byte(text+"\n"), 0o644)
	case "kernel":
		return kernel()
	case "facts":
		return facts()
	case "many": // so many lines
		n, err := strconv.Atoi(value)
		for i := range n {
			fmt.Printf("line %d of %d\n", i+1, n)
		}
		return err
	case "time":
		return measure()
	case "exit":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		os.Exit(n)
	case "kill":
		n, err := strconv.Atoi(value)
		if err != nil {
			return err
		}
		return syscall.Kill(os.Getpid(), syscall.Signal(n))
	case "hang":
		for {
			time.Sleep(time.Hour)
		}
	case "panic": // the kernel, once what was printed has left: a panic sends nothing more
		const tcdrain = 1 // the argument of TCSBRK, 0x5409, which makes it wait
		if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, 1, 0x5409, tcdrain); errno != 0 {
			return errno
		}
		return os.WriteFile("/proc/sysrq-trigger", []byte("c"), 0)
	case "orphan": // leave a process behind that holds standard output
		cmd := exec.Command("/proc/self/exe", "hang")
		cmd.Stdout = os.Stdout
		return cmd.Start()
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}

// kernel prints which one this is, and as whom and where it runs the program.
func kernel() error {
	var u syscall.Utsname
	if err := syscall.Uname(&u); err != nil {
		return err
	}
	release := make([]byte, 0, len(u.Release))
	for _, c := range u.Release {
		if c != 0 {
			release = append(release, byte(c))
		}
	}
	dir, err := os.Getwd()
	fmt.Printf("release %s, uid %d, dir %s\n", release, os.Getuid(), dir)
	return err
}

// facts prints what a program finds in the guest.
func facts() error {
	dir, err := os.Getwd()
	if err != nil {
		return err
	}
	fmt.Println("dir", dir)
	fmt.Println("cpus", runtime.NumCPU())
	fmt.Println("args0", os.Args[0])
	for _, p := range []string{"/proc/self/stat", "/sys/kernel", "/dev/null", "/dev/pts/ptmx", "/dev/shm", "/tmp", "/sys/fs/cgroup/cgroup.procs", "/dev/fd/0"} {
		_, err := os.Stat(p)
		fmt.Println("there", p, err == nil)
	}
	lo, err := os.ReadFile("/sys/class/net/lo/flags")
	fmt.Printf("lo %s", lo)
	if err != nil {
		return err
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	fmt.Println("host", host)
	status, err := os.ReadFile("/proc/self/status")
	for line := range strings.Lines(string(status)) {
		if strings.HasPrefix(line, "SigBlk") {
			fmt.Print(line)
		}
	}
	return err
}

// measure prints times that differ between any two runs on a real machine.
func measure() error {
	for range 3 {
		start := time.Now()
		for range 1000 {
			syscall.Getppid()
		}
		fmt.Println(start.UnixNano(), time.Since(start).Nanoseconds())
	}
	var random [8]byte
	f, err := os.Open("/dev/urandom")
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.Read(random[:]); err != nil {
		return err
	}
	fmt.Printf("random %x, text at %p\n", random, new(int))
	stack := 0
	fmt.Printf("stack %p\n", &stack)
	syms, err := os.ReadFile("/proc/modules")
	fmt.Printf("modules %q\n", syms)
	return err
}
