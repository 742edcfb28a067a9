package contract

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const good = `{"schemaVersion": 1, "kind": "buildkit", "version": "0.34.2", "stateLine": "0.34",
	"args": ["/opt/bedplate/engines/buildkit/0.34.2/bin/buildkitd", "--addr", "unix://${socket}", "--root=${state}"],
	"env": ["PATH=/usr/bin:/bin", "NS=${namespace}"], "files": {"buildkitd.toml": "root = ${state}"},
	"defaults": {"buildkitd.toml": "most = ${cacheBytes}, ${freeBytes}"},
	"networks": {"host": {}, "bridge": {"buildkitd.toml": "cni = ${networkConfig}, ${networkPlugins}"}}, "capabilities": ["CAP_SYS_ADMIN"], "protocol": "grpc", "stopSignal": "SIGTERM",
	"startTimeoutMs": 60000, "stopTimeoutMs": 30000}`

func TestDecode(t *testing.T) {
	c, err := Decode([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	if c.ID() != "buildkit-0.34.2" || c.Signal() != unix.SIGTERM || c.StartTimeout() != time.Minute || c.StopTimeout() != 30*time.Second {
		t.Errorf("got %+v", c)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for change, part := range map[[2]string]string{
		{`"schemaVersion": 1`, `"schemaVersion": 2`}:               "schemaVersion",
		{`"kind": "buildkit"`, `"kind": "Buildkit"`}:               "kind",
		{`"kind": "buildkit"`, `"kind": "../x"`}:                   "kind",
		{`"kind": "buildkit"`, `"kind": "a--b"`}:                   "kind",
		{`"version": "0.34.2"`, `"version": "v0.34.2"`}:            "version",
		{`"version": "0.34.2"`, `"version": "0.34"`}:               "version",
		{`"version": "0.34.2"`, `"version": "0.34.2+a"`}:           "version",
		{`"version": "0.34.2"`, `"version": "0.34.2/../../x"`}:     "version",
		{`"/opt/bedplate/engines`, `"opt/bedplate/engines`}:        "absolute",
		{`${socket}`, `${sockets}`}:                                "${sockets} is not a placeholder",
		{`${socket}`, `${}`}:                                       "${} is not a placeholder",
		{`${socket}`, `${socket`}:                                  "not closed",
		{`${namespace}`, `${home}`}:                                "${home}",
		{`"NS=${namespace}"`, `"NS"`}:                              "NAME=value",
		{`"host": {}`, `"none": {}`}:                               `"none" is neither host nor bridge`,
		{`"host": {}`, `"host": {"other.toml": ""}`}:               `"other.toml" of host is not`,
		{`${networkConfig}`, `${networkConfi}`}:                    "${networkConfi} is not a placeholder",
		{`"networks"`, `"network"`}:                                "network",
		{`"NS=${namespace}"`, `"TMPDIR=/tmp"`}:                     "TMPDIR",
		{`"NS=${namespace}"`, `"NS=\u0000"`}:                       "NUL",
		{`"grpc"`, `"tcp"`}:                                        "protocol",
		{`"SIGTERM"`, `"TERM"`}:                                    "stopSignal",
		{`"startTimeoutMs": 60000`, `"startTimeoutMs": 0`}:         "startTimeoutMs",
		{`"startTimeoutMs": 60000`, `"startTimeoutMs": 1e99`}:      "startTimeoutMs",
		{`"stopTimeoutMs": 30000`, `"stopTimeoutMs": -1`}:          "stopTimeoutMs",
		{`"stopTimeoutMs": 30000`, `"stopTimeout": 1`}:             "stopTimeout",
		{`"protocol": "grpc", `, ``}:                               "protocol",
		{`"env": ["PATH=/usr/bin:/bin", "NS=${namespace}"], `, ``}: "env",
		{`"stateLine": "0.34"`, `"stateLine": "0.34-tmp"`}:         "stateLine",
		{`, "stateLine": "0.34"`, ``}:                              "stateLine",
		{`"buildkitd.toml"`, `"../buildkitd.toml"`}:                "files",
		{`"buildkitd.toml"`, `"engine.sock"`}:                      "files",
		{`root = ${state}`, `root = ${sate}`}:                      "${sate}",
		{`"files"`, `"file"`}:                                      "file",
		{`"args": [`, `"args": [], "other": [`}:                    "other",
		{`"schemaVersion": 1`, `"schemaVersion": 1, "extra": {}`}:  "extra",
	} {
		text := strings.Replace(good, change[0], change[1], 1)
		if text == good {
			t.Errorf("%q is not in the sample", change[0])
		}
		if _, err := Decode([]byte(text)); err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want an error with %q", change[1], err, part)
		}
	}
}

func TestCommand(t *testing.T) {
	c, err := Decode([]byte(good))
	if err != nil {
		t.Fatal(err)
	}
	command, err := c.Command(Values{Socket: "/run/s", State: "${run}", Namespace: "n", NetworkConfig: "/c"}, BridgeNetwork)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{c.Args[0], "--addr", "unix:///run/s", "--root=${run}"}; !slices.Equal(command.Args, want) {
		t.Errorf("args %q, want %q: a value is not expanded again", command.Args, want)
	}
	if got, want := command.Files["buildkitd.toml"], "root = ${run}"; got != want {
		t.Errorf("file %q, want %q", got, want)
	}
	if got, want := command.Network["buildkitd.toml"], "cni = /c, "; got != want {
		t.Errorf("network %q, want %q", got, want)
	}
	if want := []string{"PATH=/usr/bin:/bin", "NS=n"}; !slices.Equal(command.Env, want) {
		t.Errorf("env %q, want %q", command.Env, want)
	}
}

func TestANetworkThatTheEngineLacksIsNamed(t *testing.T) {
	c, err := Decode([]byte(strings.Replace(good, `"bridge": {"buildkitd.toml": "cni = ${networkConfig}, ${networkPlugins}"}`, `"host": {}`, 1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.Command(Values{}, BridgeNetwork); err == nil || !strings.Contains(err.Error(), `buildkit-0.34.2 cannot have the network "bridge" (it can have: host)`) {
		t.Errorf("got %v", err)
	}
}

func TestExpandKnowsEveryPlaceholder(t *testing.T) {
	values := Values{Socket: "1", State: "2", Run: "3", ContainerdSocket: "4", Namespace: "5", Cgroup: "6"}
	got, err := expand("${socket}${state}$ {x} ${run}${containerdSocket}${namespace}${cgroup}$", values)
	if err != nil || got != "12$ {x} 3456$" {
		t.Errorf("got %q, %v", got, err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add([]byte(good))
	f.Add([]byte(`{"kind": "a", "args": ["/${", null]}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		c, err := Decode(data)
		if err != nil {
			return
		}
		// What was accepted can be used: it has a safe id, a signal, a command, and stands a second reading.
		if strings.ContainsAny(c.ID(), "/\x00 ") || c.Signal() == 0 {
			t.Errorf("accepted %+v", c)
		}
		for network := range c.Networks {
			if _, err := c.Command(Values{}, network); err != nil {
				t.Errorf("accepted, but: %v", err)
			}
		}
		again, err := json.Marshal(c)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Decode(again); err != nil {
			t.Errorf("refused what it wrote, %s: %v", again, err)
		}
	})
}
