package server

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"path/filepath"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
)

// newInstallation returns the identity of an installation that this server would found: with a root secret of its own,
// which the master key seals.
func (s *Server) newInstallation() (engine.Identity, error) {
	root, err := keyring.New(nil)
	if err != nil {
		return engine.Identity{}, err
	}
	return engine.Identity{Epoch: rand.Text(), Fingerprint: root.Fingerprint(), Region: s.config.Region, Root: s.master.Seal(root)}, nil
}

// openRoot returns what all secrets of an installation are derived from. A master key that does not open it is
// keyring.ErrOtherKey, and what it should open and does not is keyring.ErrSealDamaged.
func openRoot(master *keyring.Master, have engine.Identity) (*keyring.Keyring, error) {
	root, err := master.Unseal(have.Root, have.Next)
	if have.Root == "" && master.Fingerprint() == have.Fingerprint { // founded before there was a root
		root, err = master.Keyring(), nil
	}
	switch {
	case errors.Is(err, keyring.ErrOtherKey):
		return nil, fmt.Errorf("%w: that has the fingerprint %s, and the one given here %s", err, owner(have), master.Fingerprint())
	case err != nil:
		return nil, err
	case root.Fingerprint() != have.Fingerprint:
		return nil, fmt.Errorf("%w: it is that of another installation", keyring.ErrSealDamaged)
	}
	return root, nil
}

// owner returns the fingerprint of the master key of an installation, during a rotation that of the old one.
func owner(have engine.Identity) string {
	if have.Root == "" {
		return have.Fingerprint
	}
	return keyring.SealedBy(have.Root)
}

// checkKey warns as long as this server could not start again once a rotation of the master key is finished, or could not
// now. Until then it goes on: it has the root secret.
func (s *Server) checkKey(ctx context.Context, p *parts) {
	have, err := p.engine.Claim(ctx, engine.Identity{}, false)
	if err != nil || have.Epoch != p.epoch {
		return // look says so
	}
	why, want := "", owner(have)
	if have.Next != "" {
		want = keyring.SealedBy(have.Next)
	}
	switch mine := s.nextKey(want); {
	case mine == want:
	case mine == owner(have):
		why = fmt.Sprintf("The master key is being rotated, and this server still has the old one, %s: give it the new one, %s.", mine, want)
	default:
		why = fmt.Sprintf("The master key of this server, %s, opens nothing any more: it will not start again without the one that does, %s.", mine, want)
	}
	if s.health.setKey(why) && why != "" {
		s.logger.Warn(why) //nolint:sloglint // one of few sentences
	}
}

// nextKey returns the fingerprint of the master key with which this server would start again. The file may have
// another one by now, so it is read unless what this server has is wanted.
func (s *Server) nextKey(want string) string {
	if mine := s.master.Fingerprint(); mine == want || len(s.config.MasterKey) > 0 {
		return mine
	}
	m, err := keyring.Load(filepath.Join(s.config.DataDir, keyring.FileName))
	if err != nil {
		return s.master.Fingerprint()
	}
	return m.Fingerprint()
}
