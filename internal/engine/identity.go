package engine

import (
	"context"
	"errors"
)

// Identity is what makes a data set this installation's own. It lies in Redis beside the data.
type Identity struct {
	Epoch       string // random, made when the data set was founded
	Fingerprint string // of the root secret, so that a server with another one never starts
	Region      string
	// Root is the root secret, sealed with the master key. "" for an installation that was founded before there was one:
	// there the master key is the root.
	Root string
	// Next is the root secret, sealed with the master key that a rotation brings; "" while there is none.
	Next string
}

var (
	// ErrNoInstallation says that Redis holds no installation, although one was expected: it came back empty, or is
	// another one.
	ErrNoInstallation = errors.New("redis holds no data of this installation")
	// ErrResealed says that the sealed root secret was changed by somebody else meanwhile. Nothing was changed.
	ErrResealed = errors.New("the sealed root secret was changed meanwhile")
)

// Claim returns the identity stored in Redis. Where there is none it stores want, without Next, if found says so, and
// otherwise answers ErrNoInstallation.
func (e *Engine) Claim(ctx context.Context, want Identity, found bool) (Identity, error) {
	flag := 0
	if found {
		flag = 1
	}
	reply, err := e.Do(ctx, epochScript, []string{SystemKey("installation")}, want.Epoch, want.Fingerprint, want.Region, flag, want.Root)
	if err != nil {
		return Identity{}, err
	}
	list, _ := reply.([]any)
	if len(list) == 0 {
		return Identity{}, ErrNoInstallation
	}
	if len(list) != 5 {
		return Identity{}, errors.New("read the installation: unexpected answer")
	}
	var text [5]string // a field that is not there is nil
	for i, v := range list {
		text[i], _ = v.(string)
	}
	if text[0] == "" {
		return Identity{}, ErrBroken.Because(errors.New("the record of the installation has no epoch"))
	}
	return Identity{Epoch: text[0], Fingerprint: text[1], Region: text[2], Root: text[3], Next: text[4]}, nil
}

// Reseal puts other copies of the sealed root secret in the place of those in seen: root for the master key, next for that
// of a rotation, "" for none. ErrResealed says that the installation is no longer as it was seen.
func (e *Engine) Reseal(ctx context.Context, seen Identity, root, next string) error {
	reply, err := e.Do(ctx, resealScript, []string{SystemKey("installation")}, seen.Epoch, seen.Root, seen.Next, root, next)
	if err != nil {
		return err
	}
	if reply != int64(1) {
		return ErrResealed
	}
	return nil
}
