package topics_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/internal/filter"
	"github.com/sluicemq/sluice/topics"
)

func TestAPolicyIsCountedOverTheLastMessages(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		large, err := filter.Compile(`{"n":[{"numeric":[">=",1000]}]}`, filter.Body)
		must(t, err)
		count := func(last int) topics.Counted {
			t.Helper()
			got, err := w.CountMatching(t.Context(), w.tenant, tp, large, last)
			must(t, err)
			return got
		}
		if diff := cmp.Diff(topics.Counted{Complete: true}, count(topics.MaxLast)); diff != "" {
			t.Errorf("of an empty log (-want +got):\n%s", diff)
		}
		const all = 1150
		for first := 0; first < all; first += 50 {
			bodies := make([]string, 50)
			for i := range bodies {
				bodies[i] = fmt.Sprintf(`{"n":%d}`, first+i)
			}
			w.publish(t, tp, bodies...)
		}
		for last, matched := range map[int]int{topics.MaxLast: 150, 200: 150, 100: 100, 1: 1} {
			if got := count(last); got.Looked != last || got.Matched != matched || !got.Complete || got.Oldest.IsZero() {
				t.Errorf("of the last %d: %+v, want %d that match", last, got, matched)
			}
			page, err := w.Read(t.Context(), w.tenant, tp, topics.ReadOptions{Place: topics.Place{Last: last}, Limit: 1})
			if must(t, err); len(page.Messages) != 1 || string(page.Messages[0].Message.Body) != fmt.Sprintf(`{"n":%d}`, all-last) {
				t.Errorf("the last %d begin with %v", last, page.Messages)
			}
		}
		_, err = w.CountMatching(t.Context(), w.newTenant(t), tp, large, 10)
		if !errors.Is(err, topics.ErrTopicNotFound) {
			t.Errorf("another tenant gets %v", err)
		}
	})
}

func TestACountOfLargeMessagesIsBounded(t *testing.T) {
	engines(t, func(t *testing.T, w *world) {
		tp := w.topic(t, topics.Settings{Retention: time.Hour})
		body := strings.Repeat("x", 250_000)
		for range 80 {
			w.publish(t, tp, body)
		}
		every, err := filter.Compile("", filter.Attributes)
		must(t, err)
		got, err := w.CountMatching(t.Context(), w.tenant, tp, every, topics.MaxLast)
		if must(t, err); got.Complete || got.Matched != got.Looked || got.Looked*len(body) < topics.MaxCountedBytes || got.Looked > 75 {
			t.Errorf("of 20 MB: %+v", got)
		}
	})
}
