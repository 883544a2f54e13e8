package webhook

import (
	"bytes"
	"crypto/ed25519"
	"crypto/rand"
	"encoding/base64"
	"strings"

	"github.com/sluicemq/sluice/internal/errs"
)

// The ways in which requests are signed, both of Standard Webhooks: with a secret that the endpoint knows too, or with a private key,
// of which it knows no more than the public one.
const (
	HMAC    = "hmac"
	Ed25519 = "ed25519"
)

// How Standard Webhooks writes what signs: a prefix and base64.
const (
	secretPrefix  = "whsec_"
	privatePrefix = "whsk_"
	publicPrefix  = "whpk_"
)

// privateMark begins the key of a pair where others are the bytes of a secret. So it is longer than any of those.
const privateMark = "ed25519:"

// key is what signs, as it is sealed.
type key []byte

// newKey makes one.
func newKey(scheme string) key {
	raw := make([]byte, newSecret)
	_, _ = rand.Read(raw) // never fails
	if scheme == Ed25519 {
		return privateKey(ed25519.NewKeyFromSeed(raw))
	}
	return raw
}

func privateKey(k ed25519.PrivateKey) key { return append(key(privateMark), k...) }

// private returns the private key of a pair, and false for a secret.
func (k key) private() (ed25519.PrivateKey, bool) {
	if len(k) != len(privateMark)+ed25519.PrivateKeySize {
		return nil, false
	}
	rest, ok := bytes.CutPrefix(k, []byte(privateMark))
	return ed25519.PrivateKey(rest), ok
}

// parseKey reads what String returns, and of the private key of a pair also the seed alone.
func parseKey(text string) (key, error) {
	if rest, ok := strings.CutPrefix(text, privatePrefix); ok {
		raw, err := base64.StdEncoding.Strict().DecodeString(rest)
		if err != nil || len(raw) != ed25519.SeedSize && len(raw) != ed25519.PrivateKeySize {
			return nil, ErrSecretInvalid
		}
		k := ed25519.NewKeyFromSeed(raw[:ed25519.SeedSize])
		if !bytes.HasPrefix(k, raw) { // the second half is the public key
			return nil, ErrSecretInvalid
		}
		return privateKey(k), nil
	}
	rest, ok := strings.CutPrefix(text, secretPrefix)
	raw, err := base64.StdEncoding.Strict().DecodeString(rest)
	if !ok || err != nil || len(raw) < minSecret || len(raw) > maxSecret {
		return nil, ErrSecretInvalid
	}
	return raw, nil
}

// String returns it as users give it and see it.
func (k key) String() string {
	if private, ok := k.private(); ok {
		return privatePrefix + base64.StdEncoding.EncodeToString(private)
	}
	return secretPrefix + base64.StdEncoding.EncodeToString(k)
}

// scheme returns how it signs, and what verifies that where it is a pair.
func (k key) scheme() (scheme, public string) {
	if private, ok := k.private(); ok {
		return Ed25519, publicPrefix + base64.StdEncoding.EncodeToString(private[ed25519.SeedSize:])
	}
	return HMAC, ""
}

// Given is what a user says of a new secret. Where none is given, one of the type is made.
type Given struct{ Secret, Type string }

// Seal returns a new secret as it is stored, and "" where nothing is said of it.
func (s *Store) Seal(g Given) (string, error) {
	if g.Secret == "" {
		if g.Type == "" {
			return "", nil
		}
		return s.seal(newKey(g.Type)), nil
	}
	k, err := parseKey(g.Secret)
	if err != nil {
		return "", err
	}
	if is, _ := k.scheme(); g.Type != "" && g.Type != is {
		return "", errs.Invalidf("/secret_type", "The secret that is given is of the type %s.", is)
	}
	return s.seal(k), nil
}
