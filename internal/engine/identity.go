package engine

import (
	"context"
	"errors"
	"fmt"
)

// Identity is what makes a data set this installation's own. It lies in Redis beside the data.
type Identity struct {
	Epoch       string // random, made when the data set was founded
	Fingerprint string // of the master key, so that a server with another key never starts
	Region      string
}

// ErrNoInstallation says that Redis holds no installation, although one was expected: it came back empty, or is
// another one.
var ErrNoInstallation = errors.New("redis holds no data of this installation")

// Claim returns the identity stored in Redis. Where there is none it stores want, if found says so, and otherwise
// answers ErrNoInstallation.
func (e *Engine) Claim(ctx context.Context, want Identity, found bool) (Identity, error) {
	flag := 0
	if found {
		flag = 1
	}
	reply, err := e.Do(ctx, epochScript, []string{SystemKey("installation")}, want.Epoch, want.Fingerprint, want.Region, flag)
	if err != nil {
		return Identity{}, err
	}
	list, _ := reply.([]any)
	if len(list) == 0 {
		return Identity{}, ErrNoInstallation
	}
	if len(list) != 3 {
		return Identity{}, fmt.Errorf("read the installation: unexpected answer %v", reply)
	}
	return Identity{Epoch: fmt.Sprint(list[0]), Fingerprint: fmt.Sprint(list[1]), Region: fmt.Sprint(list[2])}, nil
}
