//go:build linux

package sys

// restore names the trampoline by which a handler returns to the kernel: on
// amd64 the program must bring one (SA_RESTORER).
func (act *sigaction) restore() {
	const saRestorer = 0x04000000
	act.flags |= saRestorer
	act.restorer = restorerPC()
}

func restorerPC() uintptr
