//go:build unix && !linux

package redistest

import "errors"

// fileKey is never reached: the library that needs it builds on Linux alone.
func fileKey(string) (uint64, error) { return 0, errors.ErrUnsupported }
