package main

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "bedplated-test-")
	if err != nil {
		return "", err
	}
	for name, source := range map[string]string{"bedplated": ".", "containerd": "./testdata/fakecontainerd"} {
		build := exec.Command("go", "build", "-tags", "osusergo netgo static_build",
			"-ldflags", "-X main.version=1.2.3", "-o", filepath.Join(dir, name), source)
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if output, err := build.CombinedOutput(); err != nil {
			return "", &buildError{string(output), err}
		}
	}
	return dir, nil
})

type buildError struct {
	output string
	error
}

func (b *buildError) Error() string { return b.error.Error() + "\n" + b.output }

func TestMain(m *testing.M) {
	code := m.Run()
	if dir, err := programs(); err == nil {
		os.RemoveAll(dir)
	}
	os.Exit(code)
}

func TestLife(t *testing.T) {
	b := newBox(t)
	b.start()
	b.awaitReady()

	// containerd was started with its configuration and the runner's PATH first.
	first := b.starts()[0]
	if strings.Join(first.Args, " ") != "/opt/bedplate/runner/bin/containerd --config /run/containerd/config.toml" {
		t.Errorf("containerd's arguments: %q", first.Args)
	}
	if !strings.Contains(strings.Join(first.Env, "\n"), "PATH=/opt/bedplate/runner/bin:") {
		t.Errorf("containerd's environment: %q", first.Env)
	}
	// Sockets have owner, group and mode; nothing else in the folder was touched.
	for _, name := range []string{"buildkit/0.34.2.sock", "buildkit/default.sock", "control.sock"} {
		info, err := os.Stat(filepath.Join(b.root, "run/bedplate", name))
		if err != nil || info.Mode() != os.ModeSocket|0o666 || info.Sys().(*syscall.Stat_t).Gid != 77 {
			t.Errorf("%s: %v, %v", name, info, err)
		}
	}
	if _, err := os.Stat(filepath.Join(b.root, "run/bedplate/buildkit/note")); err != nil {
		t.Error(err)
	}
	// containerd dies, and comes back.
	kill(t, b.onlyChild())
	for range 1000 {
		if len(b.starts()) > 1 {
			break
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.awaitReady()
	if status, body := b.get("/v1/engines"); status != 200 || !strings.Contains(body, `"0.0.0-fake"`) {
		t.Errorf("%d %s", status, body)
	}

	b.cmd.Process.Signal(unix.SIGTERM)
	status, last := b.end()
	if status != 0 || last["msg"] != "bedplated stopped" {
		t.Errorf("exit status %d, last line %v", status, last)
	}
	if _, err := os.Stat(filepath.Join(b.root, "fake/stopped")); err != nil {
		t.Error("containerd was not asked to end")
	}
	for _, name := range []string{"buildkit/0.34.2.sock", "buildkit/default.sock", "control.sock"} {
		if _, err := os.Lstat(filepath.Join(b.root, "run/bedplate", name)); err == nil {
			t.Errorf("%s is left", name)
		}
	}
	for _, message := range []string{"containerd ready", "runner ready", "containerd ended", "runner stopping"} {
		if !strings.Contains(b.stderr.String(), `"msg":"`+message+`"`) {
			t.Errorf("the log has no %q", message)
		}
	}
}

func TestRefusals(t *testing.T) {
	for name, c := range map[string]struct{ file, content, part string }{
		"settings":      {"etc/bedplate/bedplated.json", `{"socketMod": "0660"}`, `settings /etc/bedplate/bedplated.json: field \"socketMod\"`},
		"runner.json":   {"opt/bedplate/runner/runner.json", `{}`, "runner.json"},
		"default":       {"opt/bedplate/runner/runner.json", `{"schemaVersion": 1, "version": "1", "default": "buildkit/9.9.9", "basePaths": []}`, "no baked engine buildkit/9.9.9"},
		"engine.json":   {"opt/bedplate/engines/buildkit/0.34.2/engine.json", strings.Replace(engineJSON, `"env"`, `"envs"`, 1), `engines/buildkit/0.34.2/engine.json: engine.json: field \"envs\"`},
		"wrong folder":  {"opt/bedplate/engines/buildkit/0.34.1/engine.json", engineJSON, "not its folder's name"},
		"containerd":    {"fake/die", "I do not want to", "/var/lib/bedplate/log/containerd.log"},
		"TLS files":     {"etc/bedplate/bedplated.json", `{"tlsListen": "127.0.0.1:8443"}`, "open /etc/bedplate/tls/ca.crt: no such file or directory; make a set with `bedplate certs`"},
		"socket length": {"etc/bedplate/bedplated.json", `{"hostRun": "/` + strings.Repeat("h", 100) + `"}`, "107"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t)
			b.write(c.file, c.content)
			b.start()
			status, last := b.end()
			text, _ := json.Marshal(last["error"])
			if status != 1 || !strings.Contains(string(text), c.part) {
				t.Errorf("exit status %d, last line %v, want %q", status, last, c.part)
			}
		})
	}
}

func TestLockIsHeld(t *testing.T) {
	b := newBox(t)
	b.write("var/lib/bedplate/lock", "")
	file, err := os.Open(filepath.Join(b.root, "var/lib/bedplate/lock"))
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	if err := unix.Flock(int(file.Fd()), unix.LOCK_EX); err != nil {
		t.Fatal(err)
	}
	b.start()
	status, last := b.end()
	if text, _ := last["error"].(string); status != 1 || !strings.Contains(text, "/var/lib/bedplate/lock is held") {
		t.Errorf("exit status %d, last line %v", status, last)
	}
}

func TestArguments(t *testing.T) {
	dir, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	output, err := exec.Command(filepath.Join(dir, "bedplated"), "--version").Output()
	if err != nil || string(output) != "bedplated 1.2.3\n" {
		t.Errorf("%q, %v", output, err)
	}
	for _, args := range [][]string{{"--help-me"}, {}} { // an unknown argument; not PID 1
		if err := exec.Command(filepath.Join(dir, "bedplated"), args...).Run(); err == nil {
			t.Errorf("%q: no error", args)
		}
	}
}
