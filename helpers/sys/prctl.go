//go:build linux

package sys

import "golang.org/x/sys/unix"

// DieWithParent has the kernel kill this task when the thread that forked it
// ends: prctl(2) PR_SET_PDEATHSIG.
func DieWithParent() Call {
	return Call{Name: "prctl(PDEATHSIG)", Nr: unix.SYS_PRCTL,
		Args: [6]uintptr{unix.PR_SET_PDEATHSIG, uintptr(unix.SIGKILL)}}
}

// ParentIs wants the parent to be pid: it fails in a child whose parent was
// gone before DieWithParent took effect.
func ParentIs(pid int) Call {
	return Call{Name: "getppid()", Nr: unix.SYS_GETPPID, Want: pid}
}

// SetName gives the calling task the name that ps shows: at most 15 bytes.
func SetName(a *Arena, name string) Call {
	b := a.Bytes(16)
	copy(b[:15], name)
	return Call{Name: "prctl(NAME)", Nr: unix.SYS_PRCTL, Args: [6]uintptr{unix.PR_SET_NAME, ptr(&b[0])}}
}
