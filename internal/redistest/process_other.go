//go:build unix && !linux

package redistest

import "syscall"

// ownGroup gives the process a group of its own, so that Ctrl-C reaches the tests first. Only Linux can
// also tie its life to ours: elsewhere a killed test binary leaves its servers behind.
func ownGroup() *syscall.SysProcAttr { return &syscall.SysProcAttr{Setpgid: true} }

// frozen takes the kernel's word for it.
func frozen(int) error { return nil }
