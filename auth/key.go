package auth

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"hash"
	"hash/crc32"
	"strings"
	"sync"

	"github.com/sluicemq/sluice/internal/engine"
)

// A key is its prefix, 30 random letters and digits, and 6 more that are the CRC-32 of all before them. Prefix and
// checksum let scanners of source code tell a leaked key from other text, and let a server refuse a mistyped one
// without a look-up. There is no character at which a double click would end.
const (
	prefixLength   = 4
	randomLength   = 30
	checksumLength = 6
	keyLength      = prefixLength + randomLength + checksumLength

	base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

var prefixes = map[Kind]string{KindTenant: "slk_", KindOperator: "slo_"}

// newKey returns the text of a new key: 178 random bits.
func newKey(kind Kind) Secret { return newText(prefixes[kind]) }

// newText returns a new text of the form of a key.
func newText(prefix string) Secret {
	text := randomText(prefix, randomLength)
	sum := checksum(text)
	return Secret(text + string(sum[:]))
}

// randomText returns a text with n random letters and digits behind prefix.
func randomText(prefix string, n int) string {
	var b strings.Builder
	b.WriteString(prefix)
	for b.Len() < len(prefix)+n {
		var raw [48]byte
		_, _ = rand.Read(raw[:]) // never fails
		for _, r := range raw {
			// 248 is the highest multiple of 62 in a byte: what lies above would make some letters more likely.
			if r < 248 && b.Len() < len(prefix)+n {
				b.WriteByte(base62[r%62])
			}
		}
	}
	return b.String()
}

// checksum walks the text itself, because crc32.ChecksumIEEE wants it copied, and every request needs one.
func checksum(text string) (sum [checksumLength]byte) {
	n := ^uint32(0)
	for i := range len(text) {
		n = crc32.IEEETable[byte(n)^text[i]] ^ n>>8
	}
	n = ^n
	for i := checksumLength - 1; i >= 0; i-- {
		sum[i] = base62[n%62]
		n /= 62
	}
	return sum
}

// ParseKey returns the kind of a well-formed key, and ErrUnauthenticated for any other text. Whether anybody has that
// key it cannot say.
func ParseKey(text string) (Kind, error) {
	if len(text) != keyLength {
		return "", ErrUnauthenticated
	}
	var kind Kind
	switch text[:prefixLength] {
	case "slk_":
		kind = KindTenant
	case "slo_":
		kind = KindOperator
	default:
		return "", ErrUnauthenticated
	}
	if !wellFormed(text) {
		return "", ErrUnauthenticated
	}
	return kind, nil
}

// wellFormed reports whether a text as long as a key has behind its prefix what a key has there.
func wellFormed(text string) bool {
	for i := prefixLength; i < keyLength; i++ {
		c := text[i]
		if (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	// The checksum keeps no secret, so how long this takes does not matter.
	sum := checksum(text[:keyLength-checksumLength])
	return string(sum[:]) == text[keyLength-checksumLength:]
}

// digest stands for a key wherever the key itself must not be kept. Nobody outside can compute one, so it may be
// looked up in ways that take more or less time.
type digest [sha256.Size]byte

func (d digest) String() string { return hex.EncodeToString(d[:]) }

func parseDigest(s string) (d digest, ok bool) {
	n, err := hex.Decode(d[:], []byte(s))
	return d, err == nil && n == len(d)
}

// keyID returns the id of the key with a digest. It depends on nothing else, so that doing a creation again makes the
// same key.
func (d digest) keyID() string {
	var id engine.ID
	sum := sha256.Sum256(append([]byte("key id "), d[:]...))
	copy(id[:], sum[:])
	return "key_" + id.String()
}

// hasher makes digests. It reuses its states, because every request needs one digest.
type hasher struct{ states sync.Pool }

type hashState struct {
	mac hash.Hash
	in  [keyLength]byte
	out digest
}

func newHasher(pepper []byte) *hasher {
	return &hasher{states: sync.Pool{New: func() any { return &hashState{mac: hmac.New(sha256.New, pepper)} }}}
}

// digest returns the digest of a well-formed key or access key id. They differ in length, so no two share one.
func (h *hasher) digest(key string) digest {
	s := h.states.Get().(*hashState)
	defer h.states.Put(s)
	s.mac.Reset()
	_, _ = s.mac.Write(s.in[:copy(s.in[:], key)])
	s.mac.Sum(s.out[:0])
	clear(s.in[:])
	return s.out
}
