// Package metrics tells Prometheus how the runner is: docs/spec/runner.md, "Metrics".
package metrics

import (
	"context"
	"net/http"
	"time"

	"bedplate.dev/runner/supervisor/internal/engine"
	"bedplate.dev/runner/supervisor/internal/fleet"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"
)

const scrapeTimeout = 10 * time.Second

var (
	running = prometheus.NewDesc("bedplate_engine_running", "1 while the engine runs.", []string{"kind", "version"}, nil)
	conns   = prometheus.NewDesc("bedplate_engine_connections", "Clients' open connections, those that wait too.", []string{"kind", "version"}, nil)
	bytes   = prometheus.NewDesc("bedplate_state_line_bytes", "What a state line has on disk.", []string{"kind", "line"}, nil)
	waiting = prometheus.NewDesc("bedplate_state_line_waiting", "Engines that wait for a state line.", []string{"kind", "line"}, nil)
	free    = prometheus.NewDesc("bedplate_disk_free_bytes", "What the runner's file system has free.", nil, nil)
	floor   = prometheus.NewDesc("bedplate_disk_floor_bytes", "What it is to have free.", nil, nil)
	budget  = prometheus.NewDesc("bedplate_disk_budget_bytes", "What state lines and engine images may take together.", nil, nil)
	resets  = prometheus.NewDesc("bedplate_containerd_restarts_total", "How often containerd was started again.", nil, nil)
)

// Metrics is what is counted as it happens. What can be read when it is asked for is read then.
type Metrics struct {
	starts  *prometheus.CounterVec
	seconds *prometheus.HistogramVec
	removed *prometheus.CounterVec
}

// New makes metrics at zero.
func New() *Metrics {
	labels := []string{"kind", "version"}
	return &Metrics{
		starts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedplate_engine_starts_total", Help: "Starts of engines, by result: ok or failed.",
		}, append(labels, "result")),
		seconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "bedplate_engine_start_seconds", Help: "From the first connection until the engine serves.",
			Buckets: []float64{.05, .1, .2, .4, .8, 1.6, 3.2, 6.4, 12.8, 25.6, 60, 300},
		}, labels),
		removed: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "bedplate_disk_removed_bytes_total", Help: "What limits have removed: state lines or engine images.",
		}, []string{"what"}),
	}
}

// Removed counts what a limit has removed.
func (m *Metrics) Removed(what string, bytes int64) {
	m.removed.WithLabelValues(what).Add(float64(bytes))
}

// Started counts one start.
func (m *Metrics) Started(kind, version string, took time.Duration, err error) {
	if err != nil {
		m.starts.WithLabelValues(kind, version, "failed").Inc()
		return
	}
	m.starts.WithLabelValues(kind, version, "ok").Inc()
	m.seconds.WithLabelValues(kind, version).Observe(took.Seconds())
}

// Handler serves Prometheus' text format. engines is nil before the runner is ready: then only the process is told of.
func (m *Metrics) Handler(engines *fleet.Fleet, restarts int) http.Handler {
	registry := prometheus.NewRegistry()
	registry.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m.starts, m.seconds, m.removed)
	if engines != nil {
		registry.MustRegister(&reader{engines: engines, restarts: restarts})
	}
	return promhttp.HandlerFor(registry, promhttp.HandlerOpts{ErrorHandling: promhttp.ContinueOnError})
}

// reader implements prometheus.Collector for one scrape.
type reader struct {
	engines  *fleet.Fleet
	restarts int
}

func (r *reader) Describe(out chan<- *prometheus.Desc) {
	for _, desc := range []*prometheus.Desc{running, conns, bytes, waiting, resets, free, floor, budget} {
		out <- desc
	}
}

func (r *reader) Collect(out chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	out <- prometheus.MustNewConstMetric(resets, prometheus.CounterValue, float64(r.restarts))
	for _, member := range r.engines.List() {
		status := member.Status()
		up := 0.0
		if status.State == engine.Running {
			up = 1
		}
		gauge(running, up, member.Kind, member.Version)
		gauge(conns, float64(status.Connections), member.Kind, member.Version)
	}
	ctx, cancel := context.WithTimeout(context.Background(), scrapeTimeout)
	defer cancel()
	disk, err := r.engines.Disk()
	if err != nil {
		out <- prometheus.NewInvalidMetric(free, err)
	} else {
		gauge(free, float64(disk.Free))
		gauge(floor, float64(disk.FloorBytes))
		gauge(budget, float64(disk.BudgetBytes))
	}
	lines, err := r.engines.Lines(ctx)
	if err != nil {
		out <- prometheus.NewInvalidMetric(bytes, err)
		return
	}
	for _, line := range lines {
		gauge(bytes, float64(line.Bytes), line.Kind, line.Line)
		gauge(waiting, float64(len(line.Waiting)), line.Kind, line.Line)
	}
}
