package control

import (
	"errors"
	"net/http"
	"time"

	"bedplate.dev/runner/supervisor/internal/fleet"
)

type lineBody struct {
	Kind       string   `json:"kind"`
	Line       string   `json:"line"`
	Holder     string   `json:"holder"`
	Waiting    []string `json:"waiting"`
	Versions   []string `json:"versions"`
	Bytes      int64    `json:"bytes"`
	LastUsedAt string   `json:"lastUsedAt"`
}

func (s *Server) lines(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	found, err := engines.Lines(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, "list_failed", err.Error())
		return
	}
	list := []lineBody{}
	for _, line := range found {
		list = append(list, lineBody{
			Kind: line.Kind, Line: line.Line, Holder: line.Holder, Waiting: line.Waiting, Versions: line.Versions,
			Bytes: line.Bytes, LastUsedAt: rfc3339(line.LastUsed),
		})
	}
	answer(w, http.StatusOK, map[string]any{"lines": list})
}

func (s *Server) pruneLine(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	kind, line := r.PathValue("kind"), r.PathValue("line")
	answerPrune(w, kind+"/"+line, engines.PruneLine(r.Context(), kind, line))
}

func answerPrune(w http.ResponseWriter, name string, err error) {
	switch {
	case errors.Is(err, fleet.ErrUnknownLine), errors.Is(err, fleet.ErrUnknownImage):
		fail(w, http.StatusNotFound, "not_found", err.Error())
	case errors.Is(err, fleet.ErrLineInUse), errors.Is(err, fleet.ErrImageInUse):
		fail(w, http.StatusConflict, "in_use", err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, "prune_failed", err.Error())
	default:
		answer(w, http.StatusOK, map[string]any{"pruned": name})
	}
}

// rfc3339 is "" for the zero time.
func rfc3339(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}
