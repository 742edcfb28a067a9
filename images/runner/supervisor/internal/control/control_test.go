package control

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"bedplate.dev/runner/supervisor/internal/catalog"
	"bedplate.dev/runner/supervisor/internal/contract"
	"bedplate.dev/runner/supervisor/internal/engine"
	"bedplate.dev/runner/supervisor/internal/events"
	"bedplate.dev/runner/supervisor/internal/fleet"
	"bedplate.dev/runner/supervisor/internal/gc"
	"bedplate.dev/runner/supervisor/internal/layout/layouttest"
	"bedplate.dev/runner/supervisor/internal/metrics"
	"bedplate.dev/runner/supervisor/internal/paths"
	"bedplate.dev/runner/supervisor/internal/settings"
)

type daemon struct{ ready bool }

func (d *daemon) Restarts() int { return 3 }

func (d *daemon) Info() (string, int, bool) { return "2.4.2", 12, d.ready }

type broken struct{}

func (broken) Start(context.Context, bool) (engine.Process, error) {
	return nil, errors.New("it is broken")
}

func engineJSON(version string) string {
	return strings.ReplaceAll(`{"schemaVersion": 1, "kind": "buildkit", "version": "VERSION",
		"args": ["/bin/x"], "env": [], "files": {}, "defaults": {}, "networks": {"host": {}}, "capabilities": [], "stateLine": "1", "protocol": "grpc", "stopSignal": "SIGTERM", "startTimeoutMs": 1, "stopTimeoutMs": 1}`,
		"VERSION", version)
}

// runner is a runner's control API, on a temporary folder with 0.34.2 baked.
func runner(t testing.TB) (server *Server, at paths.Paths, containerd *daemon) {
	t.Helper()
	at = paths.At(t.TempDir())
	prefix := filepath.Join(at.Engines, "buildkit", "0.34.2")
	if err := os.MkdirAll(prefix, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(prefix+"/engine.json", []byte(engineJSON("0.34.2")), 0o644); err != nil {
		t.Fatal(err)
	}
	engines, err := fleet.Open(fleet.Options{
		Paths: at, Default: "buildkit/0.34.2", Settings: settings.Settings{SocketMode: 0o600, IdleTimeout: time.Hour},
		Starter: func(catalog.Entry) engine.Starter { return broken{} }, Disk: disk{at}, Account: &gc.Account{Path: at.Engines}, Log: slog.New(slog.DiscardHandler),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { engines.Close(context.Background()) })
	containerd = &daemon{ready: true}
	return &Server{RunnerVersion: "0.1.0", StartedAt: time.Now(), Metrics: metrics.New(), Events: &events.Hub{}, Runner: func() (*fleet.Fleet, Containerd, string) {
		return engines, containerd, ""
	}}, at, containerd
}

// disk is state lines without a containerd.
type disk struct{ at paths.Paths }

func (d disk) LineUse(_ context.Context, kind, line string) (int64, time.Time, error) {
	info, err := os.Stat(filepath.Join(d.at.EngineState, kind, line))
	if err != nil {
		return 0, time.Time{}, nil
	}
	return 4096, info.ModTime(), nil
}

func (d disk) RemoveLine(_ context.Context, kind, line string) error {
	return os.RemoveAll(filepath.Join(d.at.EngineState, kind, line))
}

func (disk) TouchLine(string, string) {}

func (d disk) Images(context.Context) ([]fleet.Image, error) {
	return []fleet.Image{{Kind: "buildkit", Version: "0.29.0", Bytes: 7}, {Kind: "buildkit", Version: "0.13.2", Bytes: 8}}, nil
}

func (d disk) RemoveImage(_ context.Context, _, version string) (bool, error) {
	return version == "0.13.2", nil
}

func call(t *testing.T, s *Server, method, path string, into any) int {
	t.Helper()
	answer := httptest.NewRecorder()
	s.Handler().ServeHTTP(answer, httptest.NewRequest(method, path, nil))
	if kind := answer.Header().Get("Content-Type"); kind != "application/json" {
		t.Errorf("%s %s: content type %q", method, path, kind)
	}
	if err := json.Unmarshal(answer.Body.Bytes(), into); err != nil {
		t.Errorf("%s %s: %v in %s", method, path, err, answer.Body)
	}
	return answer.Code
}

type listing struct {
	Runner struct {
		Version, StartedAt string
		Containerd         struct {
			Version string
			Pid     int
		}
	}
	Engines []map[string]any
}

type failure struct {
	Error struct{ Code, Message string }
}

func TestReadyz(t *testing.T) {
	s, _, containerd := runner(t)
	var got struct {
		Ready  bool
		Reason string
	}
	if code := call(t, s, "GET", "/readyz", &got); code != 200 || !got.Ready {
		t.Errorf("%d %+v", code, got)
	}
	containerd.ready = false
	if code := call(t, s, "GET", "/readyz", &got); code != 503 || got.Ready || got.Reason == "" {
		t.Errorf("%d %+v", code, got)
	}
	s.Runner = func() (*fleet.Fleet, Containerd, string) { return nil, nil, "starting" }
	if code := call(t, s, "GET", "/readyz", &got); code != 503 || got.Reason != "starting" {
		t.Errorf("%d %+v", code, got)
	}
}

func TestEngines(t *testing.T) {
	s, at, _ := runner(t)
	var got listing
	if code := call(t, s, "GET", "/v1/engines", &got); code != 200 || len(got.Engines) != 1 {
		t.Fatalf("%d %+v", code, got)
	}
	if _, err := time.Parse(time.RFC3339, got.Runner.StartedAt); err != nil || got.Runner.Version != "0.1.0" || got.Runner.Containerd.Pid != 12 {
		t.Errorf("%+v, %v", got.Runner, err)
	}
	want := map[string]any{
		"kind": "buildkit", "version": "0.34.2", "default": true, "source": "baked", "state": "stopped",
		"socket": at.Sockets + "/buildkit/0.34.2.sock", "connections": 0.0, "pid": 0.0, "startedAt": "", "startMs": 0.0, "lastError": "",
		"failures": 0.0, "stateLine": "1", "waitingFor": "", "temporary": false,
	}
	for field, value := range want {
		if got.Engines[0][field] != value {
			t.Errorf("%s: got %v, want %v", field, got.Engines[0][field], value)
		}
	}
	if len(got.Engines[0]) != len(want) {
		t.Errorf("fields that docs/spec/runner.md has not: %v", got.Engines[0])
	}
}

func TestRoutesAreThoseOfTheOpenAPIFile(t *testing.T) {
	data, err := os.ReadFile("../../../../../docs/spec/control.openapi.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Paths map[string]map[string]any
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	var described, served []string
	for path, methods := range file.Paths {
		for method := range methods {
			described = append(described, strings.ToUpper(method)+" "+path)
		}
	}
	for _, route := range (&Server{}).routes() {
		served = append(served, route.method+" "+route.path)
	}
	slices.Sort(described)
	slices.Sort(served)
	if !slices.Equal(described, served) {
		t.Errorf("described: %q\nserved: %q", described, served)
	}
}

func TestResolve(t *testing.T) {
	s, _, _ := runner(t)
	var got struct {
		Engine struct{ Version string }
		Reason string
		Error  struct{ Code, Message string }
	}
	for query, want := range map[string]int{
		"kind=buildkit": 200, "kind=buildkit&range=0.34": 200, "kind=buildkit&range=%5E0.34.1": 200, "kind=buildkit&range=%3E%3D0.30": 200,
		"kind=buildkit&range=0.29": 404, "kind=moby": 404, "kind=buildkit&range=newest": 400, "": 404,
	} {
		got.Engine.Version = ""
		if code := call(t, s, "GET", "/v1/resolve?"+query, &got); code != want || (code == 200) != (got.Engine.Version == "0.34.2") {
			t.Errorf("%s: %d %+v", query, code, got)
		}
	}
}

func TestFailedStartSaysWhy(t *testing.T) {
	s, _, _ := runner(t)
	var failed struct {
		Error struct{ Code, Message string }
	}
	if code := call(t, s, "POST", "/v1/engines/buildkit/0.34.2/start", &failed); code != 503 || failed.Error.Code != "start_failed" || failed.Error.Message != "it is broken" {
		t.Errorf("%d %+v", code, failed)
	}
}

func TestEvents(t *testing.T) {
	s, _, _ := runner(t)
	server := httptest.NewServer(s.Handler())
	defer server.Close()
	answer, err := http.Get(server.URL + "/v1/events")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	lines := bufio.NewScanner(answer.Body)
	for _, want := range []string{": connected", "", `data: {"msg":"engine ready"}`} {
		if !lines.Scan() || lines.Text() != want {
			t.Fatalf("got %q, %v, want %q", lines.Text(), lines.Err(), want)
		}
		if want == "" {
			s.Events.Write([]byte(`{"msg":"engine ready"}` + "\n"))
		}
	}
}

func TestLines(t *testing.T) {
	s, at, _ := runner(t)
	if err := os.MkdirAll(filepath.Join(at.EngineState, "buildkit", "0"), 0o755); err != nil {
		t.Fatal(err)
	}
	var got struct{ Lines []lineBody }
	if code := call(t, s, "GET", "/v1/lines", &got); code != 200 || len(got.Lines) != 2 {
		t.Fatalf("%d %+v", code, got)
	}
	if old := got.Lines[0]; old.Line != "0" || old.Bytes != 4096 || old.LastUsedAt == "" || len(old.Versions) != 0 {
		t.Errorf("a line without engines: %+v", old)
	}
	if known := got.Lines[1]; known.Line != "1" || known.Holder != "" || known.LastUsedAt != "" || known.Versions[0] != "0.34.2" {
		t.Errorf("the engine's line: %+v", known)
	}
	var failed struct {
		Error struct{ Code, Message string }
	}
	for _, path := range []string{"/v1/lines/buildkit/9", "/v1/lines/buildkit/%2e%2e", "/v1/lines/%2e%2e/containerd"} {
		if code := call(t, s, "DELETE", path, &failed); code != 404 {
			t.Errorf("%s: %d %+v", path, code, failed)
		}
	}
	var pruned struct{ Pruned string }
	if code := call(t, s, "DELETE", "/v1/lines/buildkit/0", &pruned); code != 200 || pruned.Pruned != "buildkit/0" {
		t.Errorf("%d %+v", code, pruned)
	}
	if code := call(t, s, "GET", "/v1/lines", &got); code != 200 || len(got.Lines) != 1 {
		t.Errorf("after pruning: %d %+v", code, got)
	}
}

func TestListingFindsLocalEngines(t *testing.T) {
	s, at, _ := runner(t)
	l := layouttest.New(t)
	for _, version := range []string{"0.13.2", "0.34.2"} {
		l.Tag(l.Image(runtime.GOARCH, map[string]string{contract.Label: engineJSON(version)}), version)
	}
	l.Tag(l.Image(runtime.GOARCH, map[string]string{contract.Label: `{"nonsense": 1}`}), "wrong")
	l.Write()
	if err := os.MkdirAll(at.State, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink(l.Dir, at.Local); err != nil {
		t.Fatal(err)
	}
	var got listing
	call(t, s, "GET", "/v1/engines", &got)
	if len(got.Engines) != 2 || got.Engines[0]["source"] != "local" || got.Engines[1]["source"] != "baked" {
		t.Fatalf("got %v: baked wins, what is wrong is left out", got.Engines)
	}
	conn, err := net.Dial("unix", at.Sockets+"/buildkit/0.13.2.sock")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := conn.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("a failed start: got %v, want EOF", err)
	}
	conn.Close()
	call(t, s, "GET", "/v1/engines", &got)
	if got.Engines[0]["lastError"] != "it is broken" {
		t.Errorf("got %v", got.Engines[0])
	}

	if err := os.Remove(at.Local); err != nil {
		t.Fatal(err)
	}
	time.Sleep(20 * time.Millisecond) // its connection is forgotten
	call(t, s, "GET", "/v1/engines", &got)
	if _, err := os.Stat(at.Sockets + "/buildkit/0.13.2.sock"); len(got.Engines) != 1 || err == nil {
		t.Errorf("after the layout has gone: %v, socket %v", got.Engines, err)
	}
}

func TestStop(t *testing.T) {
	s, _, _ := runner(t)
	var stopped map[string]any
	if code := call(t, s, "POST", "/v1/engines/buildkit/0.34.2/stop", &stopped); code != 200 || stopped["state"] != "stopped" {
		t.Errorf("%d %v", code, stopped)
	}
	for _, path := range []string{"POST /v1/engines/buildkit/9.9.9/stop", "GET /v1/nothing", "DELETE /v1/engines"} {
		var got failure
		method, path, _ := strings.Cut(path, " ")
		if code := call(t, s, method, path, &got); code != http.StatusNotFound || got.Error.Code != "not_found" || got.Error.Message == "" {
			t.Errorf("%s %s: %d %+v", method, path, code, got)
		}
	}
}

func TestImages(t *testing.T) {
	s, _, _ := runner(t)
	var list struct {
		Images []struct {
			Kind, Version, LastUsedAt string
			Bytes                     int64
		}
	}
	if code := call(t, s, "GET", "/v1/images", &list); code != http.StatusOK || len(list.Images) != 2 || list.Images[0].Bytes != 7 {
		t.Errorf("%d, %+v", code, list)
	}
	for path, want := range map[string]int{"buildkit/0.29.0": http.StatusOK, "buildkit/0.13.2": http.StatusConflict, "buildkit/0.1.0": http.StatusNotFound} {
		if code := call(t, s, "DELETE", "/v1/images/"+path, &struct{}{}); code != want {
			t.Errorf("%s: %d, want %d", path, code, want)
		}
	}
}

func TestDisk(t *testing.T) {
	s, _, _ := runner(t)
	var disk struct {
		TotalBytes, FreeBytes, FloorBytes, BudgetBytes int64
		Full                                           *bool
	}
	if code := call(t, s, "GET", "/v1/disk", &disk); code != http.StatusOK || disk.TotalBytes < disk.FreeBytes || disk.FreeBytes == 0 || disk.Full == nil {
		t.Errorf("%d, %+v", code, disk)
	}
}

// FuzzServe holds that whatever is asked for is answered: by JSON, or Prometheus' text.
func FuzzServe(f *testing.F) {
	s, _, _ := runner(f)
	for _, route := range s.routes() {
		f.Add(route.method, strings.NewReplacer("{kind}", "buildkit", "{version}", "0.34.2", "{line}", "0.34").Replace(route.path), "kind=buildkit&range=^0.29")
	}
	f.Add("DELETE", "/v1/lines/buildkit/..%2f..%2fetc", "")
	f.Add("GET", "/v1/resolve", "kind=%zz&range=>=1 <0 || ~x")
	f.Fuzz(func(t *testing.T, method, path, query string) {
		request, err := http.NewRequest(method, "http://runner/", nil)
		if err != nil {
			return // no HTTP server hands that on
		}
		request.URL.Path, request.URL.RawQuery = path, query
		request.RequestURI = path
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		answer := httptest.NewRecorder()
		if path == "/v1/events" {
			cancel() // it goes on until its client leaves
		}
		s.Handler().ServeHTTP(answer, request.WithContext(ctx))
		kind := answer.Header().Get("Content-Type")
		switch {
		case kind == "application/json":
			if !json.Valid(answer.Body.Bytes()) {
				t.Errorf("%s %q: %q", method, path, answer.Body)
			}
		case strings.HasPrefix(kind, "text/plain"), kind == "text/event-stream":
		case answer.Code >= 300 && answer.Code < 400: // the mux cleans the path
		default:
			t.Errorf("%s %q: status %d, content type %q", method, path, answer.Code, kind)
		}
	})
}
