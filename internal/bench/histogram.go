package bench

import (
	"math"
	"math/bits"
	"time"
)

// subBuckets divides each power of two, so a value is off by at most 1/256.
const subBuckets = 128

// histogram counts durations in a bounded space, whatever their number: 7,296 buckets at most.
type histogram struct {
	counts   []uint32 // grown to the largest value seen
	n        int64
	max, min time.Duration
}

func (h *histogram) record(d time.Duration) {
	d = max(d, 0)
	b := bucket(uint64(d))
	if b >= len(h.counts) {
		h.counts = append(h.counts, make([]uint32, b+1-len(h.counts))...)
	}
	h.counts[b]++
	if h.n == 0 || d < h.min {
		h.min = d
	}
	h.max = max(h.max, d)
	h.n++
}

func (h *histogram) add(other *histogram) {
	if other.n == 0 {
		return
	}
	if missing := len(other.counts) - len(h.counts); missing > 0 {
		h.counts = append(h.counts, make([]uint32, missing)...)
	}
	for b, n := range other.counts {
		h.counts[b] += n
	}
	if h.n == 0 || other.min < h.min {
		h.min = other.min
	}
	h.max = max(h.max, other.max)
	h.n += other.n
}

// quantile returns the smallest recorded value that at least q of all values do not exceed (nearest rank), to the width
// of its bucket.
func (h *histogram) quantile(q float64) time.Duration {
	// The small subtraction keeps 0.99*100, which is a little above 99 in floating point, at rank 99.
	rank := int64(math.Ceil(q*float64(h.n) - 1e-9))
	rank = min(max(rank, 1), h.n)
	var seen int64
	for b, n := range h.counts {
		if seen += int64(n); seen >= rank {
			return min(max(middle(b), h.min), h.max)
		}
	}
	return 0
}

func (h *histogram) milliseconds(q float64) float64 {
	return float64(h.quantile(q)) / float64(time.Millisecond)
}

// bucket numbers the buckets in the order of their values: up to 255 one each, then 128 for each power of two.
func bucket(v uint64) int {
	shift := max(bits.Len64(v)-8, 0)
	return shift*subBuckets + int(v>>shift)
}

// middle is the value in the middle of a bucket.
func middle(b int) time.Duration {
	if b < 2*subBuckets {
		return time.Duration(b)
	}
	shift := b/subBuckets - 1
	low := uint64(b-shift*subBuckets) << shift
	return time.Duration(low + 1<<shift/2)
}
