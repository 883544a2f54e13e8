package webhook

// Why nothing is sent for an entry.
const (
	notRetained = "not_retained"
	damaged     = "damaged"
	noResult    = "no_result"
)

// maxLost is how often an entry is lent without anybody saying what came of it: what ends whoever takes it up must not do so
// for ever. It is no bound for attempts, and so large that servers which end for other reasons do not come near it.
const maxLost = 50

// lacking says in words why nothing is sent for an entry.
var lacking = map[string]string{
	notRetained: "The topic does not keep the message any more.",
	damaged:     "What is stored of the message cannot be read. It is set aside; a resend takes the message from the topic, while that keeps it.",
	noResult:    "The message was taken up 50 times, and each time the server ended before it could say what came of it. It is set aside; a resend tries again.",
}

// setAside says what becomes of an entry for which nothing can be sent: it has failed, its log says why, and those behind it
// have their turn.
func (s *Store) setAside(id identity, c *config, l *lent) (v verdict, log, short string) {
	v = verdict{outcome: dead, code: l.lacks, words: lacking[l.lacks]}
	a := Attempt{At: s.clock.Now().UTC(), Entry: l.entry, Try: l.tries, Outcome: Failed, Code: v.code, Error: v.words}
	if l.lacks != notRetained {
		s.counted.setAside.Add(1)
		s.logger.Warn("a message to a webhook was set aside", "tenant", id.tenant.String(), "topic", c.settings.Topic, "subscription", c.settings.Subscription,
			"entry", l.entry, "reason", l.lacks)
	}
	return v, a.encode(), c.short(nil, &a)
}
