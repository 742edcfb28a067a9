package main

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// box is a runner's root in a temporary folder, with the real bedplated and a fake containerd.
type box struct {
	t      *testing.T
	root   string
	cmd    *exec.Cmd
	stderr bytes.Buffer
	ended  chan error
}

const engineJSON = `{"schemaVersion": 1, "kind": "buildkit", "version": "0.34.2", "args": ["/bin/x"], "env": [], "files": {}, "defaults": {}, "networks": {"host": {}}, "capabilities": [], "stateLine": "1",
	"protocol": "grpc", "stopSignal": "SIGTERM", "startTimeoutMs": 1000, "stopTimeoutMs": 1000}`

func newBox(t *testing.T) *box {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root")
	}
	from, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	b := &box{t: t, root: t.TempDir()}
	for name, content := range map[string]string{
		"opt/bedplate/runner/runner.json":                  `{"schemaVersion": 1, "version": "0.1.0", "default": "buildkit/0.34.2", "basePaths": []}`,
		"opt/bedplate/engines/buildkit/0.34.2/engine.json": engineJSON,
		"etc/bedplate/bedplated.json":                      `{"socketGid": 77, "socketMode": "0666"}`,
		"run/bedplate/buildkit/note":                       "not a socket",
		"fake/.keep":                                       "",
		"opt/bedplate/runner/bin/.keep":                    "",
		"dev/null":                                         "",
	} {
		b.write(name, content)
	}
	for _, program := range []string{"bedplated", "containerd"} {
		// A bind-mounted root cannot hold hard links to elsewhere, so these are copies.
		content, err := os.ReadFile(filepath.Join(from, program))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(b.root, "opt/bedplate/runner/bin", program), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	// bedplated makes / rshared, so it has to be a mount.
	if err := unix.Mount(b.root, b.root, "", unix.MS_BIND, ""); err != nil {
		t.Skip("cannot mount here:", err)
	}
	t.Cleanup(func() { unix.Unmount(b.root, unix.MNT_DETACH) })
	return b
}

func (b *box) write(name, content string) {
	b.t.Helper()
	path := filepath.Join(b.root, name)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		b.t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(content), 0o644); err != nil {
		b.t.Fatal(err)
	}
}

// start runs bedplated as PID 1 of namespaces of its own.
func (b *box) start() {
	b.t.Helper()
	b.cmd = exec.Command("/opt/bedplate/runner/bin/bedplated")
	b.cmd.Dir = "/"
	b.cmd.Stderr = &b.stderr
	b.cmd.SysProcAttr = &syscall.SysProcAttr{
		Chroot: b.root, Cloneflags: unix.CLONE_NEWPID, Unshareflags: unix.CLONE_NEWNS,
	}
	if err := b.cmd.Start(); err != nil {
		b.t.Fatal(err)
	}
	b.ended = make(chan error, 1)
	go func() { b.ended <- b.cmd.Wait() }()
	b.t.Cleanup(func() { b.cmd.Process.Kill() })
}

// end waits for bedplated's end and gives its exit status and the last line of its log, having checked that each is JSON.
func (b *box) end() (status int, last map[string]any) {
	b.t.Helper()
	select {
	case <-b.ended:
	case <-time.After(20 * time.Second):
		b.t.Fatalf("bedplated does not end; its log:\n%s", b.stderr.String())
	}
	for line := range strings.Lines(b.stderr.String()) {
		last = nil
		if err := json.Unmarshal([]byte(line), &last); err != nil || last["ms"] == nil || last["msg"] == nil {
			b.t.Errorf("log line %q: %v", line, err)
		}
	}
	return b.cmd.ProcessState.ExitCode(), last
}

func (b *box) get(path string) (status int, body string) {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(context.Context, string, string) (net.Conn, error) {
		return net.Dial("unix", filepath.Join(b.root, "run/bedplate/control.sock"))
	}}}
	answer, err := client.Get("http://runner" + path)
	if err != nil {
		return 0, err.Error()
	}
	defer answer.Body.Close()
	content, _ := io.ReadAll(answer.Body)
	return answer.StatusCode, string(content)
}

func (b *box) awaitReady() {
	b.t.Helper()
	for range 2000 {
		if status, _ := b.get("/readyz"); status == 200 {
			return
		}
		time.Sleep(5 * time.Millisecond)
	}
	b.t.Fatal("never ready")
}

func (b *box) starts() (list []struct {
	Args, Env []string
	Pid       int
}) {
	content, _ := os.ReadFile(filepath.Join(b.root, "fake/starts"))
	decoder := json.NewDecoder(bytes.NewReader(content))
	for decoder.More() {
		list = append(list, struct {
			Args, Env []string
			Pid       int
		}{})
		if err := decoder.Decode(&list[len(list)-1]); err != nil {
			b.t.Fatal(err)
		}
	}
	return list
}

// pid is bedplated's in the test's PID namespace.
func (b *box) pid() string { return strconv.Itoa(b.cmd.Process.Pid) }

func (b *box) proc(elements ...string) string {
	return filepath.Join(append([]string{"/proc", b.pid()}, elements...)...)
}

// onlyChild is containerd, once the orphan that it left has ended and was reaped: a zombie would stay a child.
func (b *box) onlyChild() string {
	b.t.Helper()
	var children []string
	for range 200 {
		if children = b.children(); len(children) == 1 {
			return children[0]
		}
		time.Sleep(10 * time.Millisecond)
	}
	b.t.Fatalf("children %v, want containerd alone", children)
	return ""
}

func (b *box) children() (pids []string) {
	lists, _ := filepath.Glob(b.proc("task", "*", "children"))
	for _, list := range lists {
		content, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(content))...)
	}
	return pids
}

func kill(t *testing.T, pid string) {
	t.Helper()
	number, err := strconv.Atoi(pid)
	if err != nil {
		t.Fatal(err)
	}
	if err := unix.Kill(number, unix.SIGKILL); err != nil {
		t.Fatal(err)
	}
}
