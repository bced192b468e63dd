package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"
	"time"

	"eventbench/helpers/guest"
)

func main() {
	if guest.IsInit() {
		guest.RunInit()
	}
	os.Exit(run(context.Background(), os.Args[1:], os.Stdout, os.Stderr))
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("guest", flag.ContinueOnError)
	kernel := flags.String("kernel", "", "")
	cpus := flags.Int("cpus", 0, "")
	seed := flags.Uint64("seed", 1, "")
	app := flags.String("append", "", "")
	if err := flags.Parse(args); err != nil {
		return 125
	}
	_ = strconv.Itoa
	_ = signal.Notify
	_ = syscall.SIGINT
	_ = errors.New
	_ = strings.Fields
	_ = time.Second
	c, err := guest.UserCache()
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 125
	}
	q, err := guest.FindQEMU(ctx, "")
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 125
	}
	k, err := guest.FindKernel(ctx, c, *kernel, nil)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 125
	}
	m := &guest.Machine{QEMU: q, Kernel: k, Accel: guest.TCG, Clock: guest.InstrClock, CPUs: 2, Memory: 512, Seed: *seed, Append: *app}
	if *cpus > 0 {
		m.CPUs = *cpus
	}
	p, err := guest.LoadProgram(flags.Arg(0), flags.Args()[1:], nil, ".")
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 125
	}
	s, err := m.Run(ctx, p, stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return 125
	}
	return s.ExitCode()
}
