package handlers_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/sluicemq/sluice/handlers"
)

// What a real server says is in the tests of server.
func TestOnlyOperatorsSeeTheServer(t *testing.T) {
	t.Parallel()
	h := newAPITest(t)
	for _, path := range []string{"/v1/system", "/v1/system/doctor", "/v1/system/support_bundle"} {
		h.do("GET", path, "").problem(403, "permission_denied")
		h.asOperator("GET", path, "").is(200)
		h.asOperator("GET", path+"?deep=1", "").problem(422, "validation_failed")
	}
	var got handlers.SupportBundle
	h.asOperator("GET", "/v1/system/support_bundle", "").is(200).into(&got)
	want := handlers.SupportBundle{Format: 1, MadeAt: got.MadeAt, System: handlers.System{StartedAt: got.System.StartedAt, Nodes: []handlers.StorageNode{}, Settings: []handlers.Setting{}},
		Findings: wellServer, Metrics: "sluice_ready 1\n"}
	if diff := cmp.Diff(want, got); diff != "" || !got.MadeAt.Equal(start) {
		t.Errorf("made at %s (-want +got):\n%s", got.MadeAt, diff)
	}
}
