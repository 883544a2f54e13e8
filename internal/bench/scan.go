package bench

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"net/http"
	"strconv"
)

var errJSON = errors.New("not the JSON that was expected")

// message is what a receive's answer says about one message. The slices are parts of the answer where possible.
type message struct {
	handle []byte
	body   []byte
}

// scanReceive reads {"messages":[{"receipt_handle":"…","body":"…",…}],"acked":[{"status":204,…}],…}, appends the messages
// to list and counts the carried acks that failed. Fields may come in any order; those it does not know are skipped.
func scanReceive(answer []byte, list []message) (_ []message, failedAcks int, _ error) {
	s := scanner{b: answer}
	s.object(func(key []byte) {
		switch string(key) {
		case "messages":
			s.array(func() { list = append(list, s.message()) })
		case "acked":
			s.array(func() {
				if status, ok := s.result(); ok && status >= 300 {
					failedAcks++
				}
			})
		default:
			s.skip()
		}
	})
	return list, failedAcks, s.err()
}

func (s *scanner) message() message {
	var m message
	encoded := false
	s.object(func(key []byte) {
		switch string(key) {
		case "receipt_handle":
			m.handle = s.str()
		case "body":
			m.body = s.str()
		case "body_encoding":
			encoded = string(s.str()) == "base64"
		default:
			s.skip()
		}
	})
	if m.handle == nil || m.body == nil {
		s.bad = true
	}
	if encoded {
		body, err := base64.StdEncoding.DecodeString(string(m.body))
		m.body = body
		s.bad = s.bad || err != nil
	}
	return m
}

// scanFrame reads what a websocket brings: {"op":"message","receipt_handle":"…","body":"…",…}, or a reply without a body.
func scanFrame(frame []byte) (op []byte, m message, _ error) {
	s := scanner{b: frame}
	s.object(func(key []byte) {
		switch string(key) {
		case "op":
			op = s.str()
		case "receipt_handle":
			m.handle = s.str()
		case "body":
			m.body = s.str()
		default:
			s.skip()
		}
	})
	return op, m, s.err()
}

// scanResults reads {"results":[{"ref":"7","status":201,…}]} and calls each with the reference and status of every item.
func scanResults(answer []byte, each func(ref []byte, status int)) error {
	s := scanner{b: answer}
	s.object(func(key []byte) {
		if string(key) != "results" {
			s.skip()
			return
		}
		s.array(func() {
			var ref []byte
			status := 0
			s.object(func(key []byte) {
				switch string(key) {
				case "ref":
					ref = s.str()
				case "status":
					status = s.number()
				default:
					s.skip()
				}
			})
			each(ref, status)
		})
	})
	return s.err()
}

// scanMessages reads {"Messages":[{"ReceiptHandle":"…","Body":"…",…}]}, the answer of SQS to a receive, which carries no acks.
func scanMessages(answer []byte, list []message) (_ []message, failedAcks int, _ error) {
	s := scanner{b: answer}
	s.object(func(key []byte) {
		if string(key) != "Messages" {
			s.skip()
			return
		}
		s.array(func() {
			var m message
			s.object(func(key []byte) {
				switch string(key) {
				case "ReceiptHandle":
					m.handle = s.str()
				case "Body":
					m.body = s.str()
				default:
					s.skip()
				}
			})
			s.bad = s.bad || m.handle == nil || m.body == nil
			list = append(list, m)
		})
	})
	return list, 0, s.err()
}

// scanEntries reads {"Successful":[{"Id":"7",…}],"Failed":[{"Id":"8","SenderFault":true,…}]}, the answer of SQS to a batch, and
// calls each with every id and the status that REST has for what became of it.
func scanEntries(answer []byte, each func(id []byte, status int)) error {
	s := scanner{b: answer}
	s.object(func(key []byte) {
		done := string(key) == "Successful"
		if !done && string(key) != "Failed" {
			s.skip()
			return
		}
		s.array(func() {
			var id []byte
			status := http.StatusInternalServerError
			if done {
				status = http.StatusCreated
			}
			s.object(func(key []byte) {
				switch string(key) {
				case "Id":
					id = s.str()
				case "SenderFault":
					if s.next() == 't' {
						status = http.StatusBadRequest
					}
					s.skip()
				default:
					s.skip()
				}
			})
			each(id, status)
		})
	})
	return s.err()
}

// problemCode returns the code of a problem document or the type of an error of AWS, or nothing when it is none.
func problemCode(answer []byte) string {
	var code []byte
	s := scanner{b: answer}
	s.object(func(key []byte) {
		if string(key) == "code" || string(key) == "__type" {
			code = s.str()
		} else {
			s.skip()
		}
	})
	const longest = 60
	if s.bad || len(code) > longest {
		return ""
	}
	return string(code)
}

// scanner walks over JSON once, from left to right, without making a tree. It is not a validator: it finds its way
// through correct JSON and sets bad, instead of running on, in other bytes.
type scanner struct {
	b   []byte
	i   int
	bad bool
}

func (s *scanner) err() error {
	if s.bad {
		return errJSON
	}
	return nil
}

// next skips white space and returns the next byte, 0 at the end or after an error.
func (s *scanner) next() byte {
	for ; s.i < len(s.b) && !s.bad; s.i++ {
		if c := s.b[s.i]; c != ' ' && c != '\n' && c != '\t' && c != '\r' {
			return c
		}
	}
	return 0
}

// take consumes c, or sets bad.
func (s *scanner) take(c byte) {
	if s.next() != c {
		s.bad = true
		return
	}
	s.i++
}

// object calls member with each key; member must consume the value.
func (s *scanner) object(member func(key []byte)) {
	s.take('{')
	if s.next() == '}' {
		s.i++
		return
	}
	for !s.bad {
		key := s.str()
		s.take(':')
		if s.bad {
			return
		}
		member(key)
		if s.next() != ',' {
			s.take('}')
			return
		}
		s.i++
	}
}

// array calls element before each element; element must consume it. Null is an empty array.
func (s *scanner) array(element func()) {
	if s.next() == 'n' {
		s.skip()
		return
	}
	s.take('[')
	if s.next() == ']' {
		s.i++
		return
	}
	for !s.bad {
		element()
		if s.next() != ',' {
			s.take(']')
			return
		}
		s.i++
	}
}

// result consumes one element of "acked": an object with a status, or anything else, which says nothing.
func (s *scanner) result() (status int, ok bool) {
	if s.next() != '{' {
		s.skip()
		return 0, false
	}
	s.object(func(key []byte) {
		if string(key) == "status" {
			status, ok = s.number(), true
		} else {
			s.skip()
		}
	})
	return status, ok
}

// str consumes a string and returns what it means. Only a string with escapes is copied.
func (s *scanner) str() []byte {
	s.take('"')
	if s.bad {
		return nil
	}
	start := s.i
	s.endString()
	if s.bad {
		return nil
	}
	if part := s.b[start : s.i-1]; bytes.IndexByte(part, '\\') < 0 {
		return part
	}
	var text string
	if json.Unmarshal(s.b[start-1:s.i], &text) != nil {
		s.bad = true
	}
	return []byte(text)
}

// endString moves behind the quote that ends the string in which s.i stands.
func (s *scanner) endString() {
	for {
		n := bytes.IndexByte(s.b[s.i:], '"')
		if n < 0 {
			s.bad = true
			return
		}
		part := s.b[s.i : s.i+n]
		s.i += n + 1
		backslashes := 0
		for backslashes < n && part[n-1-backslashes] == '\\' {
			backslashes++
		}
		if backslashes%2 == 0 {
			return
		}
	}
}

// number consumes a number; what is not a whole number sets bad.
func (s *scanner) number() int {
	s.next()
	start := s.i
	s.skip()
	if s.bad {
		return 0
	}
	n, err := strconv.Atoi(string(s.b[start:s.i]))
	s.bad = s.bad || err != nil
	return n
}

// skip consumes any value.
func (s *scanner) skip() {
	depth := 0
	for {
		switch c := s.next(); c {
		case 0:
			s.bad = true
			return
		case '"':
			s.i++
			s.endString()
		case '{', '[':
			depth++
			s.i++
		case '}', ']':
			depth--
			s.i++
		case ',', ':':
			s.i++
		default:
			for s.i < len(s.b) && !ends(s.b[s.i]) {
				s.i++
			}
		}
		if s.bad || depth <= 0 {
			return
		}
	}
}

// ends reports whether c stands behind a number or a literal.
func ends(c byte) bool {
	return c == ',' || c == '}' || c == ']' || c == ' ' || c == '\n' || c == '\r' || c == '\t' || c == ':' || c == '"'
}
