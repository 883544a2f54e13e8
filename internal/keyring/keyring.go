// Package keyring holds the installation's master secret, from which every other secret of a server is derived.
//
// All servers of one installation have the same master secret. Its Fingerprint lies in Redis beside the data, so that
// a server with another secret refuses to start instead of refusing every key and receipt.
package keyring

import (
	"bytes"
	"crypto/hkdf"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
)

const (
	// FileName is the name of the master secret's file in the data directory.
	FileName = "master-key"
	// MinSecret is the least length of a master secret in bytes: what the SHA-256 that derives from it puts out.
	MinSecret = 32
	// KeySize is the length in bytes of what Derive returns.
	KeySize = 32

	// maxFile bounds what is read of a file. A key file has 45 bytes.
	maxFile = 4096
	// maxKept bounds the derived keys that are kept. Purposes are constants of the program, so it is never reached.
	maxKept = 64
)

// hidden stands in the place of the secret wherever a Keyring is printed.
const hidden = "***"

// ErrDamaged says that a master secret is there but cannot be one. A wrong one would make every API key and every
// stored secret worthless, so nothing is put in its place.
var ErrDamaged = errors.New("the master key is damaged")

// Keyring derives keys from the master secret. It may be used from any goroutine, and prints as ***.
type Keyring struct {
	// in is a function, because fmt follows pointers for a verb that does not fit, and does so past every method when
	// the Keyring stands in an unexported field.
	in func() *secrets
}

type secrets struct {
	master   []byte
	warnings []string

	mu   sync.Mutex
	kept map[string][]byte
}

// Open returns the keyring of the secret, or of the file master-key in dataDir when secret is empty.
//
// A secret is base64, standard or URL-safe, of at least 32 bytes. Where there is no file one is made from 32 bytes of
// random (nil: crypto/rand), readable by its owner only, and created is true. An existing file is never overwritten:
// one that is damaged is ErrDamaged.
func Open(dataDir, secret string, random io.Reader) (k *Keyring, created bool, err error) {
	path := filepath.Join(dataDir, FileName)
	if secret != "" {
		master, err := decode(secret)
		if err != nil {
			return nil, false, fmt.Errorf("SLUICE_MASTER_KEY: %w", err)
		}
		return newKeyring(master, shadowed(path, master)), false, nil
	}
	text, err := readFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		created = true
		text, err = makeFile(path, random)
		if errors.Is(err, fs.ErrExist) { // another process was faster: its file counts
			created = false
			text, err = readFile(path)
		}
	}
	if err != nil {
		return nil, false, fmt.Errorf("master key: %w", err)
	}
	master, err := decode(text)
	if err != nil {
		return nil, false, fmt.Errorf("%s: %w. Put the copy from your backup there: a new one would make every API key "+
			"and every stored secret worthless", path, err)
	}
	return newKeyring(master, exposed(path)), created, nil
}

func newKeyring(master []byte, warnings []string) *Keyring {
	s := &secrets{master: master, warnings: warnings, kept: map[string][]byte{}}
	return &Keyring{in: func() *secrets { return s }}
}

// decode reads base64 with any of its alphabets, with or without padding. Its errors never repeat the text.
func decode(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	master, err := base64.RawStdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: want base64 of at least %d random bytes, such as `openssl rand -base64 32` prints", ErrDamaged, MinSecret)
	case len(master) < MinSecret:
		return nil, fmt.Errorf("%w: it has %d bytes and needs at least %d", ErrDamaged, len(master), MinSecret)
	case bytes.Count(master, master[:1]) == len(master):
		return nil, fmt.Errorf("%w: it repeats one byte", ErrDamaged)
	}
	return master, nil
}

// makeFile stores a new secret and returns its text.
func makeFile(path string, random io.Reader) (string, error) {
	if random == nil {
		random = rand.Reader
	}
	master := make([]byte, MinSecret)
	if _, err := io.ReadFull(random, master); err != nil {
		return "", fmt.Errorf("read random bytes: %w", err)
	}
	text := base64.StdEncoding.EncodeToString(master)
	return text, CreateFile(path, []byte(text+"\n"))
}

func readFile(path string) (string, error) {
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer func() { _ = f.Close() }()
	text, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil {
		return "", err
	}
	if len(text) > maxFile {
		return "", fmt.Errorf("%s: %w: it is longer than %d bytes", path, ErrDamaged, maxFile)
	}
	return string(text), nil
}

// exposed warns when users other than the owner may read or write the file. It is no error: volumes of containers
// often come with a mode that nobody chose, and a server that refuses them helps nobody.
func exposed(path string) []string {
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm()&0o077 == 0 {
		return nil
	}
	return []string{fmt.Sprintf("%s has mode %04o, so other users of this machine may read it: chmod 600 %s",
		path, info.Mode().Perm(), path)}
}

// shadowed warns when a secret that was given differs from the one in the file.
func shadowed(path string, master []byte) []string {
	text, err := readFile(path)
	if err != nil {
		return nil
	}
	if other, err := decode(text); err == nil && bytes.Equal(other, master) {
		return nil
	}
	return []string{fmt.Sprintf("SLUICE_MASTER_KEY is used, and %s, which holds another key, is not", path)}
}

// Warnings says what is allowed and still worth a line in the log at start. It holds no secrets.
func (k *Keyring) Warnings() []string { return slices.Clone(k.in().warnings) }

// Derive returns the 32 bytes that belong to purpose: HKDF-SHA256 of the master secret. Equal purposes give equal
// keys on every server of the installation, and no key says anything about another. Purposes are constants of the
// program, such as "api-key-pepper", and never change.
func (k *Keyring) Derive(purpose string) []byte {
	s := k.in()
	s.mu.Lock()
	defer s.mu.Unlock()
	if key, ok := s.kept[purpose]; ok {
		return bytes.Clone(key)
	}
	key, err := hkdf.Key(sha256.New, s.master, nil, "sluice/v1/"+purpose, KeySize)
	if err != nil {
		panic("derive a key: " + err.Error()) // only for lengths that KeySize is not
	}
	if len(s.kept) < maxKept {
		s.kept[purpose] = bytes.Clone(key)
	}
	return key
}

// Fingerprint returns 16 hexadecimal characters that tell one master secret from another and show nothing of it.
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
