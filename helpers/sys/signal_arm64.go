//go:build linux

package sys

// restore does nothing: on arm64 handlers return by the vDSO's trampoline.
func (act *sigaction) restore() {}
