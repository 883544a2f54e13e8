package sigv4

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"net/http"
	"strings"
	"sync"
)

// maxKeys bounds the keys that are remembered: about 5 MB.
const maxKeys = 10_000

// Verifier verifies signatures. It remembers the keys that it derived from secrets, of which each is good for a day, so
// that a request costs the digests of what it holds and one signature. The zero value is ready for use.
type Verifier struct {
	mu    sync.RWMutex
	known map[string]derived // by scope
}

// derived is a key with the secret that it came from.
type derived struct {
	secret string
	key    key
}

// Verify checks that whoever signed r knew the secret of the access key. Nothing may have changed r since it came: above
// all not its Host. It does not look at the clock; see Signature.InTime and Signature.For.
func (v *Verifier) Verify(r *http.Request, s *Signature, p Payload, secret string) error {
	v.mu.RLock()
	have, ok := v.known[s.scope]
	v.mu.RUnlock()
	if ok && have.secret == secret {
		return s.verify(r, p, have.key)
	}
	fresh := newKey(secret, s.scope)
	if err := s.verify(r, p, fresh); err != nil {
		return err // nobody fills the memory who does not know a secret
	}
	v.remember(s.scope, derived{secret, fresh})
	return nil
}

func (v *Verifier) remember(scope string, d derived) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.known == nil {
		v.known = map[string]derived{}
	}
	if _, there := v.known[scope]; !there && len(v.known) >= maxKeys {
		for old := range v.known { // a map begins its walk at a random place
			delete(v.known, old)
			break
		}
	}
	v.known[strings.Clone(scope)] = d
}

// key signs what is of one access key, day, region and service. It stands for the secret, so it must never be shown.
type key struct{ macs *sync.Pool }

// newKey derives the key of a scope.
func newKey(secret, scope string) key {
	derived := []byte("AWS4" + secret)
	_, steps, _ := strings.Cut(scope, "/")
	for step := range strings.SplitSeq(steps, "/") {
		mac := hmac.New(sha256.New, derived)
		mac.Write([]byte(step))
		derived = mac.Sum(nil)
	}
	return key{&sync.Pool{New: func() any { return hmac.New(sha256.New, derived) }}}
}

// sign returns the signature of a text.
func (k key) sign(text []byte) (signature [2 * sha256.Size]byte) {
	mac := k.macs.Get().(hash.Hash)
	mac.Reset()
	mac.Write(text)
	var sum [sha256.Size]byte
	hex.Encode(signature[:], mac.Sum(sum[:0]))
	k.macs.Put(mac)
	return signature
}
