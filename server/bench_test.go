package server_test

import (
	"bytes"
	"strings"
	"testing"

	"github.com/sluicemq/sluice/internal/bench"
	"github.com/sluicemq/sluice/server/servertest"
)

func TestTheBenchFindsEverythingAccountedFor(t *testing.T) {
	t.Parallel()
	s := servertest.New(t, quiet)
	var out, trouble bytes.Buffer
	args := []string{"--url", s.URL(), "--key", s.Key, "--mode", "lifecycle,lifecycle-batch", "--protocol", "rest,aws", "--duration", "1s", "--connections", "8"}
	status := bench.Command(args, &out, &trouble, func(string) string { return "" })
	t.Logf("%s", out.String())
	if status != 0 {
		t.Errorf("sluice bench ended with %d: %s", status, trouble.String())
	}
	for _, mode := range []string{"lifecycle ", "lifecycle-batch ", "lifecycle aws ", "lifecycle-batch aws "} {
		if !strings.Contains(out.String(), mode) {
			t.Errorf("mode %s has not run", mode)
		}
	}
}
