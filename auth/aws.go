package auth

import (
	"context"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/tenants"
)

// A key may come with an AWS pair: an access key id, which is no secret, and a secret with which requests are signed. The
// server has to compute such signatures too, so the secret is kept, sealed with a key of the installation. The pair has a
// record of its own beside that of its key, with the same grants, found by the digest of the access key id: it is
// remembered, confirmed and ended as all keys are.
const (
	accessKeyPrefix = "SLAK"
	accessKeyLength = 20
	awsSecretLength = 40

	awsPurpose = "aws-secrets"
)

// pair is a new AWS pair.
type pair struct {
	id     string
	secret Secret
}

// newPair makes a pair: 80 random bits for the id, 238 for the secret.
func newPair() *pair {
	return &pair{id: accessKeyPrefix + rand.Text()[:accessKeyLength-len(accessKeyPrefix)], secret: Secret(randomText("", awsSecretLength))}
}

// isAccessKeyID reports whether text may be the id of a pair.
func isAccessKeyID(text string) bool {
	rest, ok := strings.CutPrefix(text, accessKeyPrefix)
	return ok && len(text) == accessKeyLength && strings.Trim(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567") == ""
}

// newSealer seals what Redis keeps and only servers may read.
func newSealer(ring *keyring.Keyring, purpose string) cipher.AEAD {
	block, err := aes.NewCipher(ring.Derive(purpose))
	if err != nil {
		panic("seal secrets: " + err.Error()) // only for lengths that keyring.KeySize is not
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal secrets: " + err.Error())
	}
	return aead
}

// of returns the record of a pair: what its key may, under another digest. The seal binds the secret to both ids, so that
// a record which is put in the place of another opens nothing.
func (p *pair) of(k *KeyStore, d digest, key record) record {
	r := key
	r.Alias, r.Of = "", d.String()
	sealed := k.sealer.Seal(nil, nil, []byte(p.secret), []byte(p.id+" "+key.ID))
	r.Sealed = base64.StdEncoding.EncodeToString(sealed)
	return r
}

// unseal returns the secret in the record of a pair, and "" for a record of a key.
func (k *KeyStore) unseal(r record) (Secret, error) {
	if r.Sealed == "" {
		return "", nil
	}
	sealed, err := base64.StdEncoding.DecodeString(r.Sealed)
	if err == nil {
		var secret []byte
		if secret, err = k.sealer.Open(nil, nil, sealed, []byte(r.AWSID+" "+r.ID)); err == nil {
			return Secret(secret), nil
		}
	}
	return "", engine.ErrBroken.Because(fmt.Errorf("AWS secret of %s does not open: %w", r.ID, err))
}

// with returns the digest and the record of a pair as scripts take them, and nothing for no pair.
func (k *KeyStore) with(p *pair, d digest, key record) ([]any, error) {
	if p == nil {
		return nil, nil
	}
	text, err := json.Marshal(p.of(k, d, key))
	return []any{k.hasher.digest(p.id).String(), string(text)}, err
}

// Signer is an AWS pair whose access key id somebody has named. That he has its secret is still to be seen.
type Signer struct {
	Secret Secret // with which requests are signed

	a *Authenticator
	e *entry
}

// AccessKey returns the pair with an access key id. ErrUnauthenticated is the answer to ids that nobody has, or has no
// more. Otherwise it is as Authenticate, and costs what that costs.
func (a *Authenticator) AccessKey(ctx context.Context, id string) (Signer, error) {
	if !isAccessKeyID(id) {
		return Signer{}, ErrUnauthenticated
	}
	e, err := a.entryOf(ctx, a.keys.hasher.digest(id))
	if err != nil {
		return Signer{}, err
	}
	if e.secret == "" {
		return Signer{}, ErrUnauthenticated
	}
	return Signer{Secret: e.secret, a: a, e: e}, nil
}

// Tenant is the tenant of the pair.
func (s Signer) Tenant() tenants.ID { return s.e.principal.Tenant }

// Admit returns who signed a request from an IP address. Call it once the signature holds: only then he may learn that the
// key has expired or may not be used from there, and only then it is a use.
func (s Signer) Admit(address string) (Principal, error) { return s.a.answer(s.e, s.a.now(), address) }
