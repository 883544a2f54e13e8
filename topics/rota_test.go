package topics

import (
	"slices"
	"testing"

	"github.com/sluicemq/sluice/tenants"
)

// A tenant with little to do is next as soon as anything of another's with much is done, and then again before that one.
func TestWhatATenantHasMuchOfKeepsNobodyWaiting(t *testing.T) {
	t.Parallel()
	crowd, _ := tenants.ParseID("0000000001")
	quiet, _ := tenants.ParseID("0000000002")
	third, _ := tenants.ParseID("0000000003")
	began, goOn := make(chan string), map[string]chan struct{}{}
	s := newTurnstile(3)
	pass := func(of tenants.ID, name string) {
		end := make(chan struct{})
		goOn[name] = end
		s.pass(of, func() { began <- name; <-end })
	}
	for _, name := range []string{"c1", "c2", "c3", "c4", "c5"} {
		pass(crowd, name)
	}
	var first []string
	for range 3 {
		first = append(first, <-began)
	}
	slices.Sort(first) // which goroutine is the first is a matter of chance
	if !slices.Equal(first, []string{"c1", "c2", "c3"}) {
		t.Fatalf("first there were %v: nobody else wanted a turn", first)
	}
	pass(quiet, "q1")
	pass(quiet, "q2")
	pass(third, "t1")
	for _, step := range [][2]string{
		{"c1", "q1"}, // nothing of two is under way, and this one has waited longer
		{"c2", "t1"},
		{"q1", "q2"}, // one of the crowd's and of the third's are under way
		{"c3", "c4"},
		{"t1", "c5"}, // nothing else waits
	} {
		close(goOn[step[0]])
		if next := <-began; next != step[1] {
			t.Errorf("after %s came %s, want %s", step[0], next, step[1])
		}
	}
	for _, name := range []string{"q2", "c4", "c5"} {
		close(goOn[name])
	}
}
