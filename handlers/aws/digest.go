package aws

import (
	"crypto/md5"
	"encoding/binary"
	"encoding/hex"
	"slices"
	"strings"

	"github.com/sluicemq/sluice/queues"
)

// digest is the MD5 of attributes: by their names, each with name, type with its label, a byte for the form of the value,
// and the value, all but that byte with their lengths. There is none of no attributes.
func digest(list []queues.Attribute) string {
	if !slices.IsSortedFunc(list, byName) {
		list = slices.SortedFunc(slices.Values(list), byName)
	}
	var room [256]byte
	b := room[:0]
	part := func(s string) { b = append(binary.BigEndian.AppendUint32(b, uint32(len(s))), s...) }
	for i := range list {
		a := &list[i]
		part(a.Name)
		part(a.Type)
		form := byte(1)
		if isBinary(a.Type) {
			form = 2
		}
		b = append(b, form)
		part(a.Value)
	}
	sum := md5.Sum(b)
	return hex.EncodeToString(sum[:])
}

func byName(a, b queues.Attribute) int { return strings.Compare(a.Name, b.Name) }

// isBinary reports whether values of a type are bytes.
func isBinary(kind string) bool { return kind == "Binary" || strings.HasPrefix(kind, "Binary.") }
