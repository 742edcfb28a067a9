package control

import (
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
	kind, version := r.PathValue("kind"), r.PathValue("version")
	answerPrune(w, kind+"/"+version, engines.PruneImage(r.Context(), kind, version))
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
