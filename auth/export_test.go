package auth

import (
	"context"
	"crypto"
	"crypto/ed25519"
	"encoding/base64"
	"encoding/json"
	"strings"

	"github.com/golang-jwt/jwt/v5"
)

// ScriptFiles are the scripts of this package.
var ScriptFiles = scripts

// SetStep has f called between the steps of a change; its error ends the call there.
func (k *KeyStore) SetStep(f func(done string) error) { k.step = f }

// Digest returns what Redis knows a key by, and its id.
func (k *KeyStore) Digest(text string) (hex, id string) {
	d := k.hasher.digest(text)
	return d.String(), d.keyID()
}

// NoteUses is what Run does after each beat.
func (a *Authenticator) NoteUses(ctx context.Context) { a.noteUses(ctx) }

// Sweep is what Run does once a minute.
func (a *Authenticator) Sweep(ctx context.Context) { a.sweep(ctx) }

// NewGrants returns what a key with these scopes and no other limits may do.
func NewGrants(kind Kind, scopes ...string) *Grants {
	return &Grants{Scopes: scopes, allowed: parseScopes(scopes) & ofKind[kind]}
}

// ScopeNames returns all scopes that a kind of key can have, and the names of the roles.
func ScopeNames(kind Kind) (scopes, roleNames []string) {
	for name := range roles {
		roleNames = append(roleNames, name)
	}
	return ofKind[kind].Names(), roleNames
}

// Confirm is one beat of Run.
func (a *Authenticator) Confirm(ctx context.Context) { a.confirm(ctx) }

// SetLimits makes the caches small.
func (a *Authenticator) SetLimits(known, unknown int) { a.known.max, a.unknown.max = known, unknown }

// Sizes returns how many keys are known to exist, and not to exist.
func (a *Authenticator) Sizes() (known, unknown int) { return a.known.len(), a.unknown.len() }

// NewKeyText returns a well-formed key that nobody has.
func NewKeyText(kind Kind) string { return newKey(kind).Reveal() }

// Forge changes the header and the claims of a token and signs it anew: with the key that signs now, or with one that
// sign returns for it.
func (a *Authenticator) Forge(ctx context.Context, token string, change func(header map[string]any, c jwt.MapClaims),
	sign func(now ed25519.PrivateKey) (jwt.SigningMethod, crypto.PrivateKey)) string {
	parts, out := strings.Split(token, "."), &jwt.Token{Claims: jwt.MapClaims{}}
	c := jwt.MapClaims{}
	for i, v := range []any{&out.Header, &c} {
		raw, err := base64.RawURLEncoding.DecodeString(parts[i])
		if err == nil {
			err = json.Unmarshal(raw, v)
		}
		if err != nil {
			panic(err)
		}
	}
	keys, err := a.signingKeys(ctx, signingTrust)
	if err != nil {
		panic(err)
	}
	var key crypto.PrivateKey = keys.current(a.millis(a.now())).private
	out.Method = jwt.SigningMethodEdDSA
	if sign != nil {
		out.Method, key = sign(key.(ed25519.PrivateKey))
		out.Header["alg"] = out.Method.Alg()
	}
	if change != nil {
		change(out.Header, c)
	}
	out.Claims = c
	text, err := out.SignedString(key)
	if err != nil {
		panic(err)
	}
	return text
}

// Tokens returns how many verified tokens are remembered.
func (a *Authenticator) Tokens() int { return a.tokens.len() }

// SetMaxTokens makes that cache small.
func (a *Authenticator) SetMaxTokens(n int) { a.tokens.max = n }

// Bare returns a session without what only this package sees.
func (s Session) Bare() Session {
	s.text, s.entry, s.owner = "", "", digest{}
	return s
}

// Guess counts a wrong password.
func (a *Authenticator) Guess(account, address string) error {
	return a.guesses.take(account, address, a.now())
}

// Guesses returns how many are remembered.
func (a *Authenticator) Guesses() int { return len(a.guesses.made) }
