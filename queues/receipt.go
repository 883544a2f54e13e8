package queues

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"hash"
	"strings"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/engine"
)

// receipt is what a receipt handle says: which delivery of which message, and when it began.
type receipt struct {
	id       engine.ID
	place    string // as in Message
	delivery uint32
	received time.Time
	size     int // bytes of the record, so that an ack need not ask for them
}

const (
	receiptPrefix  = "rh_"
	receiptVersion = 2
	receiptBody    = 1 + engine.IDSize + 4 + 6 + 3
	receiptPlace   = groupSize + placeSize // more, of a message that belongs to a group
	receiptMAC     = 12                    // bytes: 96 bits of HMAC-SHA-256
)

// signer writes and reads the receipt handles of one queue. Its key comes from the installation's root secret, the
// tenant and the queue's uid, so a handle of another queue, tenant or installation is just a wrong handle.
type signer struct{ macs sync.Pool }

func newSigner(key []byte) *signer {
	return &signer{macs: sync.Pool{New: func() any { return hmac.New(sha256.New, key) }}}
}

// queueKey derives the key of one queue's receipts.
func queueKey(master []byte, tenant, uid string) []byte {
	m := hmac.New(sha256.New, master)
	m.Write([]byte(tenant + "\x00" + uid))
	return m.Sum(nil)
}

// write returns the handle: rh_ and 51 characters, or 71 for a message that belongs to a group.
func (s *signer) write(r receipt) string {
	var b [receiptBody + receiptPlace + sha256.Size]byte
	b[0] = receiptVersion
	copy(b[1:], r.id[:])
	binary.BigEndian.PutUint32(b[13:], r.delivery)
	ms := uint64(r.received.UnixMilli())
	binary.BigEndian.PutUint16(b[17:], uint16(ms>>32))
	binary.BigEndian.PutUint32(b[19:], uint32(ms))
	b[23], b[24], b[25] = byte(r.size>>16), byte(r.size>>8), byte(r.size) // a record has less than 16 MiB
	size := receiptBody + copy(b[receiptBody:], r.place)
	s.sum(b[:size], b[size:size])
	var out [len(receiptPrefix) + (receiptBody+receiptPlace+receiptMAC+2)/3*4]byte
	copy(out[:], receiptPrefix)
	n := base64.RawURLEncoding.EncodedLen(size + receiptMAC)
	base64.RawURLEncoding.Encode(out[len(receiptPrefix):], b[:size+receiptMAC])
	return string(out[:len(receiptPrefix)+n])
}

// read checks a handle. Anything that write did not return for this queue is ErrReceiptInvalid.
func (s *signer) read(handle string) (receipt, error) {
	text, ok := strings.CutPrefix(handle, receiptPrefix)
	size := base64.RawURLEncoding.DecodedLen(len(text)) - receiptMAC
	if !ok || size != receiptBody && size != receiptBody+receiptPlace {
		return receipt{}, ErrReceiptInvalid
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(text)
	if err != nil || b[0] != receiptVersion {
		return receipt{}, ErrReceiptInvalid
	}
	if !hmac.Equal(s.sum(b[:size], nil)[:receiptMAC], b[size:]) {
		return receipt{}, ErrReceiptInvalid
	}
	r := receipt{delivery: binary.BigEndian.Uint32(b[13:]), place: string(b[receiptBody:size])}
	copy(r.id[:], b[1:])
	ms := uint64(binary.BigEndian.Uint16(b[17:]))<<32 | uint64(binary.BigEndian.Uint32(b[19:]))
	r.received = time.UnixMilli(int64(ms))
	r.size = int(b[23])<<16 | int(b[24])<<8 | int(b[25])
	return r, nil
}

// replaced is for a handle that is none of the queue's: errGone when the queue of that name is another one by now, to which
// the handle may belong. Another server may have given it out before this one has heard of that queue.
func (d *desk) replaced(ctx context.Context) error {
	uid, err := d.store.lookup(ctx, d.at.tenant, d.at.name)
	if err == nil && uid != d.first().uid {
		return errGone
	}
	return err
}

// receiptID returns the id in a handle, which may be anybody's. It only says where to look.
func receiptID(handle string) engine.ID {
	var id engine.ID
	var b [1 + engine.IDSize + 2]byte // a whole number of groups of four characters
	text := strings.TrimPrefix(handle, receiptPrefix)
	if size := base64.RawURLEncoding.EncodedLen(len(b)); len(text) >= size {
		if _, err := base64.RawURLEncoding.Decode(b[:], []byte(text[:size])); err == nil {
			copy(id[:], b[1:])
		}
	}
	return id
}

func (s *signer) sum(message, dst []byte) []byte {
	m := s.macs.Get().(hash.Hash)
	m.Reset()
	m.Write(message)
	out := m.Sum(dst)
	s.macs.Put(m)
	return out
}
