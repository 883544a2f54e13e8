package keyring

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const (
	// FileName is the name of the master key's file in the data directory.
	FileName = "master-key"
	// MinSecret is the least length of a secret in bytes: what the SHA-256 that derives from it puts out.
	MinSecret = 32

	// maxFile bounds what is read of a file. A key file has 45 bytes.
	maxFile = 4096
)

// ErrDamaged says that a master key is there but cannot be one. A wrong one opens nothing, so nothing is put in its
// place.
var ErrDamaged = errors.New("the master key is damaged")

// Master is a master key: it seals the root secret, and opens what it has sealed. It may be used from any goroutine, and
// prints without the key.
type Master struct {
	own      *Keyring // of the key itself
	warnings []string
}

// Open returns the master key secret, or the one in the file master-key in dataDir when secret is empty.
//
// A key is base64, standard or URL-safe, of at least 32 bytes. Where there is no file one is made from 32 bytes of
// random (nil: crypto/rand), readable by its owner only, and created is true. An existing file is never overwritten:
// one that is damaged is ErrDamaged.
func Open(dataDir, secret string, random io.Reader) (m *Master, created bool, err error) {
	path := filepath.Join(dataDir, FileName)
	if secret != "" {
		key, err := decode(secret)
		if err != nil {
			return nil, false, fmt.Errorf("SLUICE_MASTER_KEY: %w", err)
		}
		return &Master{newKeyring(key), shadowed(path, key)}, false, nil
	}
	if m, created, err = OpenFile(path, random); errors.Is(err, ErrDamaged) {
		err = fmt.Errorf("%w. Put the copy from your backup there: no other opens the installation", err)
	}
	return m, created, err
}

// OpenFile is Open for the key in the file path.
func OpenFile(path string, random io.Reader) (m *Master, created bool, err error) {
	m, err = Load(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return m, false, err
	}
	key, err := newSecret(random)
	if err != nil {
		return nil, false, fmt.Errorf("master key: %w", err)
	}
	err = CreateFile(path, fileText(key))
	if err != nil && !errors.Is(err, fs.ErrExist) {
		return nil, false, fmt.Errorf("master key: %w", err)
	}
	created = err == nil // otherwise another process was faster: its file counts
	m, err = Load(path)
	return m, created, err
}

// Load returns the master key in the file path, and fs.ErrNotExist where there is none.
func Load(path string) (*Master, error) {
	text, err := readFile(path)
	if err != nil {
		return nil, fmt.Errorf("master key: %w", err)
	}
	key, err := decode(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return &Master{newKeyring(key), exposed(path)}, nil
}

// Save makes the file path hold m, and no longer what it held.
func (m *Master) Save(path string) error { return ReplaceFile(path, fileText(m.own.in().root)) }

func fileText(key []byte) []byte { return []byte(base64.StdEncoding.EncodeToString(key) + "\n") }

// decode reads base64 with any of its alphabets, with or without padding. Its errors never repeat the text.
func decode(text string) ([]byte, error) {
	text = strings.TrimSpace(text)
	text = strings.NewReplacer("-", "+", "_", "/").Replace(strings.TrimRight(text, "="))
	key, err := base64.RawStdEncoding.Strict().DecodeString(text)
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: want base64 of at least %d random bytes, such as `openssl rand -base64 32` prints", ErrDamaged, MinSecret)
	case len(key) < MinSecret:
		return nil, fmt.Errorf("%w: it has %d bytes and needs at least %d", ErrDamaged, len(key), MinSecret)
	case bytes.Count(key, key[:1]) == len(key):
		return nil, fmt.Errorf("%w: it repeats one byte", ErrDamaged)
	}
	return key, nil
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

// shadowed warns when a key that was given differs from the one in the file.
func shadowed(path string, key []byte) []string {
	text, err := readFile(path)
	if err != nil {
		return nil
	}
	if other, err := decode(text); err == nil && bytes.Equal(other, key) {
		return nil
	}
	return []string{fmt.Sprintf("SLUICE_MASTER_KEY is used, and %s, which holds another key, is not", path)}
}

// Warnings says what is allowed and still worth a line in the log at start. It holds no secrets.
func (m *Master) Warnings() []string { return slices.Clone(m.warnings) }

// Fingerprint returns 16 hexadecimal characters that tell one master key from another and show nothing of it.
func (m *Master) Fingerprint() string { return m.own.Fingerprint() }

// Keyring returns the keyring whose root secret is the master key itself, as it is in installations that were founded
// before there was a root.
func (m *Master) Keyring() *Keyring { return m.own }
