package webhook

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/topics"
)

// The limits of secrets.
const (
	// Bytes of a secret: of one that is made, and of those that are given.
	newSecret = 32
	minSecret = 24
	maxSecret = 64
	// DefaultOverlap is how long a secret goes on to sign that was replaced, MaxOverlap the longest time.
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 7 * 24 * time.Hour
	// maxSecrets bounds those that sign at the same time.
	maxSecrets = 5
)

// The errors of secrets.
var (
	ErrSecretInvalid = errs.Invalidf("/secret", "A secret is %s and base64 of %d to %d bytes, or %s and base64 of an ed25519 private key.", secretPrefix, minSecret, maxSecret, privatePrefix)
	ErrTooManyKeys   = &errs.Error{Kind: errs.Conflict, Code: "too_many_secrets",
		Message: fmt.Sprintf("The webhook signs with %d secrets already.", maxSecrets),
		Fix:     "Wait until the oldest one has ended, or rotate with a grace_period of 0, which ends all others."}
)

// newSealer seals what Redis keeps and only servers may read.
func newSealer(ring *keyring.Keyring) cipher.AEAD {
	block, err := aes.NewCipher(ring.Derive("webhook-secrets"))
	if err != nil {
		panic("seal secrets: " + err.Error()) // only for lengths that keyring.KeySize is not
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal secrets: " + err.Error())
	}
	return aead
}

// seal returns what signs as it is stored.
func (s *Store) seal(k key) string {
	return base64.StdEncoding.EncodeToString(s.sealer.Seal(nil, nil, k, nil))
}

// Unseal returns a secret that Seal or NewSecret returned.
func (s *Store) Unseal(sealed string) (Secret, error) {
	k, err := s.unseal(sealed)
	return k.shown(), err
}

func (s *Store) unseal(sealed string) (key, error) {
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err == nil {
		raw, err = s.sealer.Open(nil, nil, raw, nil)
	}
	if err != nil {
		return nil, engine.ErrBroken.Because(fmt.Errorf("the secret of a webhook cannot be read: %w", err))
	}
	return raw, nil
}

// NewSecret returns a secret for a new subscription, sealed.
func (s *Store) NewSecret() string { return s.seal(newKey(HMAC)) }

// storedSecret is a secret as it lies in Redis, the newest one first. Times are in milliseconds.
type storedSecret struct {
	Sealed  string `json:"s"`
	Created int64  `json:"c"`
	Ends    int64  `json:"e,omitempty"` // 0: never
}

// Secret is a secret that signs, in the way of Type.
type Secret struct {
	Secret    string
	Type      string // HMAC or Ed25519
	PublicKey string // of a pair: what verifies; "": the secret does
	Created   time.Time
	Ends      time.Time // zero: it was not replaced
}

// shown returns a key as it is shown.
func (k key) shown() Secret {
	out := Secret{Secret: k.String()}
	out.Type, out.PublicKey = k.scheme()
	return out
}

func encodeSecrets(list []storedSecret) string {
	text, _ := json.Marshal(list) // never fails
	return string(text)
}

// secrets reads a webhook's secrets as they are stored.
func (s *Store) secrets(ctx context.Context, w topics.Way) (raw string, list []storedSecret, now int64, err error) {
	reply, err := s.call(ctx, secretsScript, identity{w.Tenant, w.UID}, "", "")
	if err != nil {
		return "", nil, 0, err
	}
	if err := json.Unmarshal([]byte(engine.Text(reply, 1)), &list); err != nil {
		return "", nil, 0, engine.ErrBroken.Because(err)
	}
	return engine.Text(reply, 1), list, engine.Number(reply, 2), nil
}

// Secrets returns the secrets that sign now, the newest one first.
func (s *Store) Secrets(ctx context.Context, t topics.Way) ([]Secret, error) {
	_, list, now, err := s.secrets(ctx, t)
	if err != nil {
		return nil, err
	}
	return s.open(list, now)
}

func (s *Store) open(list []storedSecret, now int64) ([]Secret, error) {
	var out []Secret
	for _, one := range list {
		if one.Ends != 0 && one.Ends <= now {
			continue
		}
		k, err := s.unseal(one.Sealed)
		if err != nil {
			return nil, err
		}
		secret := k.shown()
		secret.Created = time.UnixMilli(one.Created).UTC()
		if one.Ends != 0 {
			secret.Ends = time.UnixMilli(one.Ends).UTC()
		}
		out = append(out, secret)
	}
	return out, nil
}

// maxTries bounds how often a change is begun again because another one came first.
const maxTries = 10

// Rotate gives a webhook a new secret, one that is made, of the type of the one before, where nothing is given. The one before goes on
// to sign for a while, so that whoever verifies has the time to learn of the new one; with an overlap of 0 it ends at once, and all
// others do.
func (s *Store) Rotate(ctx context.Context, w topics.Way, given Given, overlap time.Duration) ([]Secret, error) {
	for range maxTries {
		was, list, now, err := s.secrets(ctx, w)
		if err != nil {
			return nil, err
		}
		sealed, err := s.sealNext(given, list)
		if err != nil {
			return nil, err
		}
		next, err := rotated(list, sealed, now, overlap)
		if err != nil {
			return nil, err
		}
		reply, err := s.call(ctx, secretsScript, identity{w.Tenant, w.UID}, was, encodeSecrets(next))
		if err != nil {
			return nil, err
		}
		if engine.Text(reply, 0) == "ok" {
			return s.open(next, now)
		}
	}
	return nil, engine.ErrUnavailable
}

// sealNext is Seal for what comes before others: where nothing is said of it, it is of the type of the newest of them.
func (s *Store) sealNext(given Given, list []storedSecret) (string, error) {
	if given == (Given{}) {
		given.Type = HMAC
		for _, newest := range list[:min(len(list), 1)] {
			if k, err := s.unseal(newest.Sealed); err == nil {
				given.Type, _ = k.scheme()
			}
		}
	}
	return s.Seal(given)
}

// rotated returns what signs when a secret comes before others, of which each ends after the overlap, in milliseconds.
func rotated(list []storedSecret, sealed string, now int64, overlap time.Duration) ([]storedSecret, error) {
	next := []storedSecret{{Sealed: sealed, Created: now}}
	for _, one := range list {
		if one.Ends == 0 || one.Ends > now+overlap.Milliseconds() {
			one.Ends = now + overlap.Milliseconds()
		}
		if one.Ends > now {
			next = append(next, one)
		}
	}
	if len(next) > maxSecrets {
		return nil, ErrTooManyKeys
	}
	return next, nil
}

// signing reads what the webhooks of a topic subscription sign with.
func signing(of topics.Signing) (list []storedSecret, err error) {
	if of.Secrets == "" {
		return []storedSecret{{Sealed: of.First, Created: millis(of.Made)}}, nil
	}
	if err := json.Unmarshal([]byte(of.Secrets), &list); err != nil {
		return nil, engine.ErrBroken.Because(err)
	}
	return list, nil
}

// Signs returns the secrets with which the webhooks of a topic subscription sign now, the newest one first.
func (s *Store) Signs(of topics.Signing) ([]Secret, error) {
	list, err := signing(of)
	if err != nil {
		return nil, err
	}
	return s.open(list, s.clock.Now().UnixMilli())
}

// RotateSigning is Rotate for what the webhooks of a topic subscription sign with, and returns it as it is stored.
func (s *Store) RotateSigning(of topics.Signing, given Given, overlap time.Duration) (string, error) {
	list, err := signing(of)
	if err != nil {
		return "", err
	}
	sealed, err := s.sealNext(given, list)
	if err != nil {
		return "", err
	}
	next, err := rotated(list, sealed, s.clock.Now().UnixMilli(), overlap)
	return encodeSecrets(next), err
}

// call runs a script of a webhook. It is errAbsent where there is no such webhook.
func (s *Store) call(ctx context.Context, script *engine.Script, id identity, args ...any) ([]any, error) {
	reply, err := s.engine.Do(ctx, script, id.keys(), args...)
	if err != nil {
		return nil, err
	}
	list, ok := reply.([]any)
	switch {
	case !ok || len(list) == 0:
		return nil, engine.ErrBroken.Because(fmt.Errorf("unexpected answer of %T", reply))
	case list[0] == "absent":
		return nil, errAbsent
	case list[0] == "stale":
		return nil, topics.ErrNotConfigured
	}
	return list, nil
}

// errAbsent says that a webhook's keys are not there: it was not configured yet, or has ended.
var errAbsent = fmt.Errorf("%w: it is not there", topics.ErrNotConfigured)

// gone turns errAbsent into what a user may see.
func gone(err error) error {
	if errors.Is(err, topics.ErrNotConfigured) {
		return topics.ErrSubscriptionNotFound
	}
	return err
}
