package webhook

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/topics"
)

// A secret is what an endpoint and its webhook share, as Standard Webhooks writes it: a prefix and base64.
const (
	secretPrefix = "whsec_"
	newSecret    = 32 // bytes of one that is made
	minSecret    = 24
	maxSecret    = 64
	// DefaultOverlap is how long a secret goes on to sign that was replaced, MaxOverlap the longest time.
	DefaultOverlap = 24 * time.Hour
	MaxOverlap     = 7 * 24 * time.Hour
	// maxSecrets bounds those that sign at the same time.
	maxSecrets = 5
)

// The errors of secrets.
var (
	ErrSecretInvalid = errs.Invalidf("/secret", "A secret is %s and base64 of %d to %d bytes.", secretPrefix, minSecret, maxSecret)
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

// parseSecret returns the bytes of a secret.
func parseSecret(text string) ([]byte, error) {
	rest, ok := strings.CutPrefix(text, secretPrefix)
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || len(raw) < minSecret || len(raw) > maxSecret {
		return nil, ErrSecretInvalid
	}
	return raw, nil
}

func formatSecret(raw []byte) string { return secretPrefix + base64.StdEncoding.EncodeToString(raw) }

// Seal returns a secret as it is stored.
func (s *Store) Seal(secret string) (string, error) {
	raw, err := parseSecret(secret)
	if err != nil {
		return "", err
	}
	return s.seal(raw), nil
}

func (s *Store) seal(raw []byte) string {
	return base64.StdEncoding.EncodeToString(s.sealer.Seal(nil, nil, raw, nil))
}

// Unseal returns a secret that Seal or NewSecret returned, as it is given and shown.
func (s *Store) Unseal(sealed string) (string, error) {
	raw, err := s.unseal(sealed)
	return formatSecret(raw), err
}

func (s *Store) unseal(sealed string) ([]byte, error) {
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
func (s *Store) NewSecret() string {
	raw := make([]byte, newSecret)
	_, _ = rand.Read(raw) // never fails
	return s.seal(raw)
}

// storedSecret is a secret as it lies in Redis, the newest one first. Times are in milliseconds.
type storedSecret struct {
	Sealed  string `json:"s"`
	Created int64  `json:"c"`
	Ends    int64  `json:"e,omitempty"` // 0: never
}

// Secret is a secret that signs.
type Secret struct {
	Secret  string
	Created time.Time
	Ends    time.Time // zero: it was not replaced
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
		raw, err := s.unseal(one.Sealed)
		if err != nil {
			return nil, err
		}
		secret := Secret{Secret: formatSecret(raw), Created: time.UnixMilli(one.Created).UTC()}
		if one.Ends != 0 {
			secret.Ends = time.UnixMilli(one.Ends).UTC()
		}
		out = append(out, secret)
	}
	return out, nil
}

// maxTries bounds how often a change is begun again because another one came first.
const maxTries = 10

// Rotate gives a webhook a new secret, one that is made where none is given. The one before goes on to sign for a while, so
// that whoever verifies has the time to learn of the new one; with an overlap of 0 it ends at once, and all others do.
func (s *Store) Rotate(ctx context.Context, w topics.Way, secret string, overlap time.Duration) ([]Secret, error) {
	sealed, err := s.sealOrMake(secret)
	if err != nil {
		return nil, err
	}
	for range maxTries {
		was, list, now, err := s.secrets(ctx, w)
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

// sealOrMake returns a secret as it is stored, one that is made where none is given.
func (s *Store) sealOrMake(secret string) (string, error) {
	if secret == "" {
		return s.NewSecret(), nil
	}
	return s.Seal(secret)
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
func (s *Store) RotateSigning(of topics.Signing, secret string, overlap time.Duration) (string, error) {
	sealed, err := s.sealOrMake(secret)
	if err != nil {
		return "", err
	}
	list, err := signing(of)
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
