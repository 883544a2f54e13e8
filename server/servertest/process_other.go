//go:build unix && !linux

package servertest

import "syscall"

// diesWithUs cannot do what it is called for: elsewhere than on Linux a killed test binary leaves its servers behind.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{} }
