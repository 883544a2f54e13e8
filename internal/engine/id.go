package engine

import (
	"encoding/base32"
	"encoding/binary"
	"encoding/hex"
	"sync"
	"time"
)

// IDSize is the length of an ID in bytes. Twelve bytes as a hash field stay in a small allocation of Redis.
const IDSize = 12

// ID names a message, a publish or a task. It is made before the call that stores it, is unique in the installation,
// sorts by the time at which it was made, and is kept when a message moves. It is never an authority.
//
//	42 bits  milliseconds since 2025
//	 6 bits  shard of the queue
//	24 bits  session of the server that made it
//	24 bits  counter of that session
type ID [IDSize]byte

// idEpoch is the first instant that an ID and a lease can express, in milliseconds since 1970: 2025-01-01 UTC.
const idEpoch = 1735689600000

// crockford has no i, l, o and u, so that an id read aloud or typed by hand stays what it was.
var crockford = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// String returns the 20 characters that people see, without a prefix.
func (id ID) String() string { return crockford.EncodeToString(id[:]) }

// UUID writes the id as a UUID of version 8, which clients of AWS expect. Its 12 bytes are all there, with 26 bits that only
// fill up.
func (id ID) UUID() string {
	u := [16]byte{0: id[0], 1: id[1], 2: id[2], 3: id[3], 4: id[4], 5: id[5], 6: 0x80, 7: id[6], 8: 0x80, 9: id[7], 10: id[8], 11: id[9], 12: id[10], 13: id[11]}
	return FormatUUID(u)
}

// FormatUUID writes 16 bytes as a UUID is written.
func FormatUUID(u [16]byte) string {
	var b [36]byte
	hex.Encode(b[0:], u[:4])
	b[8] = '-'
	hex.Encode(b[9:], u[4:6])
	b[13] = '-'
	hex.Encode(b[14:], u[6:8])
	b[18] = '-'
	hex.Encode(b[19:], u[8:10])
	b[23] = '-'
	hex.Encode(b[24:], u[10:])
	return string(b[:])
}

// ParseID reads what String printed. It reports false for anything else.
func ParseID(s string) (ID, bool) {
	var id ID
	if len(s) != crockford.EncodedLen(IDSize) {
		return id, false
	}
	raw, err := crockford.DecodeString(s)
	if err != nil {
		return id, false
	}
	copy(id[:], raw)
	return id, id.String() == s // the last character has spare bits: only one spelling is an id
}

// Time returns when the id was made, by the clock of the server that made it.
func (id ID) Time() time.Time {
	return time.UnixMilli(int64(binary.BigEndian.Uint64(id[:8])>>22) + idEpoch)
}

// Shard returns the shard of the queue for which the id was made, 0 to 63.
func (id ID) Shard() int { return int(binary.BigEndian.Uint64(id[:8])>>16) & 63 }

// Session is one run of a server. It makes ids that no other run makes.
type Session struct {
	number uint32
	ids    *idSource
}

type idSource struct {
	mu      sync.Mutex
	last    int64
	counter uint32
}

// NewSession returns the session with a number that the installation has not used before.
func NewSession(number uint32) Session { return Session{number: number, ids: &idSource{}} }

// Number returns the session's number.
func (s Session) Number() uint32 { return s.number }

// NewID returns the next id for a shard. now is the server's clock; the ids never go back even when it does.
func (s Session) NewID(now time.Time, shard int) ID {
	src := s.ids
	src.mu.Lock()
	src.last = max(src.last, now.UnixMilli()-idEpoch, 0)
	src.counter++
	if src.counter&0xffffff == 0 {
		src.last++ // the counter begins anew, and never twice in one millisecond, even if the clock stands still
	}
	ms, n := src.last, src.counter
	src.mu.Unlock()
	var id ID
	binary.BigEndian.PutUint64(id[:8], uint64(ms)<<22|uint64(shard&63)<<16|uint64(s.number>>8&0xffff))
	binary.BigEndian.PutUint32(id[8:], s.number<<24|n&0xffffff)
	return id
}
