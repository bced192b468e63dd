// Prog is what the tests run under gVisor. Its arguments are commands, obeyed
// in turn.
package main

import (
	"fmt"
	"os"
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
	case "getenv":
		_, err := fmt.Printf("%s=%q\n", value, os.Getenv(value))
		return err
	case "kernel":
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
	case "write": // FILE:TEXT
		name, text, _ := strings.Cut(value, ":")
		return os.WriteFile(name, []byte(text+"\n"), 0o644)
	case "cat":
		data, err := os.ReadFile(value)
		os.Stdout.Write(data)
		return err
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
	default:
		return fmt.Errorf("no such command")
	}
	return nil
}
