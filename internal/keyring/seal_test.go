package keyring_test

import (
	"encoding/base64"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/keyring"
)

func newRoot(t *testing.T) *keyring.Keyring {
	t.Helper()
	root, err := keyring.New(nil)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

func TestOnlyTheMasterKeyThatSealedOpens(t *testing.T) {
	t.Parallel()
	a, b, c := open(t, t.TempDir(), ""), open(t, t.TempDir(), ""), open(t, t.TempDir(), "")
	root := newRoot(t)
	copies := []string{a.Seal(root), b.Seal(root)}
	for i, m := range []*keyring.Master{a, b} {
		got, err := m.Unseal(copies...)
		if err != nil || !cmp.Equal(got.Derive("x"), root.Derive("x")) || got.Fingerprint() != root.Fingerprint() {
			t.Errorf("key %d: %v, or another root", i, err)
		}
		if by := keyring.SealedBy(copies[i]); by != m.Fingerprint() {
			t.Errorf("copy %d is said to be that of %s, want %s", i, by, m.Fingerprint())
		}
	}
	for what, copies := range map[string][]string{"a stranger": copies, "none": nil, "empty": {"", ""}} {
		if _, err := c.Unseal(copies...); !errors.Is(err, keyring.ErrOtherKey) {
			t.Errorf("%s: got %v, want %v", what, err, keyring.ErrOtherKey)
		}
	}
	if again := a.Seal(root); again == copies[0] {
		t.Error("the same text twice")
	}
	if root.Fingerprint() == a.Keyring().Fingerprint() || newRoot(t).Fingerprint() == root.Fingerprint() {
		t.Error("a new root is not a new secret")
	}
}

func TestABrokenSealIsDamaged(t *testing.T) {
	t.Parallel()
	m, other := open(t, t.TempDir(), ""), open(t, t.TempDir(), "")
	root := newRoot(t)
	good := m.Seal(root)
	by, sealed, _ := strings.Cut(good, ".")
	raw, err := base64.RawStdEncoding.DecodeString(sealed)
	if err != nil {
		t.Fatal(err)
	}
	raw[len(raw)/2] ^= 1
	_, foreign, _ := strings.Cut(other.Seal(root), ".")
	for what, text := range map[string]string{
		"truncated":           good[:len(good)-4],
		"without the secret":  by + ".",
		"only the name":       by,
		"no base64":           by + ".%%%",
		"a bit":               by + "." + base64.RawStdEncoding.EncodeToString(raw),
		"of another key":      by + "." + foreign,
		"what it would seal":  by + "." + base64.RawStdEncoding.EncodeToString(make([]byte, 32)),
		"with more behind it": good + "AAAA",
	} {
		got, err := m.Unseal(text, good)
		if !errors.Is(err, keyring.ErrSealDamaged) || got != nil {
			t.Errorf("%s: got %v, want %v", what, err, keyring.ErrSealDamaged)
		} else if strings.Contains(err.Error(), text) {
			t.Errorf("%s: the error repeats the text: %v", what, err)
		}
	}
}

func TestASealShowsNothingOfTheSecrets(t *testing.T) {
	t.Parallel()
	m := open(t, t.TempDir(), base64.StdEncoding.EncodeToString(master))
	sealed := m.Seal(m.Keyring()) // the root of an installation from before there was one
	raw, _ := base64.RawStdEncoding.DecodeString(strings.SplitN(sealed, ".", 2)[1])
	if strings.Contains(string(raw), string(master[:4])) || strings.Contains(sealed, base64.RawStdEncoding.EncodeToString(master)[:8]) {
		t.Errorf("the secret is in %q", sealed)
	}
	if got, err := m.Unseal(sealed); err != nil || got.Fingerprint() != m.Fingerprint() {
		t.Errorf("it does not open: %v", err)
	}
}

func TestSaveReplacesTheFile(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	before, next := open(t, dir, ""), open(t, t.TempDir(), "")
	path := filepath.Join(dir, keyring.FileName)
	if err := next.Save(path); err != nil {
		t.Fatal(err)
	}
	if got := open(t, dir, "").Fingerprint(); got != next.Fingerprint() || got == before.Fingerprint() {
		t.Errorf("the file holds %s, want %s", got, next.Fingerprint())
	}
	if info, err := os.Stat(path); err != nil || info.Mode() != 0o600 {
		t.Errorf("mode %v, %v; want 0600", info.Mode(), err)
	}
	if names, _ := os.ReadDir(dir); len(names) != 1 {
		t.Errorf("the folder holds %v, want only the key", names)
	}
	if err := next.Save(filepath.Join(dir, "no", "key")); err == nil {
		t.Error("saved in a folder that is not there")
	}
}

func TestLoadMakesNothing(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if _, err := keyring.Load(filepath.Join(dir, "key")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v, want %v", err, os.ErrNotExist)
	}
	if names, _ := os.ReadDir(dir); len(names) != 0 {
		t.Errorf("the folder holds %v", names)
	}
}
