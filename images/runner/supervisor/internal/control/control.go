// Package control serves the control API: docs/spec/runner.md, "Control API".
package control

import (
	"encoding/json"
	"net/http"
	"time"

	"bedplate.dev/runner/supervisor/internal/events"
	"bedplate.dev/runner/supervisor/internal/fleet"
	"bedplate.dev/runner/supervisor/internal/metrics"
)

// Containerd tells how containerd is.
type Containerd interface {
	Info() (version string, pid int, ready bool)
	Restarts() int
}

// Server answers the control API's calls.
type Server struct {
	RunnerVersion string
	StartedAt     time.Time
	// Runner gives what is there by now: nil and a reason until every socket is open; a reason too when it is on its way down.
	Runner  func() (engines *fleet.Fleet, daemon Containerd, reason string)
	Metrics *metrics.Metrics
	Events  *events.Hub
}

// route is one call of docs/spec/control.openapi.json, which a test compares with this list.
type route struct {
	method, path string
	serve        http.HandlerFunc
}

func (s *Server) routes() []route {
	return []route{
		{"GET", "/livez", s.livez},
		{"GET", "/readyz", s.readyz},
		{"GET", "/metrics", s.metrics},
		{"GET", "/v1/events", s.events},
		{"GET", "/v1/resolve", s.whenReady(s.resolve)},
		{"GET", "/v1/engines", s.whenReady(s.engines)},
		{"POST", "/v1/engines/{kind}/{version}/start", s.whenReady(s.start)},
		{"POST", "/v1/engines/{kind}/{version}/stop", s.whenReady(s.stop)},
		{"GET", "/v1/lines", s.whenReady(s.lines)},
		{"DELETE", "/v1/lines/{kind}/{line}", s.whenReady(s.pruneLine)},
		{"GET", "/v1/images", s.whenReady(s.images)},
		{"DELETE", "/v1/images/{kind}/{version}", s.whenReady(s.pruneImage)},
		{"GET", "/v1/disk", s.whenReady(s.disk)},
	}
}

// Handler routes the calls.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	for _, route := range s.routes() {
		mux.HandleFunc(route.method+" "+route.path, route.serve)
	}
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "there is no call "+r.Method+" "+r.URL.Path)
	})
	return mux
}

// whenReady answers not_ready while there are no engines yet, or none any more.
func (s *Server) whenReady(serve func(http.ResponseWriter, *http.Request, *fleet.Fleet)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		engines, _, reason := s.Runner()
		if engines == nil {
			fail(w, http.StatusServiceUnavailable, "not_ready", reason)
			return
		}
		serve(w, r, engines)
	}
}

func (s *Server) livez(w http.ResponseWriter, _ *http.Request) {
	answer(w, http.StatusOK, map[string]any{"live": true})
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	engines, daemon, reason := s.Runner()
	if engines != nil && reason == "" {
		if _, _, ready := daemon.Info(); ready {
			answer(w, http.StatusOK, map[string]any{"ready": true})
			return
		}
		reason = "containerd does not answer"
	}
	answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": reason})
}

func (s *Server) metrics(w http.ResponseWriter, r *http.Request) {
	engines, daemon, _ := s.Runner()
	restarts := 0
	if engines != nil {
		restarts = daemon.Restarts()
	}
	s.Metrics.Handler(engines, restarts).ServeHTTP(w, r)
}

func (s *Server) engines(w http.ResponseWriter, _ *http.Request, engines *fleet.Fleet) {
	engines.Rescan()
	list := []engineBody{}
	for _, member := range engines.List() {
		list = append(list, describe(member))
	}
	_, daemon, _ := s.Runner()
	version, pid, _ := daemon.Info()
	answer(w, http.StatusOK, map[string]any{
		"runner": map[string]any{
			"version":    s.RunnerVersion,
			"startedAt":  rfc3339(s.StartedAt),
			"containerd": map[string]any{"version": version, "pid": pid, "restarts": daemon.Restarts()},
		},
		"engines": list,
	})
}

func fail(w http.ResponseWriter, status int, code, message string) {
	answer(w, status, map[string]any{"error": map[string]string{"code": code, "message": message}})
}

func answer(w http.ResponseWriter, status int, body any) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	// An error here is the client's: it has gone.
	_ = json.NewEncoder(w).Encode(body)
}
