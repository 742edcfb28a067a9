package settings

import (
	"fmt"
	"net/netip"
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

var month = 30 * 24 * time.Hour

// with gives the defaults of what the owner has not named.
func with(s Settings) Settings {
	s.engines = map[string]Engine{}
	s.Network, s.BridgePools = "host", nil
	for _, pool := range defaultPools {
		s.BridgePools = append(s.BridgePools, netip.MustParsePrefix(pool))
	}
	s.Disk = Disk{FreeBytes: -1, LineMaxAge: month, ImageMaxAge: month}
	return s
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
		if want = with(want); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, %v, want %+v", text, got, err, want)
		}
	}
	if got, err := Load("/nowhere/bedplated.json"); err != nil || !reflect.DeepEqual(got, with(defaults)) {
		t.Errorf("no file: got %+v, %v", got, err)
	}
}

func TestLoadNamesFileAndField(t *testing.T) {
	for text, field := range map[string]string{
		`{"engines": {"buildkit": {"network": "none"}}}`:                "network",
		`{"network": "cni"}`:                                            "network",
		`{"idleTimeout": 1}`:                                            "idleTimeout",
		`{"idleTimeoutMs": "1"}`:                                        "idleTimeoutMs",
		`{"idleTimeoutMs": -1}`:                                         "idleTimeoutMs",
		`{"idleTimeoutMs": 9300000000000000}`:                           "idleTimeoutMs",
		`{"socketMode": 660}`:                                           "socketMode",
		`{"socketMode": "rw-rw----"}`:                                   "socketMode",
		`{"socketGid": -1}`:                                             "socketGid",
		`{"socketGid": 4294967295}`:                                     "socketGid",
		`{"env": {"A B": "x"}}`:                                         "env",
		`{"env": {"A": 1}}`:                                             "env",
		`{"drainMs": -1}`:                                               "drainMs",
		`{"lineWaitMs": -1}`:                                            "lineWaitMs",
		`{"lineConflict": "kill"}`:                                      "lineConflict",
		`{"engines": {"Buildkit": {}}}`:                                 "engines",
		`{"engines": {"buildkit": {"cpu": 1}}}`:                         "cpu",
		`{"engines": {"buildkit": {"cpus": 0.001}}}`:                    "cpus",
		`{"engines": {"buildkit": {"memoryBytes": 4096}}}`:              "memoryBytes",
		`{"engines": {"buildkit/0.1.0": {"pids": -1}}}`:                 "pids",
		`{"engines": {"buildkit": {"idleTimeoutMs": -1}}}`:              "idleTimeoutMs",
		`{"engines": {"buildkit": {"addCapabilities": ["SYS_ADMIN"]}}}`: "addCapabilities",
		`{"engines": {"buildkit": {"stateLine": "../x"}}}`:              "stateLine",
		`{"disk": {"freeBytes": -2}}`:                                   "freeBytes",
		`{"disk": {"budgetBytes": -2}}`:                                 "budgetBytes",
		`{"disk": {"lineMaxAge": 2}}`:                                   "lineMaxAge",
		`{"disk": {"imageMaxAgeMs": -2}}`:                               "imageMaxAgeMs",
		`{"disk": {"pinned": ["a b"]}}`:                                 "pinned",
		`{"disk": []}`:                                                  "disk",
		`{"dns": {"nameservers": ["dns.example.org"]}}`:                 "nameservers",
		`{"dns": {"nameservers": ["::1"], "search": ["a b"]}}`:          "search",
		`{"dns": {"nameservers": ["::1"], "options": ["a\nb"]}}`:        "options",
		`{"dns": {"search": ["example.org"]}}`:                          "nameservers",
		`{"extraHosts": {"a b": "::1"}}`:                                "extraHosts",
		`{"extraHosts": {"a": "b"}}`:                                    "extraHosts",
		`{"hostRun": "run"}`:                                            "hostRun",
		`{"hostRun": null}`:                                             "hostRun",
		`{"tlsListen": "8443"}`:                                         "tlsListen",
		`{"tlsListen": "localhost:8443"}`:                               "tlsListen",
		`{"tlsListen": "::1:8443"}`:                                     "tlsListen",
		`{"tlsListen": ":0"}`:                                           "tlsListen",
		`{"tlsListen": ":65536"}`:                                       "tlsListen",
		`{"tlsSuffix": ""}`:                                             "tlsSuffix",
		`{"tlsSuffix": ".bedplate"}`:                                    "tlsSuffix",
		`{"tlsSuffix": "Example.org"}`:                                  "tlsSuffix",
		`{"socketGid": 1.5, "hostRun": "/run"}`:                         "socketGid",
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

func TestEngines(t *testing.T) {
	s, err := Load(write(t, "bedplated.json", `{"idleTimeoutMs": 1000, "engines": {
		"buildkit/0.13.2": {"pids": 99, "idleTimeoutMs": 0, "network": "host"},
		"buildkit": {"cpus": 1.5, "memoryBytes": 536870912, "pids": 50, "addCapabilities": ["CAP_SYS_PTRACE"], "network": "bridge"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	kind := Engine{IdleTimeout: time.Second, Network: "bridge", CPUs: 1.5, MemoryBytes: 512 << 20, PIDs: 50, Capabilities: []string{"CAP_SYS_PTRACE"}}
	version := kind
	version.IdleTimeout, version.PIDs, version.Network = 0, 99, "host"
	for name, want := range map[string]Engine{"buildkit/0.13.2": version, "buildkit/0.34.2": kind, "docker/29.0.0": {IdleTimeout: time.Second, Network: "host"}} {
		if got := s.Engine(strings.Split(name, "/")[0], strings.Split(name, "/")[1]); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v, want %+v", name, got, want)
		}
	}
}

func TestNetwork(t *testing.T) {
	s, err := Load(write(t, "bedplated.json", `{"network": "bridge", "engines": {"buildkit": {}, "buildkit/0.13.2": {"network": "host"}}}`))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"docker/29.0.0": "bridge", "buildkit/0.34.2": "bridge", "buildkit/0.13.2": "host"} {
		if got := s.Engine(strings.Split(name, "/")[0], strings.Split(name, "/")[1]).Network; got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
}

func TestBridgePools(t *testing.T) {
	s, err := Load(write(t, "bedplated.json", `{"bridgePools": ["10.1.0.0/16", "fd00:1::/48"]}`))
	if err != nil || fmt.Sprint(s.BridgePools) != "[10.1.0.0/16 fd00:1::/48]" {
		t.Errorf("got %v, %v", s.BridgePools, err)
	}
	if s, err = Load(write(t, "bedplated.json", `{}`)); err != nil || len(s.BridgePools) != len(defaultPools) || s.BridgePools[0].String() != defaultPools[0] {
		t.Errorf("without any: got %v, %v", s.BridgePools, err)
	}
	for text, part := range map[string]string{
		`[]`: "is empty", `["10.1.0.0"]`: "not a range", `["10.1.0.1/16"]`: "not a range", `["10.1.0.0/25"]`: "between /8 and /24",
		`["fd00::/65"]`: "between /16 and /64", `["::/0"]`: "between /16 and /64", `["::ffff:10.0.0.0/112"]`: "not a range",
	} {
		path := write(t, "bedplated.json", `{"bridgePools": `+text+`}`)
		_, err := Load(path)
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), `field "bridgePools"`) || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want an error with the file, the field and %q", text, err, part)
		}
	}
}

func TestDiskFloor(t *testing.T) {
	for total, want := range map[int64]int64{1 << 30: 128 << 20, 100 << 30: 2 << 30, 10 << 40: 5 << 30} {
		if got := (Disk{FreeBytes: -1}).FloorBytes(total); got != want {
			t.Errorf("of %d: got %d, want %d", total, got, want)
		}
	}
	if got := (Disk{FreeBytes: 7}).FloorBytes(1 << 40); got != 7 {
		t.Errorf("the owner's 7: got %d", got)
	}
}

func TestNames(t *testing.T) {
	s, err := Load(write(t, "bedplated.json", `{"extraHosts": {"b.example.org": "10.0.0.2", "a": "fd00::1"},
		"dns": {"nameservers": ["10.0.0.53", "fd00::53"], "search": ["example.org"], "options": ["ndots:1"]}}`))
	if err != nil {
		t.Fatal(err)
	}
	if want := "fd00::1 a\n10.0.0.2 b.example.org\n"; s.ExtraHosts != want {
		t.Errorf("hosts %q", s.ExtraHosts)
	}
	if want := "nameserver 10.0.0.53\nnameserver fd00::53\nsearch example.org\noptions ndots:1\n"; s.DNS.ResolvConf() != want {
		t.Errorf("resolv.conf %q", s.DNS.ResolvConf())
	}
}

// FuzzDecode holds that what is accepted can be used: nothing below zero, no line too many in the files made of it.
func FuzzDecode(f *testing.F) {
	for _, text := range []string{
		`{}`, `{"engines": {"buildkit": {"cpus": 1.5}, "buildkit/0.1.0": {"pids": 1}}}`, `{"disk": {"freeBytes": 1, "pinned": ["a"]}}`,
		`{"dns": {"nameservers": ["::1"], "search": ["a.b"], "options": ["ndots:1"]}, "extraHosts": {"a": "1.2.3.4"}}`, `{"env": {"A": "b"}, "tlsListen": ":1"}`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		s, err := decode(data)
		if err != nil {
			return
		}
		for name, engine := range s.engines {
			if engine.CPUs < 0 || engine.MemoryBytes < 0 || engine.PIDs < 0 || engine.IdleTimeout < 0 {
				t.Errorf("%s: %+v", name, engine)
			}
		}
		if s.IdleTimeout < 0 || s.Drain < 0 || s.LineWait < 0 || s.Disk.FloorBytes(1<<40) < 0 || s.Disk.BudgetBytes < 0 {
			t.Errorf("%+v", s)
		}
		for _, line := range strings.Split(strings.TrimSuffix(s.ExtraHosts, "\n"), "\n") {
			if line != "" && len(strings.Fields(line)) != 2 {
				t.Errorf("hosts: %q", line)
			}
		}
		for _, line := range strings.Split(strings.TrimSuffix(s.DNS.ResolvConf(), "\n"), "\n") {
			if line != "" && !strings.HasPrefix(line, "nameserver ") && !strings.HasPrefix(line, "search ") && !strings.HasPrefix(line, "options ") {
				t.Errorf("resolv.conf: %q", line)
			}
		}
	})
}
