// Package control serves the control API: docs/spec/runner.md, "Control API".
package control

import (
	"encoding/json"
	"net/http"
	"time"

	"bedplate.dev/runner/supervisor/internal/fleet"
)

// Containerd tells how containerd is.
type Containerd interface {
	Info() (version string, pid int, ready bool)
}

// Server answers the control API's calls.
type Server struct {
	RunnerVersion string
	StartedAt     time.Time
	// Runner gives what is there by now: nil and a reason until every socket is open.
	Runner func() (engines *fleet.Fleet, daemon Containerd, reason string)
}

// Handler routes the calls.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /readyz", s.readyz)
	mux.HandleFunc("GET /v1/engines", s.engines)
	mux.HandleFunc("POST /v1/engines/{kind}/{version}/stop", s.stop)
	mux.HandleFunc("GET /v1/lines", s.lines)
	mux.HandleFunc("DELETE /v1/lines/{kind}/{line}", s.pruneLine)
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		fail(w, http.StatusNotFound, "not_found", "there is no call "+r.Method+" "+r.URL.Path)
	})
	return mux
}

func (s *Server) readyz(w http.ResponseWriter, _ *http.Request) {
	engines, daemon, reason := s.Runner()
	if engines != nil {
		if _, _, ready := daemon.Info(); ready {
			answer(w, http.StatusOK, map[string]any{"ready": true})
			return
		}
		reason = "containerd does not answer"
	}
	answer(w, http.StatusServiceUnavailable, map[string]any{"ready": false, "reason": reason})
}

func (s *Server) engines(w http.ResponseWriter, _ *http.Request) {
	engines, daemon, reason := s.Runner()
	if engines == nil {
		fail(w, http.StatusServiceUnavailable, "not_ready", reason)
		return
	}
	engines.Rescan()
	list := []engineBody{}
	for _, member := range engines.List() {
		list = append(list, describe(member))
	}
	version, pid, _ := daemon.Info()
	answer(w, http.StatusOK, map[string]any{
		"runner": map[string]any{
			"version":    s.RunnerVersion,
			"startedAt":  rfc3339(s.StartedAt),
			"containerd": map[string]any{"version": version, "pid": pid},
		},
		"engines": list,
	})
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request) {
	engines, _, reason := s.Runner()
	if engines == nil {
		fail(w, http.StatusServiceUnavailable, "not_ready", reason)
		return
	}
	member := engines.Find(r.PathValue("kind"), r.PathValue("version"))
	if member == nil {
		fail(w, http.StatusNotFound, "not_found", "there is no engine "+r.PathValue("kind")+"/"+r.PathValue("version"))
		return
	}
	if err := member.Stop(r.Context()); err != nil {
		fail(w, http.StatusInternalServerError, "stop_failed", err.Error())
		return
	}
	answer(w, http.StatusOK, describe(member))
}

type engineBody struct {
	Kind        string `json:"kind"`
	Version     string `json:"version"`
	Default     bool   `json:"default"`
	Source      string `json:"source"`
	State       string `json:"state"`
	Socket      string `json:"socket"`
	Connections int    `json:"connections"`
	PID         int    `json:"pid"`
	StartedAt   string `json:"startedAt"`
	StartMs     int64  `json:"startMs"`
	LastError   string `json:"lastError"`
	Failures    int    `json:"failures"`
	StateLine   string `json:"stateLine"`
	WaitingFor  string `json:"waitingFor"`
	Temporary   bool   `json:"temporary"`
}

func describe(member *fleet.Member) engineBody {
	status := member.Status()
	return engineBody{
		Kind: member.Kind, Version: member.Version, Default: member.Default, Source: string(member.Source),
		State: string(status.State), Socket: member.SocketPath, Connections: status.Connections, PID: status.PID,
		StartedAt: rfc3339(status.StartedAt), StartMs: status.Start.Milliseconds(), LastError: status.LastError,
		Failures: status.Failures, StateLine: member.StateLine, WaitingFor: status.WaitingFor, Temporary: status.Temporary,
	}
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
