package auth

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/tenants"
)

// The errors of key files. They are for whoever starts the server, not for callers.
var (
	// ErrFileRevoked says that the key in a file was revoked, so it is not made to work again.
	ErrFileRevoked = errors.New("the key in this file was revoked")
	// ErrFileDamaged says that a file holds no key of the kind that belongs there.
	ErrFileDamaged = errors.New("this file does not hold the key that belongs there")
)

// EnsureOperatorKey makes sure that the operator's key in file works, and reports whether it made that key. Where there
// is no file it makes a key and writes it there first, readable by its owner only. A Redis that does not know the key,
// because it is new, is told; a key that was revoked is ErrFileRevoked.
func (k *KeyStore) EnsureOperatorKey(ctx context.Context, file string) (Secret, bool, error) {
	return k.ensure(ctx, file, record{Name: "operator-key", Kind: KindOperator}, tenants.ID{})
}

// EnsureTenantKey does for a tenant's key what EnsureOperatorKey does for an operator's.
func (k *KeyStore) EnsureTenantKey(ctx context.Context, t tenants.ID, file string) (Secret, bool, error) {
	return k.ensure(ctx, file, record{Name: "default-key", Kind: KindTenant, Tenant: t.String()}, t)
}

// Reset is what ResetOperatorKey has done.
type Reset struct {
	ID string // of the new key
	// Old is the id of the key that the file held, "" when it held none. It works no more, unless there was an error.
	Old string
}

// ResetOperatorKey makes a new operator's key, writes it to file, readable by its owner only, and revokes the one that the
// file held: within 5 s on all servers. An error without an ID in Reset has changed nothing; with one, the new key holds and
// is in the file, and the old one may hold too.
func (k *KeyStore) ResetOperatorKey(ctx context.Context, file string) (Reset, error) {
	var done Reset
	old, err := readKeyFile(file, KindOperator)
	switch {
	case err == nil:
		done.Old = k.hasher.digest(old.Reveal()).keyID()
	case !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, ErrFileDamaged):
		return Reset{}, fmt.Errorf("key file: %w", err)
	}
	text := newKey(KindOperator)
	made, err := k.addOperatorKey(ctx, text, record{Name: "operator-key", Kind: KindOperator, File: true, Scopes: []string{everything}, CreatedAt: k.clock.Now().UnixMilli()})
	if err != nil {
		return Reset{}, err
	}
	if err := keyring.ReplaceFile(file, []byte(text.Reveal()+"\n")); err != nil {
		if now, _ := readKeyFile(file, KindOperator); now != text { // then nobody has the new key
			err = errors.Join(err, k.RevokeOperatorKey(ctx, made.ID))
		}
		return Reset{}, err
	}
	done.ID = made.ID
	if err := k.step("written"); err != nil {
		return done, err
	}
	// Last, because whoever cannot write the file must not be left without a key.
	if done.Old == "" {
		return done, nil
	}
	if err := k.RevokeOperatorKey(ctx, done.Old); err != nil && !errors.Is(err, ErrKeyNotFound) {
		return done, fmt.Errorf("revoke %s: %w", done.Old, err)
	}
	return done, nil
}

func (k *KeyStore) ensure(ctx context.Context, file string, want record, t tenants.ID) (Secret, bool, error) {
	text, created, err := keyFile(file, want.Kind)
	if err != nil {
		return "", false, fmt.Errorf("key file: %w", err)
	}
	if err := k.step("written"); err != nil {
		return "", false, err
	}
	want.File, want.Scopes, want.CreatedAt = true, []string{"*"}, k.clock.Now().UnixMilli()
	r, err := k.addFileKey(ctx, t, text, want)
	switch {
	case err != nil:
		return "", false, fmt.Errorf("key of %s: %w", file, err)
	case r.RevokedAt != 0:
		return "", false, fmt.Errorf("%s: %w: delete the file to get a new key at the next start", file, ErrFileRevoked)
	case r.Kind != want.Kind || r.Tenant != want.Tenant:
		return "", false, fmt.Errorf("%s: %w: the key acts for another tenant", file, ErrFileDamaged)
	}
	return text, created, nil
}

// addFileKey makes text a key, and returns its record: the existing one where it has been one before. Then nothing has
// to be written, so that a server also starts while Redis is full.
func (k *KeyStore) addFileKey(ctx context.Context, t tenants.ID, text Secret, want record) (record, error) {
	d := k.hasher.digest(string(text))
	found, err := k.lookup(ctx, []digest{d})
	if err != nil {
		return record{}, err
	}
	if found.records[0] != "" {
		r, err := parseRecord(found.records[0])
		if err == nil && r.RevokedAt == 0 && want.Kind == KindTenant && r.Tenant == want.Tenant {
			_, _ = k.index(ctx, t, d, true) // in case the start before died half way: the key works without
		}
		return r, err
	}
	if want.Kind == KindOperator {
		return k.addOperatorKey(ctx, text, want)
	}
	return k.addTenantKey(ctx, t, text, want, k.registerTenantKey)
}

// keyFile returns the key in a file, and makes both where there is no file.
func keyFile(file string, kind Kind) (text Secret, created bool, err error) {
	text, err = readKeyFile(file, kind)
	if !errors.Is(err, fs.ErrNotExist) {
		return text, false, err
	}
	text = newKey(kind)
	err = keyring.CreateFile(file, []byte(text.Reveal()+"\n"))
	if errors.Is(err, fs.ErrExist) { // another process was faster: its key counts
		text, err = readKeyFile(file, kind)
		return text, false, err
	}
	return text, err == nil, err
}

func readKeyFile(file string, kind Kind) (Secret, error) {
	content, err := os.ReadFile(file)
	if err != nil {
		return "", err
	}
	text := strings.TrimSpace(string(content))
	if got, err := ParseKey(text); err != nil || got != kind {
		return "", fmt.Errorf("%s: %w: want a key that begins with %s. Restore it, or delete the file to get a new key at the next start",
			file, ErrFileDamaged, prefixes[kind])
	}
	return Secret(text), nil
}
