package handlers_test

import (
	"fmt"
	"maps"
	"net/http/httptest"
	"slices"
	"testing"

	sdk "github.com/aws/aws-sdk-go-v2/aws"
	"pgregory.net/rapid"

	"github.com/sluicemq/sluice/auth"
	"github.com/sluicemq/sluice/handlers/aws"
	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/internal/keyring"
	"github.com/sluicemq/sluice/internal/redistest"
	"github.com/sluicemq/sluice/queues"
	"github.com/sluicemq/sluice/queues/queuetest"
	"github.com/sluicemq/sluice/tenants"
)

const (
	// doorChecks is how many random histories TestModelThroughTheDoors plays at most, of about doorSteps steps each.
	doorChecks = 60
	doorSteps  = 50
)

// doorChecksGiven says that the command line asks for a number of histories.
var doorChecksGiven bool

// calls counts what a driver asked of its door.
type calls map[string]int

// TestModelThroughTheDoors plays random histories of a queue on a model of it, each step by the store, by REST, by SQS as JSON or
// by SQS as a form. REST and SQS are of two servers. So what one door stores another one receives, and a third one settles.
func TestModelThroughTheDoors(t *testing.T) {
	t.Parallel()
	// On a Redis without a disk: thousands of steps, and no promise about disks.
	server := redistest.Start(t, redistest.Options{NoAOF: true})
	h := newAPITest(t, onServer(server))
	h.api.Limiter = nil // hundreds of requests come within an instant
	second := h.second(server)
	pair, err := h.keys.CreateTenantKey(t.Context(), h.tenant.ID, auth.NewKey{Name: "aws", AWS: true})
	h.must(err)
	signer := doorSigner{clock: h.clock, pair: sdk.Credentials{AccessKeyID: pair.AWSAccessKeyID, SecretAccessKey: pair.AWSSecret.Reveal()}}
	door := httptest.NewServer(aws.New(&aws.Door{
		Queues: second, Topics: h.topics, Tenants: h.tenants, Tasks: h.api.Tasks, Auth: h.api.Auth, Audit: h.api.Audit,
		Notifier: h.notifier, NewID: h.api.NewID, Clock: h.clock,
	}))
	t.Cleanup(door.Close)
	url := door.URL + "/" + h.tenant.AccountNumber + "/"
	rest := &restDriver{Store: h.queues, h: h, calls: calls{}}
	asJSON := &sqsDriver{Store: second, door: newSDKDoor(door.URL, signer), url: url, calls: calls{}}
	asForm := &sqsDriver{Store: second, door: formDoor{url: door.URL, signer: signer}, url: url, zeros: true, calls: calls{}}
	drivers := map[string]calls{"REST": rest.calls, "SQS as JSON": asJSON.calls, "SQS as a form": asForm.calls}

	newQueue := func(name string) {
		_, _, err := h.queues.Put(t.Context(), h.tenant.ID, name, queues.DefaultSettings(), queues.Condition{})
		h.must(err)
	}
	newQueue("other")
	_, err = h.queues.Send(t.Context(), h.tenant.ID, "other", queues.Outgoing{Body: []byte("m")})
	h.must(err)
	other, err := h.queues.Receive(t.Context(), h.tenant.ID, "other", queues.ReceiveOptions{Max: 1})
	h.must(err)
	stage := queuetest.Stage{
		Drivers: []queuetest.Driver{h.queues, rest, asJSON, asForm, rest, asJSON, asForm}, Tenant: h.tenant.ID, Clock: h.clock, Engine: h.engine(server),
		Foreign: other[0].ReceiptHandle,
	}
	most := doorChecks
	if doorChecksGiven {
		most = 0
	}
	name := ""
	queuetest.Play(t, h.clock, most, []string{"Send", "SendBatch", "Receive", "Settle", "AdvanceToEdge"}, func(*rapid.T) rapid.StateMachine {
		s := queuetest.New(stage, queues.DefaultSettings())
		name = fmt.Sprintf("q%d", names.Add(1))
		newQueue(name)
		s.Queue = name
		return s
	}, func(rt *rapid.T) {
		if err := h.queues.Delete(t.Context(), h.tenant.ID, name, queues.Condition{}); err != nil {
			rt.Fatalf("delete the queue: %v", err)
		}
	})
	if t.Failed() {
		return
	}
	want := map[string][]string{ // what chance leaves out never
		"REST":          {"peek", "receive", "send", "sendMany", "stats"},
		"SQS as JSON":   {"change", "counts", "delete", "receive", "send"},
		"SQS as a form": {"change", "counts", "delete", "receive", "send"},
	}
	for door, c := range drivers {
		t.Logf("%s: %v", door, c)
		if missing := slices.DeleteFunc(want[door], func(what string) bool { return c[what] > 0 }); len(missing) > 0 && !doorChecksGiven {
			t.Errorf("%s did %v and never %v", door, slices.Sorted(maps.Keys(c)), missing)
		}
	}
}

// engine connects to a Redis by the clock of the test.
func (h *apiTest) engine(s *redistest.Server) *engine.Engine {
	h.Helper()
	e, err := engine.Open(engine.Options{URL: s.URL(), Clock: h.clock, TestNow: func() int64 { return h.clock.Now().UnixMilli() }})
	h.must(err)
	h.Cleanup(func() { _ = e.Close() })
	h.must(e.StartSession(h.Context()))
	return e
}

// second returns the store of another server on the same Redis.
func (h *apiTest) second(s *redistest.Server) *queues.Store {
	h.Helper()
	master, _, err := keyring.Open(h.TempDir(), masterKey, nil)
	h.must(err)
	e := h.engine(s)
	all := tenants.New(e, h.clock)
	store := queues.New(queues.Config{Engine: e, ReceiptKey: master.Keyring().Derive("receipts"), Clock: h.clock, Terms: all.Terms, Storage: tenants.NewStorage(all)})
	h.run(store.Run)
	return store
}
