//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package embedded

import (
	"errors"
	"os"
)

// tryLock refuses where there is no flock: without it two servers could write to one directory.
func tryLock(*os.File) error {
	return errors.New("no file locks on this system: run the server in a Linux container")
}

func releaseLock(*os.File) error { return nil }
