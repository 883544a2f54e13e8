package webhook

import (
	"context"
	"sync"
	"time"

	"github.com/sluicemq/sluice/internal/clock"
	"github.com/sluicemq/sluice/internal/egress"
)

const (
	// outageHosts is how many hosts must have been tried within outageSpan before anything is concluded from more than half of
	// them failing in the same way.
	outageHosts = 20
	outageSpan  = time.Minute
	// outageRest is how long what is known of a host counts during an outage, when endpoints are tried less often.
	outageRest = 5 * time.Minute
	// outageHold is how long a failure waits for others to show whether it is one of ours: those that fail first would be charged
	// for it otherwise. While fewer than outageHosts are known, none waits.
	outageHold = 2 * time.Second
	// outageMost bounds the hosts that are remembered. So many are a fair sample of more.
	outageMost = 4096
	// outageFresh is how old what is known of a host may be before the same is noted anew.
	outageFresh = 5 * time.Second
)

// outage tells a fault of this server's network, resolver or clock from faults of endpoints: when more than half of all
// hosts fail in the same way within a minute, the way to them is broken, and neither messages nor endpoints are charged for it.
type outage struct {
	clock clock.Clock

	mu    sync.Mutex
	hosts map[string]sighting
	order []sighting // the oldest first; those that are not their host's last one count no more
	count map[string]int
	code  string        // how more than half of them fail; "": there is no such
	began chan struct{} // closed when that changes from "" to a code
}

// sighting is how a host fared when it was tried last.
type sighting struct {
	host, code string // "": it answered
	at         time.Time
}

func newOutage(c clock.Clock) *outage {
	return &outage{clock: c, hosts: map[string]sighting{}, count: map[string]int{}, began: make(chan struct{})}
}

// localCode returns the code of a failure that may be this server's own, and "" for all else.
func localCode(err error) string {
	switch kind := egress.KindOf(err); kind {
	case egress.NoSuchName, egress.DNS, egress.Connect, egress.TLS, egress.Timeout, egress.Closed:
		return string(kind)
	}
	return ""
}

// see notes how a host fared. It returns the code by which more than half fail now and did before, or "".
func (o *outage) see(host, code string) (now, before string) {
	at := o.clock.Now()
	o.mu.Lock()
	defer o.mu.Unlock()
	before = o.code
	if last, known := o.hosts[host]; known && (last.code != code || at.Sub(last.at) > outageFresh) || !known && len(o.hosts) < outageMost {
		if known {
			o.forget(last)
		}
		s := sighting{host, code, at}
		o.hosts[host], o.order = s, append(o.order, s)
		o.count[code]++
	}
	span := outageSpan
	if before != "" {
		span = outageRest
	}
	for len(o.order) > 0 && at.Sub(o.order[0].at) > span {
		if s := o.order[0]; o.hosts[s.host] == s {
			o.forget(s)
		}
		o.order = o.order[1:]
	}
	o.code = ""
	if len(o.hosts) >= outageHosts {
		for failure, n := range o.count {
			if failure != "" && 2*n > len(o.hosts) {
				o.code = failure
			}
		}
	}
	switch {
	case o.code != "" && before == "":
		close(o.began)
	case o.code == "" && before != "":
		o.began = make(chan struct{})
	}
	return o.code, before
}

// forget takes a host out of the counts. It is called locked.
func (o *outage) forget(s sighting) {
	delete(o.hosts, s.host)
	if o.count[s.code]--; o.count[s.code] == 0 {
		delete(o.count, s.code)
	}
}

// current returns the code by which more than half of all hosts fail, or "".
func (o *outage) current() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.code
}

// doubt returns what to wait for before a failure is charged, and nil where nothing can come of it.
func (o *outage) doubt() <-chan struct{} {
	o.mu.Lock()
	defer o.mu.Unlock()
	if len(o.hosts) < outageHosts {
		return nil
	}
	return o.began
}

// excuse notes how an endpoint fared, and makes a failure one of ours if most others fail in the same way.
func (s *Store) excuse(ctx context.Context, host string, err error, v *verdict) {
	code := localCode(err)
	if err != nil && code == "" {
		return // which says nothing of the way there
	}
	o := s.outage
	now, before := o.see(host, code)
	switch {
	case now != "" && before == "":
		s.counted.outages.Add(1)
		s.logger.Error("more than half of all endpoints fail in the same way: this is taken for a fault of this server's network, and no endpoint or message is charged for it",
			"code", now, "hosts_at_least", outageHosts)
	case now == "" && before != "":
		s.logger.Info("endpoints can be reached again", "code", before)
	}
	if code == "" {
		return
	}
	if began := o.doubt(); now != code && began != nil {
		over := make(chan struct{})
		timer := s.clock.AfterFunc(outageHold, func() { close(over) })
		select {
		case <-began:
		case <-over:
		case <-ctx.Done():
		}
		timer.Stop()
		now = o.current()
	}
	if now != code {
		return
	}
	s.counted.excused.Add(1)
	*v = verdict{outcome: free, health: neutral, code: code, wait: ourFault, peace: ourFault,
		words: v.words + " Most endpoints fail like that now, so it is taken for a fault on our side, and is no attempt."}
}

// Outage returns the code by which more than half of all endpoints fail, so that it is taken for a fault of this server's network;
// "" when all is well.
func (s *Store) Outage() string { return s.outage.current() }
