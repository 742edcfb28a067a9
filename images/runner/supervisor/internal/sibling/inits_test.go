package sibling

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

func writeFile(t *testing.T, path, text string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func sleeper(t *testing.T) *exec.Cmd {
	t.Helper()
	command := exec.Command("sleep", "60")
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	return command
}

func TestKillInitsTakesTheChildrenOfShimsOnly(t *testing.T) {
	work, stranger := sleeper(t), sleeper(t)
	defer stranger.Wait()
	defer stranger.Process.Kill()
	root := t.TempDir()
	proc, bundles := root+"/proc", root+"/bundles"
	for name, text := range map[string]string{
		fmt.Sprintf("proc/%d/status", work.Process.Pid):     "Name:\tsleep\nPPid:\t7\n",
		fmt.Sprintf("proc/%d/status", stranger.Process.Pid): "Name:\tsleep\nPPid:\t8\n",
		"proc/7/comm":        "containerd-shim\n",
		"proc/8/comm":        "bash\n",
		"bundles/a/init.pid": fmt.Sprint(work.Process.Pid),
		"bundles/b/init.pid": fmt.Sprint(stranger.Process.Pid),
	} {
		writeFile(t, filepath.Join(root, name), text)
	}
	if err := killInits(proc, bundles); err != nil {
		t.Fatal(err)
	}
	if err := work.Wait(); err == nil || !strings.Contains(err.Error(), "killed") {
		t.Errorf("the work ended with %v", err)
	}
	if err := stranger.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("somebody else's process: %v", err)
	}
}

func TestKillInitsNamesAFileThatIsWrong(t *testing.T) {
	root := t.TempDir()
	writeFile(t, root+"/bundles/a/init.pid", "nonsense")
	if err := killInits(root+"/proc", root+"/bundles"); err == nil || !strings.Contains(err.Error(), "a/init.pid") {
		t.Errorf("got %v", err)
	}
	if err := killInits(root+"/proc", root+"/none"); err != nil {
		t.Error(err)
	}
}
