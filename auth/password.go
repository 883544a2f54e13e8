package auth

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"fmt"
	"strings"
	"sync/atomic"
	"time"
	"unicode/utf8"

	"golang.org/x/crypto/argon2"

	"github.com/sluicemq/sluice/internal/errs"
	"github.com/sluicemq/sluice/internal/keyring"
)

const (
	// MinPassword is the least number of characters of a password.
	MinPassword = 10
	// MaxPassword is the most bytes of a password.
	MaxPassword = 1024

	// Argon2id with 19 MiB and two passes is what OWASP recommends, and takes 30 ms of one core.
	argonMemory  = 19 << 10 // KiB
	argonTime    = 2
	argonThreads = 1
	argonLength  = 32
	saltLength   = 16

	// maxHashing bounds the passwords that a server hashes at the same time, and maxHashWaiting those that wait for their
	// turn: more would only wait longer than anybody does.
	maxHashing     = 2
	maxHashWaiting = 32

	passwordPurpose = "member-passwords"
)

var errTooManySignIns = &errs.Error{Kind: errs.Unavailable, Code: "overloaded", RetryAfter: time.Second,
	Message: "The server is checking as many passwords as it can.",
	Fix:     "Send the request again after the time in Retry-After."}

// passwords hashes passwords. What it returns is of no use to guess them without the secret of the installation: a copy of
// Redis is not enough.
type passwords struct {
	secret  []byte
	slots   chan struct{}
	waiting atomic.Int64
}

func newPasswords(ring *keyring.Keyring) *passwords {
	return &passwords{secret: ring.Derive(passwordPurpose), slots: make(chan struct{}, maxHashing)}
}

// mac returns a digest of text for one purpose.
func (p *passwords) mac(purpose, text string) []byte {
	m := hmac.New(sha256.New, p.secret)
	_, _ = m.Write([]byte(purpose + "\x00" + text))
	return m.Sum(nil)
}

// hash returns what is kept of a password. The salt comes from the e-mail address, so that one computation tells whether a
// password is that of any account with the address, and that takes as long where there is none.
func (p *passwords) hash(ctx context.Context, email, password string) (string, error) {
	if p.waiting.Add(1) > maxHashing+maxHashWaiting {
		p.waiting.Add(-1)
		return "", errTooManySignIns
	}
	defer p.waiting.Add(-1)
	select {
	case p.slots <- struct{}{}:
		defer func() { <-p.slots }()
	case <-ctx.Done():
		return "", errTooManySignIns.Because(ctx.Err())
	}
	salt := p.mac("salt", email)[:saltLength]
	key := argon2.IDKey(p.mac("password", password), salt, argonTime, argonMemory, argonThreads, argonLength)
	text := base64.RawStdEncoding.EncodeToString
	return fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$%s$%s", argon2.Version, argonMemory, argonTime, argonThreads, text(salt), text(key)), nil
}

// sameHash compares in a time that does not depend on where two texts differ. Nothing is like no password.
func sameHash(a, b string) bool {
	return a != "" && subtle.ConstantTimeCompare([]byte(a), []byte(b)) == 1
}

// checkPassword refuses what is too short to be safe or too long to be hashed.
func checkPassword(pointer, password, email string) error {
	switch {
	case len(password) > MaxPassword:
		return errs.Invalidf(pointer, "must have at most %d bytes", MaxPassword)
	case !utf8.ValidString(password) || utf8.RuneCountInString(password) < MinPassword:
		return errs.Invalidf(pointer, "must have at least %d characters", MinPassword)
	case strings.EqualFold(password, email):
		return errs.Invalidf(pointer, "must not be the e-mail address")
	}
	return nil
}
