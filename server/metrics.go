package server

import (
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/sluicemq/sluice/internal/engine"
	"github.com/sluicemq/sluice/monitor/alarms"
	"github.com/sluicemq/sluice/queues"
)

// metrics are what /metrics shows. No label holds what a tenant chose, so their number is bounded.
type metrics struct {
	registry *prometheus.Registry
	requests *prometheus.HistogramVec
}

func newMetrics(s *Server) *metrics {
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "sluice_http_request_seconds", Help: "Time to answer a request, by route and status. Waiting receives count their wait.",
			Buckets: []float64{.0005, .001, .002, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 25},
		}, []string{"method", "route", "status"}),
	}
	gauge := func(name, help string, value func() float64) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, value)
	}
	m.registry.MustRegister(m.requests, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		gauge("sluice_ready", "1 when /readyz is green.", func() float64 {
			if _, ready := s.health.report(); ready {
				return 1
			}
			return 0
		}),
		gauge("sluice_durability_level", "What an acknowledged write survives: 0 memory, 1 everysec, 2 fsync, 3 replicated, 4 replicated+fsync.", func() float64 {
			level, err := engine.ParseLevel(s.health.durabilityLevel())
			if err != nil {
				return -1
			}
			return float64(level)
		}),
		gauge("sluice_storage_full", "1 while sends are refused because memory or the disk is almost full.", func() float64 {
			if s.health.isFull() {
				return 1
			}
			return 0
		}),
		gauge("sluice_waiting_receives", "Receives that wait for a message on this server.", func() float64 {
			if p := s.parts.Load(); p != nil {
				return float64(p.queues.Waiting())
			}
			return 0
		}),
		newTaskCollector(s),
		&scheduleCollector{server: s, ticks: prometheus.NewDesc("sluice_schedule_ticks_total", "Ticks of schedules that this server dealt with, by what became of them: sent, missed, refused.", []string{"outcome"}, nil)},
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_dropped_messages_total", Help: "Messages that sends to this server have pushed out of full queues (when_full: drop_oldest).",
		}, func() float64 {
			if p := s.parts.Load(); p != nil {
				return float64(p.queues.Dropped())
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_topic_set_aside_total", Help: "Messages of topics that this server passed by because they could not be read, each once for each subscription.",
		}, func() float64 {
			if p := s.parts.Load(); p != nil {
				return float64(p.topics.SetAside())
			}
			return 0
		}),
		prometheus.NewCounterFunc(prometheus.CounterOpts{
			Name: "sluice_topic_subscriptions_damaged_total", Help: "Subscriptions to which this server carried nothing because what is stored of them cannot be read, each counted when it was found.",
		}, func() float64 {
			if p := s.parts.Load(); p != nil {
				return float64(p.topics.Damaged())
			}
			return 0
		}),
		newWebhookCollector(s),
		newAlarmCollector(s),
		&engineCollector{server: s, calls: prometheus.NewDesc("sluice_redis_calls_total", "Script calls to Redis by outcome.", []string{"outcome"}, nil)},
	)
	return m
}

// engineCollector shows the engine's own counts.
type engineCollector struct {
	server *Server
	calls  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (e *engineCollector) Describe(ch chan<- *prometheus.Desc) { ch <- e.calls }

// Collect implements prometheus.Collector.
func (e *engineCollector) Collect(ch chan<- prometheus.Metric) {
	p := e.server.parts.Load()
	if p == nil {
		return
	}
	for outcome, n := range p.engine.Outcomes() {
		ch <- prometheus.MustNewConstMetric(e.calls, prometheus.CounterValue, float64(n), outcome)
	}
}

// taskCollector shows what this server does for tasks, by their type.
type taskCollector struct {
	server                   *Server
	running, steps, failures *prometheus.Desc
}

func newTaskCollector(s *Server) *taskCollector {
	desc := func(name, help string) *prometheus.Desc { return prometheus.NewDesc(name, help, []string{"type"}, nil) }
	return &taskCollector{
		server:   s,
		running:  desc("sluice_tasks_running", "Tasks that this server works on, by type."),
		steps:    desc("sluice_task_steps_total", "Steps of tasks, by type."),
		failures: desc("sluice_task_failures_total", "Steps that failed, by type; most are tried again."),
	}
}

// Describe implements prometheus.Collector.
func (t *taskCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- t.running
	ch <- t.steps
	ch <- t.failures
}

// Collect implements prometheus.Collector.
func (t *taskCollector) Collect(ch chan<- prometheus.Metric) {
	p := t.server.parts.Load()
	if p == nil {
		return
	}
	for kind, c := range p.runner.Counts() {
		ch <- prometheus.MustNewConstMetric(t.running, prometheus.GaugeValue, float64(c.Running), kind)
		ch <- prometheus.MustNewConstMetric(t.steps, prometheus.CounterValue, float64(c.Steps), kind)
		ch <- prometheus.MustNewConstMetric(t.failures, prometheus.CounterValue, float64(c.Failures), kind)
	}
}

// webhookCollector shows what this server sent to webhooks.
type webhookCollector struct {
	server                                                                                            *Server
	attempts, refused, disabled, events, setAside, damaged, outage, outages, excused, sending, shards *prometheus.Desc
}

func newWebhookCollector(s *Server) *webhookCollector {
	return &webhookCollector{server: s,
		attempts: prometheus.NewDesc("sluice_webhook_attempts_total", "Attempts of this server to send to webhooks, by what became of the message: delivered, retried, failed, released (not counted as an attempt).", []string{"outcome"}, nil),
		refused:  prometheus.NewDesc("sluice_webhook_refused_total", "Attempts that the rules for outgoing requests forbade.", nil, nil),
		disabled: prometheus.NewDesc("sluice_webhooks_disabled_total", "Webhooks that this server disabled because of what they answered, or did not.", nil, nil),
		events:   prometheus.NewDesc("sluice_webhook_events_total", "Events of webhooks for the topic sluice.events, by what became of them: told, given_up.", []string{"outcome"}, nil),
		setAside: prometheus.NewDesc("sluice_webhook_set_aside_total", "Messages to webhooks that this server set aside as failed, because they could not be read or never came to a result.", nil, nil),
		damaged:  prometheus.NewDesc("sluice_webhooks_damaged_total", "Webhooks to which this server sent nothing because what is stored of them cannot be read, each counted when it was found.", nil, nil),
		outage:   prometheus.NewDesc("sluice_webhook_outage", "1 while more than half of all endpoints fail in the same way, which is taken for a fault of this server's network.", nil, nil),
		outages:  prometheus.NewDesc("sluice_webhook_outages_total", "How often that began.", nil, nil),
		excused:  prometheus.NewDesc("sluice_webhook_excused_total", "Attempts that failed meanwhile, and were charged to no endpoint or message.", nil, nil),
		sending:  prometheus.NewDesc("sluice_webhook_sending", "Attempts that are under way.", nil, nil),
		shards:   prometheus.NewDesc("sluice_webhook_shards", "Shards of webhooks for which this server sends, of 64.", nil, nil)}
}

// Describe implements prometheus.Collector.
func (w *webhookCollector) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{w.attempts, w.refused, w.disabled, w.events, w.setAside, w.damaged, w.outage, w.outages, w.excused, w.sending, w.shards} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (w *webhookCollector) Collect(ch chan<- prometheus.Metric) {
	p := w.server.parts.Load()
	if p == nil {
		return
	}
	o := p.webhooks.Outcomes()
	for outcome, n := range map[string]int64{"delivered": o.Delivered, "retried": o.Retried, "failed": o.Failed, "released": o.Released} {
		ch <- prometheus.MustNewConstMetric(w.attempts, prometheus.CounterValue, float64(n), outcome)
	}
	ch <- prometheus.MustNewConstMetric(w.refused, prometheus.CounterValue, float64(o.Refused))
	ch <- prometheus.MustNewConstMetric(w.disabled, prometheus.CounterValue, float64(o.Disabled))
	ch <- prometheus.MustNewConstMetric(w.events, prometheus.CounterValue, float64(o.Told), "told")
	ch <- prometheus.MustNewConstMetric(w.events, prometheus.CounterValue, float64(o.Untold), "given_up")
	ch <- prometheus.MustNewConstMetric(w.setAside, prometheus.CounterValue, float64(o.SetAside))
	ch <- prometheus.MustNewConstMetric(w.damaged, prometheus.CounterValue, float64(o.Damaged))
	outage := 0.0
	if p.webhooks.Outage() != "" {
		outage = 1
	}
	ch <- prometheus.MustNewConstMetric(w.outage, prometheus.GaugeValue, outage)
	ch <- prometheus.MustNewConstMetric(w.outages, prometheus.CounterValue, float64(o.Outages))
	ch <- prometheus.MustNewConstMetric(w.excused, prometheus.CounterValue, float64(o.Excused))
	ch <- prometheus.MustNewConstMetric(w.sending, prometheus.GaugeValue, float64(o.Sending))
	ch <- prometheus.MustNewConstMetric(w.shards, prometheus.GaugeValue, float64(o.Shards))
}

// scheduleCollector shows what this server did for schedules.
type scheduleCollector struct {
	server *Server
	ticks  *prometheus.Desc
}

// Describe implements prometheus.Collector.
func (s *scheduleCollector) Describe(ch chan<- *prometheus.Desc) { ch <- s.ticks }

// Collect implements prometheus.Collector.
func (s *scheduleCollector) Collect(ch chan<- prometheus.Metric) {
	p := s.server.parts.Load()
	if p == nil {
		return
	}
	total := map[string]int64{}
	for _, s := range []*queues.Schedules{p.queues.Schedules, p.topics.Schedules} {
		sent, missed, refused := s.ScheduleCounts()
		total["sent"], total["missed"], total["refused"] = total["sent"]+sent, total["missed"]+missed, total["refused"]+refused
	}
	for outcome, n := range total {
		ch <- prometheus.MustNewConstMetric(s.ticks, prometheus.CounterValue, float64(n), outcome)
	}
}

// alarmCollector shows what alarms have found, on the server that looks at them, and what this server told of it.
type alarmCollector struct {
	server                        *Server
	states, active, told, letters *prometheus.Desc
}

func newAlarmCollector(s *Server) *alarmCollector {
	return &alarmCollector{
		server:  s,
		states:  prometheus.NewDesc("sluice_alarms", "Alarms of all tenants, by state: ok, alarm, no_data. 0 on servers that another one looks for.", []string{"state"}, nil),
		active:  prometheus.NewDesc("sluice_alarms_active", "Alarms in state alarm, by the id of the tenant. Of tenants that have any, at most 100; only the server that looks at alarms has it.", []string{"tenant"}, nil),
		told:    prometheus.NewDesc("sluice_alarm_messages_total", "Messages of this server about alarms, by what became of them: published, failed.", []string{"outcome"}, nil),
		letters: prometheus.NewDesc("sluice_alarm_letters_total", "Letters of this server about alarms, by what became of them: sent, failed.", []string{"outcome"}, nil),
	}
}

// Describe implements prometheus.Collector.
func (a *alarmCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- a.states
	ch <- a.active
	ch <- a.told
	ch <- a.letters
}

// Collect implements prometheus.Collector.
func (a *alarmCollector) Collect(ch chan<- prometheus.Metric) {
	p := a.server.parts.Load()
	if p == nil {
		return
	}
	published, failed := p.alarms.Told()
	ch <- prometheus.MustNewConstMetric(a.told, prometheus.CounterValue, float64(published), "published")
	ch <- prometheus.MustNewConstMetric(a.told, prometheus.CounterValue, float64(failed), "failed")
	sent, given := p.alarms.Letters()
	ch <- prometheus.MustNewConstMetric(a.letters, prometheus.CounterValue, float64(sent), "sent")
	ch <- prometheus.MustNewConstMetric(a.letters, prometheus.CounterValue, float64(given), "failed")
	last := p.alarms.Last()
	for _, state := range alarms.States {
		ch <- prometheus.MustNewConstMetric(a.states, prometheus.GaugeValue, float64(last.States[state]), string(state))
	}
	for tenant, n := range last.Active {
		ch <- prometheus.MustNewConstMetric(a.active, prometheus.GaugeValue, float64(n), tenant.String())
	}
}

// request counts one. Requests that match no route share a label.
func (m *metrics) request(verb, route string, status int, took time.Duration) {
	if route == "" {
		route = "none"
	}
	m.requests.WithLabelValues(method(verb), route, strconv.Itoa(status)).Observe(took.Seconds())
}

// method keeps made-up methods from making metrics.
func method(m string) string {
	switch m {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return m
	}
	return "other"
}

// adminHandler serves the metrics listener.
func (s *Server) adminHandler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(s.metrics.registry, promhttp.HandlerOpts{}))
	mux.HandleFunc("GET /healthz", s.health.serveLive)
	mux.HandleFunc("GET /readyz", s.health.serveReady)
	return mux
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}
