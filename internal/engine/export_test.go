package engine

// What the tests look at.
const (
	AttemptTimeout = attemptTimeout
	MaxFlushes     = maxFlushes
	MaxFlush       = maxFlush
)

// MemoryText returns what the in-memory engine is sent.
func (s *Script) MemoryText() string { return s.memory.text }

// Wind sets how many ids a session has made.
func (s Session) Wind(count uint32) { s.ids.counter = count }
