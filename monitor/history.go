package monitor

import (
	"bytes"
	"cmp"
	"compress/flate"
	"encoding/binary"
	"errors"
	"io"
	"math/bits"
	"slices"
)

// tiers say how fine a series is how far back: one sample in each ten seconds for an hour, in each minute for a day, in each
// ten minutes for a week. Of several samples the last one counts. All in spans.
var tiers = [...]struct{ every, keep int64 }{{1, 360}, {6, 24 * 360}, {60, 7 * 24 * 360}}

// history is the samples of a series by tier, each in ascending order. Each tier keeps one sample that is too old for it:
// what was the case before those that are not.
type history [len(tiers)][]Sample

// add puts samples in, in any order.
func (h *history) add(fresh []Sample) {
	for i, t := range tiers {
		list := append(h[i][:len(h[i]):len(h[i])], fresh...)
		slices.SortStableFunc(list, func(a, b Sample) int { return cmp.Compare(a.Span, b.Span) })
		kept := list[:0]
		for _, s := range list {
			if n := len(kept); n > 0 && kept[n-1].Span/t.every == s.Span/t.every {
				kept[n-1] = s
			} else {
				kept = append(kept, s)
			}
		}
		if len(kept) > 0 {
			oldest := kept[len(kept)-1].Span - t.keep
			first := 0
			for first+1 < len(kept) && kept[first+1].Span <= oldest {
				first++
			}
			kept = kept[first:]
		}
		h[i] = kept
	}
}

// samples returns all samples, each once and from the finest tier that has it, in ascending order.
func (h *history) samples() []Sample {
	list := slices.Concat(h[0], h[1], h[2])
	slices.SortStableFunc(list, func(a, b Sample) int { return cmp.Compare(a.Span, b.Span) })
	return slices.CompactFunc(list, func(a, b Sample) bool { return a.Span == b.Span })
}

// exact and rough are how many bits of a number are kept in the finest tier and in the others: what is over a thousand is
// off by a thousandth at most in the last hour, and what is over thirty by three in a hundred before that.
const exact, rough = 10, 5

// round returns samples with numbers that pack well. Of what is counted at an instant the first bits are kept, of the rest
// about as many of the average step: the steps are off by little, and their sum by no more than one.
func round(list []Sample, mantissa int) []Sample {
	list = slices.Clone(list)
	if len(list) < 2 {
		return list
	}
	for c := range columns {
		unit := int64(1)
		if c >= Sent {
			first, last := list[0], list[len(list)-1]
			average := (last.Values[c] - first.Values[c]) / int64(len(list)-1)
			unit = 1 << max(bits.Len64(uint64(max(average, 0)))-mantissa, 0)
		}
		for i := range list {
			n := &list[i].Values[c]
			if c < Sent && c != Oldest {
				unit = 1 << max(bits.Len64(uint64(max(*n, 0)))-mantissa, 0)
			}
			*n -= *n % unit
		}
	}
	return list
}

// age is the form in which a packed history has the instant of the oldest message: 0 for none, else one more than the
// seconds since then, which are few and need fewer digits the more they are.
func (s *Sample) age(mantissa int) int64 {
	if s.Values[Oldest] == 0 {
		return 0
	}
	n := max(startOf(s.Span).UnixMilli()-s.Values[Oldest], 0)/1000 + 1
	return n - n%(1<<max(bits.Len64(uint64(n))-mantissa, 0))
}

func (s *Sample) setAge(n int64) {
	s.Values[Oldest] = 0
	if n > 0 {
		s.Values[Oldest] = startOf(s.Span).UnixMilli() - (n-1)*1000
	}
}

// packing is the first byte of a packed history.
const packing = 1

// pack writes a history small: columns of differences, compressed.
func (h *history) pack() []byte {
	var raw []byte
	for i, list := range h {
		mantissa := exact
		if i > 0 {
			mantissa = rough
		}
		list = round(list, mantissa)
		raw = binary.AppendUvarint(raw, uint64(len(list)))
		column := func(of func(*Sample) int64) {
			last := int64(0)
			for i := range list {
				n := of(&list[i])
				raw = binary.AppendVarint(raw, n-last)
				last = n
			}
		}
		column(func(s *Sample) int64 { return s.Span })
		for c := range columns {
			column(func(s *Sample) int64 {
				if c == Oldest {
					return s.age(mantissa)
				}
				return s.Values[c]
			})
		}
	}
	var b bytes.Buffer
	b.WriteByte(packing)
	w, _ := flate.NewWriter(&b, flate.BestCompression)
	_, _ = w.Write(raw) // into memory: it cannot fail
	_ = w.Close()
	return b.Bytes()
}

var errPacked = errors.New("a packed series cannot be read")

// mostPacked bounds what a packed history may say that it is, in bytes.
const mostPacked = 1 << 20

// unpack reads what pack has written.
func (h *history) unpack(packed []byte) error {
	if len(packed) == 0 || packed[0] != packing {
		return errPacked
	}
	raw, err := io.ReadAll(io.LimitReader(flate.NewReader(bytes.NewReader(packed[1:])), mostPacked))
	if err != nil {
		return errPacked
	}
	r := bytes.NewReader(raw)
	for i := range h {
		n, err := binary.ReadUvarint(r)
		if err != nil || n > uint64(r.Len()) {
			return errPacked
		}
		list := make([]Sample, n)
		for c := -1; c < columns; c++ {
			last := int64(0)
			for k := range list {
				d, err := binary.ReadVarint(r)
				if err != nil {
					return errPacked
				}
				last += d
				switch {
				case c < 0:
					list[k].Span = last
				case c == Oldest:
					list[k].setAge(last)
				default:
					list[k].Values[c] = last
				}
			}
		}
		h[i] = list
	}
	return nil
}
