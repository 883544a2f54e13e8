// Package keyring holds the installation's secrets.
//
// Every secret of a server is derived from the root secret, which is made when the installation is founded and stays as
// long as that. All servers have the same one: Redis keeps it beside the data, sealed with the master key, which only
// servers have. So another master key only has to seal the root anew, and everything that was derived, signed or
// encrypted before goes on. A server whose master key opens no copy refuses to start, instead of refusing every key and
// receipt.
package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"sync"
)

const (
	// KeySize is the length in bytes of what Derive returns.
	KeySize = 32

	// maxKept bounds the derived keys that are kept. Purposes are constants of the program, so it is never reached.
	maxKept = 64
)

// hidden stands in the place of the secret wherever a Keyring is printed.
const hidden = "***"

// Keyring derives keys from a secret. It may be used from any goroutine, and prints as ***.
type Keyring struct {
	// in is a function, because fmt follows pointers for a verb that does not fit, and does so past every method when
	// the Keyring stands in an unexported field.
	in func() *secrets
}

type secrets struct {
	root []byte

	mu   sync.Mutex
	kept map[string][]byte
}

// New returns the keyring of a new root secret: 32 bytes of random (nil: crypto/rand).
func New(random io.Reader) (*Keyring, error) {
	root, err := newSecret(random)
	if err != nil {
		return nil, err
	}
	return newKeyring(root), nil
}

func newSecret(random io.Reader) ([]byte, error) {
	if random == nil {
		random = rand.Reader
	}
	secret := make([]byte, MinSecret)
	if _, err := io.ReadFull(random, secret); err != nil {
		return nil, fmt.Errorf("read random bytes: %w", err)
	}
	return secret, nil
}

func newKeyring(root []byte) *Keyring {
	s := &secrets{root: root, kept: map[string][]byte{}}
	return &Keyring{in: func() *secrets { return s }}
}

// Derive returns the 32 bytes that belong to purpose: HKDF-SHA256 of the secret. Equal purposes give equal keys on every
// server of the installation, and no key says anything about another. Purposes are constants of the program, such as
// "api-key-pepper", and never change.
func (k *Keyring) Derive(purpose string) []byte {
	s := k.in()
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.kept[purpose]; ok {
		return bytes.Clone(key)
	}
	key, err := hkdf.Key(sha256.New, s.root, nil, "sluice/v1/"+purpose, KeySize)
	if err != nil {
		panic("derive a key: " + err.Error()) // only for lengths that KeySize is not
	}
	if len(s.kept) < maxKept {
		s.kept[purpose] = bytes.Clone(key)
	}
	return key
}

// Fingerprint returns 16 hexadecimal characters that tell one secret from another and show nothing of it.
func (k *Keyring) Fingerprint() string { return hex.EncodeToString(k.Derive("fingerprint")[:8]) }

// String returns ***.
func (Keyring) String() string { return hidden }

// GoString returns ***.
func (Keyring) GoString() string { return hidden }

// Format prints *** for every verb.
func (Keyring) Format(f fmt.State, _ rune) { _, _ = io.WriteString(f, hidden) }

// LogValue keeps the secret out of logs.
func (Keyring) LogValue() slog.Value { return slog.StringValue(hidden) }

// MarshalJSON keeps the secret out of JSON.
func (Keyring) MarshalJSON() ([]byte, error) { return []byte(`"` + hidden + `"`), nil }
