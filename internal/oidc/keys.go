package oidc

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"slices"
)

const (
	// maxKeys bounds the keys of a provider. Those that have most rotate a handful.
	maxKeys = 100
	// minRSA and maxRSA bound an RSA key, in bits: below it can be broken, above verifying takes too long.
	minRSA = 2048
	maxRSA = 8192
)

// algorithms are all that a key may sign with. None of them has a secret, so what a provider publishes makes no tokens.
var algorithms = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "EdDSA"}

// key is a public key with the one algorithm that it is used with, whatever a token says.
type key struct {
	public    crypto.PublicKey
	algorithm string
}

func (k *key) signs(algorithm string) bool { return k.algorithm == algorithm }

// keySet are the keys of a provider. It never changes.
type keySet struct {
	byID   map[string]*key
	digest [sha256.Size]byte // of the document
}

// jwk is a key of a JWK Set.
type jwk struct {
	Type      string `json:"kty"`
	ID        string `json:"kid"`
	Use       string `json:"use"`
	Algorithm string `json:"alg"`
	Curve     string `json:"crv"`
	N         string `json:"n"`
	E         string `json:"e"`
	X         string `json:"x"`
	Y         string `json:"y"`
}

// parseKeys reads a JWK Set. Keys that are for other things, or of kinds that are not known, are passed over: a provider may
// have them for others.
func parseKeys(raw []byte) (*keySet, error) {
	var set struct {
		Keys []jwk `json:"keys"`
	}
	if err := json.Unmarshal(raw, &set); err != nil {
		return nil, fmt.Errorf("the keys are no JWK Set: %w", err)
	}
	if len(set.Keys) > maxKeys {
		return nil, fmt.Errorf("there are %d keys, and %d are allowed", len(set.Keys), maxKeys)
	}
	out := &keySet{byID: map[string]*key{}, digest: sha256.Sum256(raw)}
	for _, j := range set.Keys {
		if j.ID == "" || j.Use != "" && j.Use != "sig" || out.byID[j.ID] != nil {
			continue
		}
		if k, err := j.key(); err == nil {
			out.byID[j.ID] = k
		}
	}
	if len(out.byID) == 0 {
		return nil, errors.New("there is no key that could sign a token")
	}
	return out, nil
}

// key returns the key itself, with the algorithm that it names or else the usual one of its kind.
func (j *jwk) key() (*key, error) {
	k := &key{algorithm: j.Algorithm}
	var usual []string // the algorithms of its kind
	var err error
	switch {
	case j.Type == "RSA":
		usual = []string{"RS256", "RS384", "RS512", "PS256", "PS384", "PS512"}
		k.public, err = j.rsa()
	case j.Type == "EC" && j.Curve == "P-256":
		usual = []string{"ES256"}
		k.public, err = j.ec(elliptic.P256())
	case j.Type == "EC" && j.Curve == "P-384":
		usual = []string{"ES384"}
		k.public, err = j.ec(elliptic.P384())
	case j.Type == "OKP" && j.Curve == "Ed25519":
		usual = []string{"EdDSA"}
		k.public, err = j.ed25519()
	default:
		return nil, fmt.Errorf("keys of %q %q are not known", j.Type, j.Curve)
	}
	if err != nil {
		return nil, err
	}
	if k.algorithm == "" {
		k.algorithm = usual[0]
	}
	if !slices.Contains(usual, k.algorithm) {
		return nil, fmt.Errorf("algorithm %q does not belong to the key", k.algorithm)
	}
	return k, nil
}

func (j *jwk) rsa() (*rsa.PublicKey, error) {
	n, err := strict.DecodeString(j.N)
	if err != nil {
		return nil, err
	}
	e, err := strict.DecodeString(j.E)
	if err != nil {
		return nil, err
	}
	modulus, exponent := new(big.Int).SetBytes(n), new(big.Int).SetBytes(e)
	if bits := modulus.BitLen(); bits < minRSA || bits > maxRSA {
		return nil, fmt.Errorf("it has %d bits", bits)
	}
	if exponent.BitLen() < 2 || exponent.BitLen() > 31 || exponent.Bit(0) == 0 {
		return nil, errors.New("its exponent is not one that is used")
	}
	return &rsa.PublicKey{N: modulus, E: int(exponent.Int64())}, nil
}

func (j *jwk) ec(curve elliptic.Curve) (*ecdsa.PublicKey, error) {
	x, err := strict.DecodeString(j.X)
	if err != nil {
		return nil, err
	}
	y, err := strict.DecodeString(j.Y)
	if err != nil {
		return nil, err
	}
	if size := (curve.Params().BitSize + 7) / 8; len(x) != size || len(y) != size {
		return nil, fmt.Errorf("its coordinates have %d and %d bytes, and not %d", len(x), len(y), size)
	}
	return ecdsa.ParseUncompressedPublicKey(curve, slices.Concat([]byte{4}, x, y)) // which holds it to the curve
}

func (j *jwk) ed25519() (ed25519.PublicKey, error) {
	x, err := strict.DecodeString(j.X)
	if err != nil || len(x) != ed25519.PublicKeySize {
		return nil, fmt.Errorf("it has %d bytes: %w", len(x), err)
	}
	return ed25519.PublicKey(x), nil
}
