// Package redistest starts and breaks real Redis servers for tests.
//
// Most tests need one line: URL(tb) names a server that the whole test binary shares, so each test
// keeps to keys of its own. A test that breaks something starts a server of its own with Start,
// Cluster or Sentinel. Every server dies with the test binary, even when that is killed.
//
// A package under test ends the shared server in its TestMain:
//
//	func TestMain(m *testing.M) { os.Exit(redistest.Main(m)) }
//
// or, when it also looks for leaked goroutines:
//
//	func TestMain(m *testing.M) { goleak.VerifyTestMain(redistest.Suite{M: m}) }
package redistest

import (
	"os"
	"sync"
	"testing"

	"github.com/alicebob/miniredis/v2"
)

// EnvURL is the environment variable that names a Redis to use in place of the shared one.
const EnvURL = "SLUICE_TEST_REDIS"

// shared is the server behind URL. It belongs to the test binary, not to a test.
var shared struct {
	sync.Mutex
	server *Server
}

// URL returns the URL of the standalone server that all tests of this binary share. It is started by
// the first call, with an AOF that is fsynced before each reply. The test fails without a redis-server.
func URL(tb testing.TB) string {
	tb.Helper()
	if url := os.Getenv(EnvURL); url != "" {
		return url
	}
	shared.Lock()
	defer shared.Unlock()
	if shared.server == nil {
		s, err := launch(Options{}, serverConfig)
		if err != nil {
			tb.Fatalf("redistest: start the shared server: %v", err)
		}
		shared.server = s
	}
	if !shared.server.Running() {
		tb.Fatalf("redistest: a test has ended the shared server; use Start for that")
	}
	return shared.server.URL()
}

// Memory returns the URL of an empty Redis that runs inside the test binary, for suites that must
// hold on both engines. It has no disk, no real clock and a Lua of its own.
func Memory(tb testing.TB) string {
	tb.Helper()
	return "redis://" + miniredis.RunT(tb).Addr()
}

// Main runs the tests, ends the shared server, and returns the exit code.
func Main(m *testing.M) int { return Suite{M: m}.Run() }

// Suite is the tests of a binary together with the shared server that they use.
type Suite struct{ *testing.M }

// Run runs the tests, ends the shared server, and returns the exit code.
func (s Suite) Run() int {
	defer stopShared()
	return s.M.Run()
}

func stopShared() {
	shared.Lock()
	defer shared.Unlock()
	if shared.server != nil {
		shared.server.discard()
		shared.server = nil
	}
}
