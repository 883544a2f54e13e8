package room_test

import (
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/room"
)

func TestARoomHoldsSoMuch(t *testing.T) {
	t.Parallel()
	r := room.New(1 << 20)
	give, err := r.Take(800_000)
	if err != nil || r.Has(300_000) || !r.Has(200_000) || !r.Has(room.Small) {
		t.Fatalf("%v, %d held", err, r.Held())
	}
	if _, err := r.Take(300_000); !errors.Is(err, room.ErrOverloaded) {
		t.Errorf("more than there is room for: %v", err)
	}
	if small, err := r.Take(room.Small); err != nil || r.Held() != 800_000 {
		t.Errorf("something small: %v, %d held", err, r.Held())
	} else {
		small()
	}
	give()
	if r.Held() != 0 || !r.Has(1<<20) || r.Has(1<<20+1) {
		t.Errorf("%d held after all was given back", r.Held())
	}
	var none *room.Room
	if give, err := none.Take(1 << 40); err != nil || !none.Has(1<<40) {
		t.Errorf("no room has no end: %v", err)
	} else {
		give()
	}
}

func TestABodyTakesRoomAsItComes(t *testing.T) {
	t.Parallel()
	r := room.New(1 << 20)
	body := func(n int) *room.Body {
		return room.NewBody(io.NopCloser(strings.NewReader(strings.Repeat("x", n))), r)
	}
	first, second, small := body(700_000), body(700_000), body(room.Small)
	if r.Held() != 0 {
		t.Errorf("%d held before anything has come", r.Held())
	}
	if n, err := io.Copy(io.Discard, first); n != 700_000 || err != nil {
		t.Fatal(n, err)
	}
	if _, err := io.Copy(io.Discard, second); !errors.Is(err, room.ErrOverloaded) {
		t.Errorf("a second one: %v", err)
	}
	second.Release()
	if n, err := io.Copy(io.Discard, small); n != room.Small || err != nil {
		t.Errorf("a small one: %d, %v", n, err)
	}
	first.Release()
	first.Release()
	small.Release()
	if r.Held() != 0 {
		t.Errorf("%d held after all are gone", r.Held())
	}
}
