package monitor

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// week returns a sample for each ten seconds of eight days of a queue that takes about rate messages a second.
func week(rate float64) []Sample {
	r := rand.New(rand.NewPCG(1, 2))
	var v Values
	list := make([]Sample, 8*24*360)
	for i := range list {
		day := 1 + float64(i%8640)/8640
		sent := int64(rate * 10 * day * (0.7 + 0.6*r.Float64()))
		received := min(sent+v[Available], int64(rate*10*day*(0.7+0.6*r.Float64())))
		v[Available] += sent - received
		v[InFlight] = int64(float64(received) * (0.1 + 0.1*r.Float64()))
		v[Oldest] = 1_800_000_000_000 + int64(i)*10_000 - int64(r.IntN(30_000))
		v[Bytes] = (v[Available] + v[InFlight]) * int64(1000+r.IntN(100))
		v[Sent] += sent
		v[Received] += received
		v[Deleted] = v[Received] - v[InFlight]
		if r.IntN(100) == 0 {
			v[DeadLettered]++
		}
		list[i] = Sample{int64(180_000_000 + i), v}
	}
	return list
}

func TestAWeekIsKeptInLittle(t *testing.T) {
	t.Parallel()
	for _, rate := range []float64{0.1, 10, 1000} {
		all := week(rate)
		var h history
		size := 0
		for part := range slices.Chunk(all, 720) {
			h.add(part)
			packed := h.pack()
			size, h = len(packed), history{}
			if err := h.unpack(packed); err != nil {
				t.Fatal(err)
			}
		}
		t.Logf("%g messages a second: %d samples in %d bytes", rate, len(h.samples()), size)
		if size > 18<<10 {
			t.Errorf("%g messages a second take %d bytes, want at most 18 KiB", rate, size)
		}
		newest := all[len(all)-1].Span
		for _, back := range []struct {
			window, step time.Duration
			off          float64
		}{{time.Hour, Step, 0.01}, {24 * time.Hour, time.Minute, 0.1}, {MaxWindow, 10 * time.Minute, 0.1}} {
			if got := FinestStep(back.window); got != back.step {
				t.Errorf("%s has steps of %s, want %s", back.window, got, back.step)
			}
			window, step := int64(back.window/Step), int64(back.step/Step)
			got, want := cut(h.samples(), newest, window, step), cut(all, newest, window, step)
			if len(got.Points) != len(want.Points) {
				t.Fatalf("%g messages a second, %s: %d points, want %d", rate, back.window, len(got.Points), len(want.Points))
			}
			var sum, wantSum Values
			for i := range want.Points {
				for c := range columns {
					have, exact := float64(got.Points[i][c]), float64(want.Points[i][c])
					if c == Oldest { // what matters is the age
						end := float64(startOf(newest).UnixMilli())
						have, exact = (end-have)/1000, (end-exact)/1000
					}
					if math.Abs(have-exact) > 2+back.off*exact {
						t.Fatalf("%g messages a second, %s: point %d has %v in column %d, want about %v", rate, back.window, i, have, c, exact)
					}
					sum[c] += got.Points[i][c]
					wantSum[c] += want.Points[i][c]
				}
			}
			for c := Sent; c < columns; c++ {
				if off := math.Abs(float64(sum[c] - wantSum[c])); off > 2+0.001*float64(wantSum[c]) {
					t.Errorf("%g messages a second, %s: all points of column %d together are %d, want about %d", rate, back.window, c, sum[c], wantSum[c])
				}
			}
		}
	}
}

func TestAPackedHistoryIsReadAgain(t *testing.T) {
	t.Parallel()
	all := week(3)
	for n := range 50 {
		var h, once, twice history
		h.add(all[:n*n])
		packed := h.pack()
		if err := once.unpack(packed); err != nil {
			t.Fatal(err)
		}
		if err := twice.unpack(once.pack()); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(once.samples(), twice.samples()); diff != "" {
			t.Errorf("of %d samples (-once +twice):\n%.500s", n*n, diff)
		}
		if len(once.samples()) != len(h.samples()) {
			t.Errorf("of %d samples %d came back", len(h.samples()), len(once.samples()))
		}
		for cut := range min(len(packed), 200) {
			var damaged history
			if err := damaged.unpack(packed[:cut]); err == nil {
				t.Fatalf("%d of %d bytes were read without an error", cut, len(packed))
			}
		}
	}
}

func FuzzUnpack(f *testing.F) {
	var h history
	h.add(week(1)[:100])
	f.Add(h.pack())
	f.Fuzz(func(_ *testing.T, packed []byte) {
		var h history
		_ = h.unpack(packed)
	})
}
