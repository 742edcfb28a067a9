package control

import (
	"errors"
	"net/http"

	"bedplate.dev/runner/supervisor/internal/fleet"
)

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

// member finds the engine that the path names, or answers that there is none.
func member(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) *fleet.Member {
	found := engines.Find(r.PathValue("kind"), r.PathValue("version"))
	if found == nil {
		fail(w, http.StatusNotFound, "not_found", "there is no engine "+r.PathValue("kind")+"/"+r.PathValue("version"))
	}
	return found
}

func (s *Server) start(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	found := member(w, r, engines)
	if found == nil {
		return
	}
	if err := found.Start(r.Context()); err != nil {
		fail(w, http.StatusServiceUnavailable, "start_failed", err.Error())
		return
	}
	answer(w, http.StatusOK, describe(found))
}

func (s *Server) stop(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	found := member(w, r, engines)
	if found == nil {
		return
	}
	if err := found.Stop(r.Context()); err != nil {
		fail(w, http.StatusInternalServerError, "stop_failed", err.Error())
		return
	}
	answer(w, http.StatusOK, describe(found))
}

func (s *Server) resolve(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	kind, text := r.URL.Query().Get("kind"), r.URL.Query().Get("range")
	engines.Rescan()
	found, err := engines.Resolve(kind, text)
	switch {
	case errors.Is(err, fleet.ErrBadRange):
		fail(w, http.StatusBadRequest, "bad_request", err.Error())
	case err != nil:
		fail(w, http.StatusNotFound, "not_found", err.Error())
	case text == "" && found.Default:
		answer(w, http.StatusOK, map[string]any{"engine": describe(found), "reason": "the default engine of this kind"})
	default:
		answer(w, http.StatusOK, map[string]any{"engine": describe(found), "reason": "the highest version here that the range allows"})
	}
}
