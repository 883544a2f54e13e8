package auth

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/tenants"
)

// Rotation is how a key is replaced by a new one.
type Rotation struct {
	// Grace is how long the old key goes on, at most 30 days. 0: not at all.
	Grace time.Duration
	// ExpiresAt is when the new key stops working. Default: when the old one would have.
	ExpiresAt time.Time
	// By is who asks for it; nil: the installation itself. Who may less than the key may not have its successor: that is
	// ErrPermissionDenied.
	By *Principal
}

// Rotated is what a rotation made.
type Rotated struct {
	Created
	Old Key // with its end
}

// Rotate makes a key that may what another key of a tenant may, and gives that one an end. A key is rotated once: then it
// is ErrKeyRotated.
func (k *KeyStore) Rotate(ctx context.Context, t tenants.ID, keyID string, how Rotation) (Rotated, error) {
	return k.rotate(ctx, indexKey(t), keyID, how, func(text Secret, r record, put replacing) error {
		_, err := k.addTenantKey(ctx, t, text, r, func(ctx context.Context, t tenants.ID, d digest, r record) (record, error) {
			return r, put(ctx, rotateScript, []string{recordsKey, tenantIDsKey}, d, r, t.String(), newMark())
		})
		return err
	})
}

// RotateOperatorKey does for an operator's key what Rotate does for a tenant's.
func (k *KeyStore) RotateOperatorKey(ctx context.Context, keyID string, how Rotation) (Rotated, error) {
	return k.rotate(ctx, operatorsKey, keyID, how, func(text Secret, r record, put replacing) error {
		d := k.hasher.digest(string(text))
		return put(ctx, rotateOperatorScript, []string{recordsKey, operatorsKey}, d, r, r.ID, newMark(), MaxKeys)
	})
}

// replacing stores the record of a new key and the end of the old one.
type replacing func(ctx context.Context, script *engine.Script, keys []string, d digest, r record, more ...any) error

// rotate has add store the key that replaces another one.
func (k *KeyStore) rotate(ctx context.Context, index, keyID string, how Rotation, add func(Secret, record, replacing) error) (Rotated, error) {
	if how.Grace < 0 || how.Grace > MaxGrace {
		return Rotated{}, errs.Invalidf("/grace_period", "must be 0 to %d seconds", int(MaxGrace.Seconds()))
	}
	n, err := k.find(ctx, index, keyID)
	if err != nil {
		return Rotated{}, err
	}
	found, err := k.lookup(ctx, []digest{n.digest})
	if err != nil {
		return Rotated{}, err
	}
	was := found.records[0]
	if was == "" {
		return Rotated{}, ErrKeyNotFound
	}
	old, err := parseRecord(was)
	switch {
	case err != nil:
		return Rotated{}, err
	case old.RevokedAt != 0:
		return Rotated{}, ErrKeyNotFound
	case old.ReplacedBy != "":
		return Rotated{}, ErrKeyRotated
	}
	next, err := k.successor(old, how)
	if err != nil {
		return Rotated{}, err
	}
	text := newKey(old.Kind)
	made := Created{Secret: text}
	p := k.addPair(&next, old.Alias != "", &made)
	next.ID = k.hasher.digest(string(text)).keyID()
	old.ReplacedBy = next.ID
	if end := found.now + how.Grace.Milliseconds(); old.ExpiresAt == 0 || end < old.ExpiresAt {
		old.ExpiresAt = end
	}
	is, err := json.Marshal(old)
	if err != nil {
		return Rotated{}, err
	}
	oldPair, err := k.endOfPair(ctx, old)
	if err != nil {
		return Rotated{}, err
	}
	err = add(text, next, func(ctx context.Context, script *engine.Script, keys []string, d digest, r record, more ...any) error {
		record, err := json.Marshal(r)
		if err != nil {
			return err
		}
		newPair, err := k.with(p, d, r)
		if err != nil {
			return err
		}
		args := slices.Concat([]any{d.String(), string(record), n.digest.String(), was, string(is)}, more, newPair, oldPair)
		got, err := k.run(ctx, script, keys, args...)
		switch {
		case err != nil:
			return err
		case got[0] == "changed":
			return ErrKeyRotated
		case got[0] == "gone":
			return tenants.ErrNotFound
		case got[0] == "full":
			return ErrTooManyKeys
		}
		return nil
	})
	// Whatever became of it, this server is to look at the old key again.
	k.tell([]digest{n.digest})
	if errors.Is(err, ErrKeyRotated) {
		return Rotated{}, k.changed(ctx, n)
	}
	if err != nil {
		return Rotated{}, err
	}
	made.Key = next.key()
	return Rotated{Created: made, Old: old.key()}, nil
}

// endOfPair returns the digest and the record of the AWS pair of a key, with the end of the key, as scripts take them; and
// nothing for a key without one.
func (k *KeyStore) endOfPair(ctx context.Context, key record) ([]any, error) {
	d, ok := parseDigest(key.Alias)
	if !ok {
		return nil, nil
	}
	found, err := k.lookup(ctx, []digest{d})
	if err != nil || found.records[0] == "" {
		return nil, err
	}
	r, err := parseRecord(found.records[0])
	if err != nil {
		return nil, err
	}
	r.ExpiresAt = key.ExpiresAt
	text, err := json.Marshal(r)
	return []any{d.String(), string(text)}, err
}

// successor returns the record of the key that replaces another one.
func (k *KeyStore) successor(old record, how Rotation) (record, error) {
	n := NewKey{Name: old.Name, Scopes: slices.Clone(old.Scopes), Queues: slices.Clone(old.Queues), AllowedIPs: slices.Clone(old.AllowedIPs),
		ExpiresAt: how.ExpiresAt, By: how.By}
	if n.ExpiresAt.IsZero() {
		n.ExpiresAt = instant(old.ExpiresAt)
	}
	// What is missing here means all, and not what is usual.
	if by := how.By; by != nil && by.Kind == old.Kind {
		if by.Grants.Limited() && len(n.Queues) == 0 {
			return record{}, tooMuch("/queues", "names all queues, and the key of this request does not reach all")
		}
		if len(by.Grants.Addresses) > 0 && len(n.AllowedIPs) == 0 {
			return record{}, tooMuch("/allowed_ips", "names all addresses, and the key of this request may not be used from all")
		}
	}
	return k.describe(old.Kind, n)
}

// changed says why the record of a key was not what it had just been.
func (k *KeyStore) changed(ctx context.Context, n note) error {
	keys, err := k.describeAll(ctx, []note{n})
	if err == nil && len(keys) == 0 {
		err = ErrKeyNotFound
	}
	if err == nil {
		err = ErrKeyRotated
	}
	return err
}
