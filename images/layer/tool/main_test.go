package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bedplate.dev/images/layer/tool/internal/fixture"
	"bedplate.dev/images/layer/tool/internal/list"
	"bedplate.dev/images/layer/tool/internal/pack"
	"bedplate.dev/images/layer/tool/internal/plan"
)

// The test binary is the program itself when it is started by tool.
const asTool = "BEDPLATE_LAYER_TEST_AS_TOOL"

func TestMain(m *testing.M) {
	if os.Getenv(asTool) != "" {
		version = "1.2.3-test"
		main()
		os.Exit(0)
	}
	os.Exit(m.Run())
}

// tool is the program with its arguments and standard input, not yet started.
func tool(stdin string, args ...string) *exec.Cmd {
	cmd := exec.Command(os.Args[0], args...)
	cmd.Env = append(os.Environ(), asTool+"=1")
	cmd.Stdin = strings.NewReader(stdin)
	cmd.Stdout, cmd.Stderr = new(bytes.Buffer), new(bytes.Buffer)
	return cmd
}

func stdout(cmd *exec.Cmd) string { return cmd.Stdout.(*bytes.Buffer).String() }
func stderr(cmd *exec.Cmd) string { return cmd.Stderr.(*bytes.Buffer).String() }

// call runs the program and returns its exit status.
func call(cmd *exec.Cmd) int {
	_ = cmd.Run()
	return cmd.ProcessState.ExitCode()
}

const emptyPlan = `{"schemaVersion":1,"epoch":0,"compression":"zstd","level":1,"frameBytes":65536,"entries":[]}`

func TestCommandLine(t *testing.T) {
	out := filepath.Join(t.TempDir(), "blob")
	for _, c := range []struct {
		args           []string
		exit           int
		stdout, stderr string
	}{
		{nil, 2, "", "no command given"},
		{[]string{"frob"}, 2, "", `unknown command "frob"`},
		{[]string{"--version"}, 0, "1.2.3-test\n", ""},
		{[]string{"--help"}, 0, usage, ""},
		{[]string{"pack", "--help"}, 0, usage, ""},
		{[]string{"pack"}, 2, "", "pack: --out is missing"},
		{[]string{"pack", "--out", out, "--threads", "0"}, 2, "", "--threads goes from 1"},
		{[]string{"pack", "--out", out, "--thraeds", "1"}, 2, "", "-thraeds"},
		{[]string{"pack", "--out", out, "more"}, 2, "", "1 arguments besides flags"},
		{[]string{"pack", "--out", out + "/no/blob"}, 1, "", out},
		{[]string{"pack", "--out", out}, 0, `{"diffId":"sha256:5f70bf18a086007016e948b04aed3b82103a36bea41755b6cddfaf10ace3c6ef","digest":"sha256:`, ""},
		{[]string{"list", out}, 0, "", ""},
		{[]string{"list"}, 2, "", "[BLOB]"},
		{[]string{"list", out + "x"}, 1, "", "no such file"},
		{[]string{"apply", "--layout", "x"}, 2, "", "--layout, --manifest and --dest are needed"},
		{[]string{"apply", "--layout", out, "--manifest", "sha256:x", "--dest", out + ".d"}, 1, "", "is no OCI image layout"},
	} {
		cmd := tool(emptyPlan, c.args...)
		exit := call(cmd)
		if exit != c.exit || !strings.HasPrefix(stdout(cmd), c.stdout) || !strings.Contains(stderr(cmd), c.stderr) {
			t.Errorf("%q: exit status %d, output %q, errors %q", c.args, exit, stdout(cmd), stderr(cmd))
		}
		if exit != 0 && (strings.Count(stderr(cmd), "\n") != 1 || !strings.HasPrefix(stderr(cmd), "bedplate-layer: ")) {
			t.Errorf("%q: errors %q are not one line", c.args, stderr(cmd))
		}
	}
	cmd := tool("{\n\"x\":1}", "pack", "--out", out)
	if exit := call(cmd); exit != 1 || !strings.Contains(stderr(cmd), `unknown key "x"`) {
		t.Errorf("a bad plan: exit status %d, errors %q", exit, stderr(cmd))
	}
}

func TestPackApplyList(t *testing.T) {
	dir := t.TempDir()
	out := filepath.Join(dir, "blob")
	raw, err := json.Marshal(fixture.Everything(t, plan.Zstd, 3))
	if err != nil {
		t.Fatal(err)
	}
	packing := tool(string(raw), "pack", "--out", out, "--threads", "3")
	var res pack.Result
	if exit := call(packing); exit != 0 || json.Unmarshal([]byte(stdout(packing)), &res) != nil {
		t.Fatalf("exit status %d, output %q, errors %q", exit, stdout(packing), stderr(packing))
	}
	listing := tool("", "list", out)
	if exit := call(listing); exit != 0 {
		t.Fatalf("exit status %d, errors %q", exit, stderr(listing))
	}
	entries := map[string]list.Entry{}
	for line := range strings.Lines(stdout(listing)) {
		var e list.Entry
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		entries[e.Path] = e
	}
	want := list.Entry{Path: "bin/sh", Type: plan.File, Mode: 0o4755, Size: 3 << 19, Mtime: fixture.Epoch,
		SHA256: digest.FromBytes(fixture.Text(3 << 19)).Encoded(), Xattrs: map[string][]byte{"security.capability": []byte(fixture.Capability)}}
	if got, _ := json.Marshal(entries["bin/sh"]); string(got) != string(marshal(t, want)) {
		t.Errorf("%s, expected %s", got, marshal(t, want))
	}
	want = list.Entry{Path: "dev/loop9", Type: plan.Block, Mode: 0o660, GID: 6, Mtime: fixture.Epoch, Major: 7, Minor: 9}
	if got := marshal(t, entries["dev/loop9"]); string(got) != string(marshal(t, want)) || len(entries) != 22 {
		t.Errorf("%s, expected %s; %d entries", got, marshal(t, want), len(entries))
	}
	blob, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	layout, manifest := fixture.Layout(t, []fixture.Layer{{Blob: blob, MediaType: ocispec.MediaTypeImageLayerZstd, DiffID: digest.Digest(res.DiffID)}})
	applying := tool("", "apply", "--layout", layout, "--manifest", string(manifest), "--dest", filepath.Join(dir, "root"), "--progress")
	if exit := call(applying); exit != 0 || !strings.HasPrefix(stdout(applying), `{"layers":1,"bytes":1572903,"seconds":`) {
		t.Errorf("exit status %d, output %q, errors %q", exit, stdout(applying), stderr(applying))
	}
	if !strings.HasPrefix(stderr(applying), `{"layer":1,"layers":1,"digest":"`+res.Digest+`","bytes":`) {
		t.Errorf("progress is %q", stderr(applying))
	}
}

// A plan whose packing takes long enough to be killed: a sparse file of 16 GiB.
func longPlan(t *testing.T) string {
	t.Helper()
	source := filepath.Join(t.TempDir(), "sparse")
	if err := os.WriteFile(source, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(source, 16<<30); err != nil {
		t.Fatal(err)
	}
	return string(marshal(t, fixture.Plan(plan.Zstd, 1, plan.Entry{Path: "f", Type: plan.File, Mode: fixture.Ptr[int64](0o644), Source: &source})))
}

func TestPackKilled(t *testing.T) {
	dir := t.TempDir()
	out, long := filepath.Join(dir, "blob"), longPlan(t)
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGINT, syscall.SIGHUP, syscall.SIGKILL} {
		cmd := tool(long, "pack", "--out", out)
		killWhen(t, cmd, signal, filepath.Join(dir, ".tmp-layer-*"))
		left := glob(t, filepath.Join(dir, "*"))
		if signal == syscall.SIGKILL {
			if len(left) != 1 {
				t.Errorf("killed: left behind: %v", left)
			}
		} else if len(left) != 0 || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr(cmd), "stopped by signal "+signal.String()) {
			t.Errorf("%v: exit status %d, errors %q, left behind: %v", signal, cmd.ProcessState.ExitCode(), stderr(cmd), left)
		}
	}
	cmd := tool(emptyPlan, "pack", "--out", out)
	if exit := call(cmd); exit != 0 {
		t.Errorf("again: exit status %d, errors %q", exit, stderr(cmd))
	}
	if left := glob(t, filepath.Join(dir, "*")); len(left) != 1 || left[0] != out {
		t.Errorf("again: the folder has %v", left)
	}
}

func TestApplyKilled(t *testing.T) {
	// A layer of 256 MiB in few bytes.
	text := string(bytes.Repeat([]byte("bedplate"), 2<<20))
	entries := []plan.Entry{}
	for i := range 16 {
		entries = append(entries, fixture.File(string(rune('a'+i)), text, 0o644))
	}
	var blob bytes.Buffer
	res, err := pack.Pack(t.Context(), fixture.Plan(plan.Zstd, 1, entries...), &blob, 2)
	if err != nil {
		t.Fatal(err)
	}
	layout, manifest := fixture.Layout(t, []fixture.Layer{{Blob: blob.Bytes(), MediaType: ocispec.MediaTypeImageLayerZstd, DiffID: digest.Digest(res.DiffID)}})
	dir := t.TempDir()
	dest := filepath.Join(dir, "root")
	args := []string{"apply", "--layout", layout, "--manifest", string(manifest), "--dest", dest}
	for _, signal := range []syscall.Signal{syscall.SIGTERM, syscall.SIGKILL} {
		cmd := tool("", args...)
		killWhen(t, cmd, signal, dest+".tmp-*/a")
		left := glob(t, filepath.Join(dir, "*"))
		if signal == syscall.SIGKILL {
			if len(left) != 1 {
				t.Errorf("killed: left behind: %v", left)
			}
		} else if len(left) != 0 || cmd.ProcessState.ExitCode() != 1 || !strings.Contains(stderr(cmd), "stopped by signal terminated") {
			t.Errorf("%v: exit status %d, errors %q, left behind: %v", signal, cmd.ProcessState.ExitCode(), stderr(cmd), left)
		}
	}
	cmd := tool("", args...)
	if exit := call(cmd); exit != 0 {
		t.Errorf("again: exit status %d, errors %q", exit, stderr(cmd))
	}
	if left := glob(t, filepath.Join(dir, "*")); len(left) != 1 || left[0] != dest {
		t.Errorf("again: the folder has %v", left)
	}
}

// killWhen starts cmd, sends it a signal as soon as a file matches the pattern, and waits for its end.
func killWhen(t *testing.T, cmd *exec.Cmd, signal syscall.Signal, pattern string) {
	t.Helper()
	before := len(glob(t, pattern))
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(20 * time.Second); len(glob(t, pattern)) == before; time.Sleep(time.Millisecond) {
		if time.Now().After(deadline) {
			cmd.Process.Kill()
			t.Fatalf("%s does not appear; errors %q", pattern, stderr(cmd))
		}
	}
	if err := cmd.Process.Signal(signal); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait()
	if cmd.ProcessState.Success() {
		t.Fatalf("it was done before signal %v", signal)
	}
}

func glob(t *testing.T, pattern string) []string {
	t.Helper()
	found, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func marshal(t *testing.T, v any) []byte {
	t.Helper()
	raw, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}
