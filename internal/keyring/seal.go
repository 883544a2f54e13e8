package keyring

import (
	"crypto/aes"
	"crypto/cipher"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
)

// sealPurpose is the purpose of the key with which a master key seals.
const sealPurpose = "root-secret"

// The errors of Unseal.
var (
	// ErrOtherKey says that other master keys have sealed the root secret.
	ErrOtherKey = errors.New("the data in Redis belongs to another master key")
	// ErrSealDamaged says that a root secret was sealed with this master key, and the seal is broken. A new root would
	// make every API key and every stored secret worthless, so nothing is put in its place.
	ErrSealDamaged = errors.New("the sealed root secret is damaged")
)

// Seal returns the secret of root, sealed so that only m opens it: the fingerprint of m, a dot and base64. Each call
// returns another text.
func (m *Master) Seal(root *Keyring) string {
	by := m.Fingerprint()
	sealed := m.sealer().Seal(nil, nil, root.in().root, []byte(by))
	return by + "." + base64.RawStdEncoding.EncodeToString(sealed)
}

// Unseal returns the keyring of the root secret in that of the copies which m has sealed.
func (m *Master) Unseal(copies ...string) (*Keyring, error) {
	for _, c := range copies {
		by, text, _ := strings.Cut(c, ".")
		if by != m.Fingerprint() {
			continue
		}
		sealed, err := base64.RawStdEncoding.DecodeString(text)
		if err != nil {
			return nil, fmt.Errorf("%w: it is no base64", ErrSealDamaged)
		}
		root, err := m.sealer().Open(nil, nil, sealed, []byte(by))
		if err != nil || len(root) < MinSecret {
			return nil, ErrSealDamaged
		}
		return newKeyring(root), nil
	}
	return nil, ErrOtherKey
}

// SealedBy returns the fingerprint of the master key that opens a copy.
func SealedBy(sealed string) string {
	by, _, _ := strings.Cut(sealed, ".")
	return by
}

func (m *Master) sealer() cipher.AEAD {
	block, err := aes.NewCipher(m.own.Derive(sealPurpose))
	if err != nil {
		panic("seal the root secret: " + err.Error()) // only for lengths that KeySize is not
	}
	sealer, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		panic("seal the root secret: " + err.Error())
	}
	return sealer
}
