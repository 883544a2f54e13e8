package servertest

import "syscall"

// diesWithUs ends a process with the test binary, however that ends.
func diesWithUs() *syscall.SysProcAttr { return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL} }
