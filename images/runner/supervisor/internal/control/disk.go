package control

import (
	"errors"
	"net/http"

	"bedplate.dev/runner/supervisor/internal/fleet"
)

type imageBody struct {
	Kind       string `json:"kind"`
	Version    string `json:"version"`
	Bytes      int64  `json:"bytes"`
	LastUsedAt string `json:"lastUsedAt"`
}

func (s *Server) images(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	found, err := engines.Images(r.Context())
	if err != nil {
		fail(w, http.StatusInternalServerError, "list_failed", err.Error())
		return
	}
	list := []imageBody{}
	for _, image := range found {
		list = append(list, imageBody{Kind: image.Kind, Version: image.Version, Bytes: image.Bytes, LastUsedAt: rfc3339(image.LastUsed)})
	}
	answer(w, http.StatusOK, map[string]any{"images": list})
}

func (s *Server) pruneImage(w http.ResponseWriter, r *http.Request, engines *fleet.Fleet) {
	err := engines.PruneImage(r.Context(), r.PathValue("kind"), r.PathValue("version"))
	switch {
	case errors.Is(err, fleet.ErrUnknownImage):
		fail(w, http.StatusNotFound, "not_found", err.Error())
	case errors.Is(err, fleet.ErrImageInUse):
		fail(w, http.StatusConflict, "in_use", err.Error())
	case err != nil:
		fail(w, http.StatusInternalServerError, "prune_failed", err.Error())
	default:
		answer(w, http.StatusOK, map[string]any{"pruned": r.PathValue("kind") + "/" + r.PathValue("version")})
	}
}

func (s *Server) disk(w http.ResponseWriter, _ *http.Request, engines *fleet.Fleet) {
	summary, err := engines.Disk()
	if err != nil {
		fail(w, http.StatusInternalServerError, "list_failed", err.Error())
		return
	}
	answer(w, http.StatusOK, map[string]any{
		"totalBytes": summary.Total, "freeBytes": summary.Free, "floorBytes": summary.FloorBytes,
		"budgetBytes": summary.BudgetBytes, "usedBytes": summary.UsedBytes, "full": engines.Full(),
	})
}
