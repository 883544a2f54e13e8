package auth

import (
	"cmp"
	"context"
	"crypto/cipher"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
)

// Access tokens are signed with Ed25519 keys that all servers share. Redis holds them, sealed with a key of the
// installation: what opens was put there by a server, so nobody who writes to Redis can have his own key believed.
const (
	// signingPeriod is how long a key signs.
	signingPeriod = 24 * time.Hour
	// signingAhead is how long before that it is published, so that whoever keeps the published keys for a while has it.
	signingAhead = time.Hour
	// signingKept is how long after that it is published: until nothing that it signed holds, also by a server that has
	// not noticed yet that there is another one.
	signingKept = MaxTokenLifetime + 10*time.Minute
	// signingTrust is how long a server believes what it has read of these keys.
	signingTrust = time.Minute
	// signingPause is how far apart two readings are that unknown keys ask for: texts that name one cost nothing to make.
	signingPause = 2 * time.Second

	signingPurpose = "token-signing-keys"
)

// signingKey signs access tokens.
type signingKey struct {
	id      string
	from    int64 // when it begins, by the clock of Redis, in milliseconds since 1970
	private ed25519.PrivateKey
}

func (k *signingKey) public() ed25519.PublicKey { return k.private.Public().(ed25519.PublicKey) }

// signingKeys are the keys that there are, in the order in which they sign.
type signingKeys []signingKey

// current returns the key that signs at a time, nil when there is none.
func (s signingKeys) current(now int64) *signingKey {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i].from <= now || i == 0 {
			return &s[i]
		}
	}
	return nil
}

// byID returns a key, nil when there is none of that id.
func (s signingKeys) byID(id string) *signingKey {
	i := slices.IndexFunc(s, func(k signingKey) bool { return k.id == id })
	if i < 0 {
		return nil
	}
	return &s[i]
}

// signer keeps what a server knows of these keys.
type signer struct {
	sealer  cipher.AEAD
	known   atomic.Pointer[signingRead]
	reading engine.Joined[signingKeys]
}

// signingRead is what one reading showed.
type signingRead struct {
	keys signingKeys
	at   time.Duration // when the reading began
}

func newSigner(ring *keyring.Keyring) *signer {
	return &signer{sealer: newSealer(ring, signingPurpose)}
}

// signingKeys returns the keys, as they were at most maxAge ago. Where it is time for a new one it makes it.
func (a *Authenticator) signingKeys(ctx context.Context, maxAge time.Duration) (signingKeys, error) {
	if r := a.signer.known.Load(); r != nil && a.now()-r.at < maxAge {
		return r.keys, nil
	}
	return a.signer.reading.Do(ctx, "", func(ctx context.Context) (signingKeys, error) { return a.readSigningKeys(ctx, maxAge) })
}

func (a *Authenticator) readSigningKeys(ctx context.Context, maxAge time.Duration) (signingKeys, error) {
	began := a.now()
	// Whoever came just after the last reading ended finds here what it found.
	if r := a.signer.known.Load(); r != nil && began-r.at < maxAge {
		return r.keys, nil
	}
	now, keys, err := a.signer.open(a.keys.run(ctx, signingKeysScript, []string{signingKeysKey}))
	if err != nil {
		return nil, err
	}
	if n := len(keys); n == 0 || keys[n-1].from+(signingPeriod-signingAhead).Milliseconds() <= now {
		id, sealed := a.signer.newKey()
		later, more, err := a.signer.open(a.keys.run(ctx, rotateSigningKeysScript, []string{signingKeysKey}, id, sealed,
			signingPeriod.Milliseconds(), signingAhead.Milliseconds(), signingKept.Milliseconds()))
		switch {
		case err == nil:
			now, keys = later, more
		case n == 0: // otherwise those that there are go on, and the next reading tries again
			return nil, err
		}
	}
	a.noteTime(now, began)
	a.signer.known.Store(&signingRead{keys: keys, at: began})
	return keys, nil
}

// newKey returns a new key as Redis keeps it. Its id is a digest of the public key, to which the seal binds it.
func (s *signer) newKey() (id, sealed string) {
	public, private, err := ed25519.GenerateKey(nil)
	if err != nil {
		panic("make a signing key: " + err.Error()) // only for lack of random bytes, which never happens
	}
	id = signingKeyID(public)
	return id, base64.StdEncoding.EncodeToString(s.sealer.Seal(nil, nil, private.Seed(), []byte(id)))
}

func signingKeyID(public ed25519.PublicKey) string {
	sum := sha256.Sum256(public)
	return base64.RawURLEncoding.EncodeToString(sum[:12])
}

// open returns what a script says of the keys: the time, and those that are not over.
func (s *signer) open(answer []string, err error) (now int64, keys signingKeys, _ error) {
	if err != nil {
		return 0, nil, err
	}
	if now, err = strconv.ParseInt(answer[0], 10, 64); err != nil || len(answer)%2 == 0 {
		return 0, nil, engine.ErrBroken.Because(fmt.Errorf("signing keys: unexpected answer of %d values", len(answer)))
	}
	for i := 1; i < len(answer); i += 2 {
		k, err := s.openKey(answer[i], answer[i+1])
		if err != nil {
			return 0, nil, engine.ErrBroken.Because(fmt.Errorf("signing key %q does not open: %w", answer[i], err))
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b signingKey) int { return cmp.Compare(a.from, b.from) })
	// What is over goes from Redis when the next key comes there.
	for len(keys) > 1 && keys[1].from+signingKept.Milliseconds() <= now {
		keys = keys[1:]
	}
	return now, keys, nil
}

func (s *signer) openKey(id, text string) (signingKey, error) {
	from, sealed, _ := strings.Cut(text, " ")
	begin, err := strconv.ParseInt(from, 10, 64)
	if err != nil {
		return signingKey{}, err
	}
	raw, err := base64.StdEncoding.DecodeString(sealed)
	if err != nil {
		return signingKey{}, err
	}
	seed, err := s.sealer.Open(nil, nil, raw, []byte(id))
	if err != nil || len(seed) != ed25519.SeedSize {
		return signingKey{}, errors.Join(err, fmt.Errorf("it has %d bytes", len(seed)))
	}
	return signingKey{id: id, from: begin, private: ed25519.NewKeyFromSeed(seed)}, nil
}

// PublishedKey is a key with which others can verify access tokens.
type PublishedKey struct {
	ID     string
	Public ed25519.PublicKey
}

// PublishedKeys returns the keys of access tokens that hold, those of the past hour and the next one included.
func (a *Authenticator) PublishedKeys(ctx context.Context) ([]PublishedKey, error) {
	keys, err := a.signingKeys(ctx, signingTrust)
	list := make([]PublishedKey, len(keys))
	for i, k := range keys {
		list[i] = PublishedKey{ID: k.id, Public: k.public()}
	}
	return list, err
}
