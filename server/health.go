package server

import (
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"

	"github.com/sluicemq/sluice/internal/embedded"
	"github.com/sluicemq/sluice/internal/engine"
)

// health is why the server is or is not ready, for /readyz and the metrics.
type health struct {
	mu         sync.Mutex
	reasons    map[string]string // by code; empty: ready
	durability *engine.Durability
	engine     string
	full       string // why the storage takes nothing more; empty: it has room
	key        string // what is to be done about the master key; empty: nothing
	outage     string // how most endpoints of webhooks fail; empty: they do not
}

func newHealth() *health {
	return &health{reasons: map[string]string{"starting": "The server has not reached its Redis yet."}}
}

// set notes a reason not to be ready, or with an empty detail removes it.
func (h *health) set(code, detail string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if detail == "" {
		delete(h.reasons, code)
		return
	}
	h.reasons[code] = detail
}

func (h *health) has(code string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	_, ok := h.reasons[code]
	return ok
}

func (h *health) setDurability(name string, d engine.Durability) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.engine, h.durability = name, &d
}

// setFull notes why nothing more is stored. That is no reason not to be ready.
func (h *health) setFull(why string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.full = why
}

func (h *health) isFull() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.full != ""
}

// setKey notes what is to be done about the master key, and reports whether that is another thing than before.
func (h *health) setKey(warning string) (changed bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	changed = h.key != warning
	h.key = warning
	return changed
}

// setOutage notes how most endpoints of webhooks fail.
func (h *health) setOutage(code string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.outage = code
}

func (h *health) durabilityLevel() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.durability == nil {
		return "unknown"
	}
	return h.durability.Level.String()
}

// readiness is the answer of /readyz.
type readiness struct {
	Status     string   `json:"status"`
	Reasons    []reason `json:"reasons"`
	Durability string   `json:"durability"`
	Verified   bool     `json:"durability_verified"`
	Engine     string   `json:"engine"`
	Redis      string   `json:"redis_version"`
	Warnings   []string `json:"warnings"`
	Version    string   `json:"version"`
	// Outage is how most endpoints of webhooks fail.
	Outage string `json:"webhook_outage,omitempty"`
}

type reason struct {
	Code   string `json:"code"`
	Detail string `json:"detail"`
}

func (h *health) report() (readiness, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r := readiness{Status: "ready", Reasons: []reason{}, Durability: "unknown", Engine: h.engine, Warnings: []string{}, Version: Version, Outage: h.outage}
	for _, code := range slices.Sorted(maps.Keys(h.reasons)) {
		r.Reasons = append(r.Reasons, reason{code, h.reasons[code]})
	}
	if len(r.Reasons) > 0 {
		r.Status = "not_ready"
	}
	if h.full != "" {
		r.Warnings = append(r.Warnings, "The storage is almost full, so sends are refused: "+h.full)
	}
	if h.key != "" {
		r.Warnings = append(r.Warnings, h.key)
	}
	if h.outage != "" {
		r.Warnings = append(r.Warnings, outageWarning(h.outage))
	}
	if d := h.durability; d != nil {
		r.Durability, r.Verified, r.Redis = d.Level.String(), d.Verified, d.Version
		r.Warnings = append(r.Warnings, d.Unsafe...)
		r.Warnings = append(r.Warnings, d.Warnings...)
		if d.Level == engine.LevelMemory && h.engine == "memory" {
			r.Warnings = append(r.Warnings, embedded.MemoryBanner)
		}
	}
	return r, len(r.Reasons) == 0
}

func outageWarning(code string) string {
	return "Most endpoints of webhooks fail in the same way (" + code + "), which is taken for a fault of this server's network: nothing is charged to them."
}

// serveLive says that the process runs. It never depends on Redis: restarting Sluice would not mend it.
func (h *health) serveLive(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	_, _ = w.Write([]byte(`{"status":"alive"}` + "\n"))
}

// serveReady says whether requests should be sent here, and why not.
func (h *health) serveReady(w http.ResponseWriter, _ *http.Request) {
	r, ready := h.report()
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Cache-Control", "no-store")
	if !ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(r)
}
