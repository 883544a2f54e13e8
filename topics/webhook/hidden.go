package webhook

import (
	"github.com/sluicemq/sluice/internal/errs"
)

// Masked stands for a text that is not shown. Whoever gives it back keeps what is there.
const Masked = "***"

// Hidden is a text that is given once and never shown again: a password, the value of a header. Check seals what it is
// given in Plain; what lies in Redis is Sealed.
type Hidden struct {
	Plain  string `json:"plain,omitempty"`
	Sealed string `json:"sealed,omitempty"`
}

// hide seals what was given, or keeps what was there, which may be nil, where that is asked for or is the same: so who
// gives the same settings twice changes nothing. moved says that it would go to another host than the one it was given
// for, and then it has to be given again: who may change an endpoint cannot read what is hidden by that.
func (s *Store) hide(h, was *Hidden, moved bool, pointer string) error {
	kept := h.Sealed != "" || h.Plain == Masked
	switch {
	case kept && moved:
		return &errs.Error{Kind: errs.Invalid, Code: "secrets_needed", Message: "The endpoint, or its token URL, is at another host, and what is hidden does not go there by itself.",
			Fix:    "Give headers and auth again with their values, or null.",
			Fields: []errs.Field{{Pointer: pointer, Code: "secrets_needed", Message: "must be given again for another host"}}}
	case h.Sealed != "":
		return nil
	case kept && was == nil:
		return errs.Invalidf(pointer, "%s stands for the value that is there, and there is none.", Masked)
	case kept:
		*h = *was
		return nil
	case was != nil && !moved:
		if before, err := s.unseal(was.Sealed); err == nil && string(before) == h.Plain {
			*h = *was
			return nil
		}
	}
	*h = Hidden{Sealed: s.seal([]byte(h.Plain))}
	return nil
}

// reveal opens what hide sealed.
func (s *Store) reveal(h Hidden) (string, error) {
	raw, err := s.unseal(h.Sealed)
	return string(raw), err
}
