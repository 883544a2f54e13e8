package queues

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"

	"github.com/sluicemq/sluice/internal/errs"
)

// A message that belongs to a group has its group's digest and its place in the stamp of its record, in the members of
// ordered indexes and in its receipts; see lua/lib/groups.lua.
const (
	groupSize = 8
	placeSize = 7
)

// MaxGroupID is how many characters a group id or a deduplication id has at most.
const MaxGroupID = 128

// The errors of a message that a FIFO queue cannot take.
var (
	ErrGroupRequired = &errs.Error{Kind: errs.Invalid, Code: "message_group_id_required",
		Message: "A message for a FIFO queue needs a group: messages of one group are received in their order.",
		Fix:     "Send a group id, such as the id of the customer or order that the message is about: curl … -H 'Message-Group-Id: customer-42'.",
		Fields:  []errs.Field{{Pointer: "/group_id", Code: "required", Message: "must be given for a FIFO queue"}}}
	ErrDeduplicationRequired = &errs.Error{Kind: errs.Invalid, Code: "deduplication_id_required",
		Message: "A message for this FIFO queue needs a deduplication id, because the queue does not derive one from the body.",
		Fix:     `Send one (curl … -H 'Message-Deduplication-Id: 8c1f'), or set {"fifo":{"content_based_deduplication":true}} on the queue.`,
		Fields:  []errs.Field{{Pointer: "/deduplication_id", Code: "required", Message: "must be given unless the queue derives it from the body"}}}
)

// groupDigest names a group in Redis.
func groupDigest(group string) []byte {
	sum := sha256.Sum256([]byte(group))
	return sum[:groupSize]
}

// ContentID returns the deduplication id that a FIFO queue derives from a body, as SQS does.
func ContentID(body []byte) string { return contentID(body) }

func contentID(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// sequence reads the sequence number of a place. It has 20 digits, so that it also sorts as text.
func sequence(place string) string {
	if len(place) < placeSize {
		return ""
	}
	b := append(make([]byte, 1, 1+placeSize), place[len(place)-placeSize:]...)
	return fmt.Sprintf("%020d", binary.BigEndian.Uint64(b))
}

// validateGroup checks what concerns groups and deduplication.
func (m *Outgoing) validateGroup(s Settings) error {
	if err := validateToken("/group_id", "group id", m.GroupID); err != nil {
		return err
	}
	if err := validateToken("/deduplication_id", "deduplication id", m.DeduplicationID); err != nil {
		return err
	}
	if !s.IsFIFO() {
		if m.DeduplicationID != "" {
			return errs.Invalidf("/deduplication_id", "Only FIFO queues take a deduplication id. For a standard queue use the header Idempotency-Key.")
		}
		return nil
	}
	switch {
	case m.GroupID == "":
		return ErrGroupRequired
	case m.DeduplicationID != "" && m.IdempotencyKey != "":
		return errs.Invalidf("/deduplication_id", "Give either a deduplication id or an Idempotency-Key: in a FIFO queue they are for the same.")
	case m.DeduplicationID == "" && m.IdempotencyKey == "" && !s.FIFO.ContentBased:
		return ErrDeduplicationRequired
	case m.Delay != nil && *m.Delay != 0:
		return errs.Invalidf("/delay", "A FIFO queue delays all its messages alike; set the queue's delay, not the message's.")
	}
	return nil
}

// validateToken checks a group id or a deduplication id by the rules of SQS. "" means that there is none.
func validateToken(pointer, what, s string) error {
	ok := len(s) <= MaxGroupID
	for i := 0; i < len(s); i++ {
		ok = ok && s[i] > ' ' && s[i] <= '~'
	}
	if ok {
		return nil
	}
	return errs.Invalidf(pointer, "A %s has 1 to %d ASCII letters, digits and punctuation marks, no spaces.", what, MaxGroupID)
}

// noPrint stands for the digest of the body where the deduplication id alone decides.
var noPrint [8]byte

// dedupKey returns what a message is recognised by: the digest of its key, and that of its content, which must be the
// same. nil: by nothing.
func (m *Outgoing) dedupKey(s Settings) []byte {
	var key [sha256.Size]byte
	content := noPrint[:]
	switch {
	case m.IdempotencyKey != "":
		key = sha256.Sum256([]byte("i\x00" + m.IdempotencyKey))
		sum := m.fingerprint()
		content = sum[:8]
	case s.IsFIFO():
		id, group := m.DeduplicationID, ""
		if id == "" {
			id = contentID(m.Body)
		}
		if s.FIFO.Scope == ScopeGroup {
			group = m.GroupID
		}
		key = sha256.Sum256([]byte("d\x00" + group + "\x00" + id))
	default:
		return nil
	}
	return append(key[:16:16], content...)
}
