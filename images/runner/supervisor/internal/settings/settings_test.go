package settings

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func TestLoad(t *testing.T) {
	defaults := Settings{SocketMode: 0o660, IdleTimeout: 5 * time.Minute, Drain: 5 * time.Minute, LineWait: 10 * time.Minute, TLSSuffix: "bedplate"}
	for text, want := range map[string]Settings{
		`{}`: defaults,
		`{"socketGid": 999, "socketMode": "0666", "idleTimeoutMs": 1500, "hostRun": "/srv/run", "lineWaitMs": 2, "lineConflict": "ephemeral", "drainMs": 7, "env": {"NO_PROXY": "a,b", "HTTPS_PROXY": "http://p:1"}}`: {
			SocketGID: 999, SocketMode: 0o666, IdleTimeout: 1500 * time.Millisecond, HostRun: "/srv/run",
			LineWait: 2 * time.Millisecond, Ephemeral: true, Drain: 7 * time.Millisecond,
			Env: []string{"HTTPS_PROXY=http://p:1", "NO_PROXY=a,b"}, TLSSuffix: "bedplate",
		},
		`{"tlsListen": "[::1]:8443", "tlsSuffix": "engines.example.org"}`: {
			SocketMode: 0o660, IdleTimeout: 5 * time.Minute, Drain: 5 * time.Minute, LineWait: 10 * time.Minute,
			TLSListen: "[::1]:8443", TLSSuffix: "engines.example.org",
		},
	} {
		got, err := Load(write(t, "bedplated.json", text))
		if err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if got, err := Load("/nowhere/bedplated.json"); err != nil || !reflect.DeepEqual(got, defaults) {
		t.Errorf("no file: got %+v, %v", got, err)
	}
}

func TestLoadNamesFileAndField(t *testing.T) {
	for text, field := range map[string]string{
		`{"idleTimeout": 1}`:                    "idleTimeout",
		`{"idleTimeoutMs": "1"}`:                "idleTimeoutMs",
		`{"idleTimeoutMs": -1}`:                 "idleTimeoutMs",
		`{"idleTimeoutMs": 9300000000000000}`:   "idleTimeoutMs",
		`{"socketMode": 660}`:                   "socketMode",
		`{"socketMode": "rw-rw----"}`:           "socketMode",
		`{"socketGid": -1}`:                     "socketGid",
		`{"socketGid": 4294967295}`:             "socketGid",
		`{"env": {"A B": "x"}}`:                 "env",
		`{"env": {"A": 1}}`:                     "env",
		`{"drainMs": -1}`:                       "drainMs",
		`{"lineWaitMs": -1}`:                    "lineWaitMs",
		`{"lineConflict": "kill"}`:              "lineConflict",
		`{"hostRun": "run"}`:                    "hostRun",
		`{"hostRun": null}`:                     "hostRun",
		`{"tlsListen": "8443"}`:                 "tlsListen",
		`{"tlsListen": "localhost:8443"}`:       "tlsListen",
		`{"tlsListen": "::1:8443"}`:             "tlsListen",
		`{"tlsListen": ":0"}`:                   "tlsListen",
		`{"tlsListen": ":65536"}`:               "tlsListen",
		`{"tlsSuffix": ""}`:                     "tlsSuffix",
		`{"tlsSuffix": ".bedplate"}`:            "tlsSuffix",
		`{"tlsSuffix": "Example.org"}`:          "tlsSuffix",
		`{"socketGid": 1.5, "hostRun": "/run"}`: "socketGid",
	} {
		path := write(t, "bedplated.json", text)
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), `"`+field+`"`) {
			t.Errorf("%s: got %v, want an error with the file and the field", text, err)
		}
	}
}

func TestLoadRunner(t *testing.T) {
	path := write(t, "runner.json", `{"schemaVersion": 1, "version": "0.1.0", "default": "buildkit/0.34.2", "basePaths": ["/etc/passwd"]}`)
	got, err := LoadRunner(path)
	if err != nil || got.Version != "0.1.0" || got.Default != "buildkit/0.34.2" || len(got.BasePaths) != 1 {
		t.Errorf("got %+v, %v", got, err)
	}
	for _, text := range []string{
		`{"schemaVersion": 2, "version": "0.1.0", "default": "a/1.0.0", "basePaths": []}`,
		`{"schemaVersion": 1, "version": "", "default": "a/1.0.0", "basePaths": []}`,
		`{"schemaVersion": 1, "version": "0.1.0", "default": "a", "basePaths": []}`,
		`{"schemaVersion": 1, "version": "0.1.0", "default": "a/1.0.0", "basePaths": ["etc"]}`,
		`{"schemaVersion": 1, "version": "0.1.0", "default": "a/1.0.0", "basePaths": ["/etc/../root"]}`,
		`{"schemaVersion": 1, "version": "0.1.0", "default": "a/1.0.0", "basePaths": ["/"]}`,
		`{"schemaVersion": 1, "version": "0.1.0", "default": "a/1.0.0", "basePaths": [], "more": 1}`,
	} {
		if _, err := LoadRunner(write(t, "runner.json", text)); err == nil {
			t.Errorf("%s: no error", text)
		}
	}
}
