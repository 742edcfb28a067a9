package socket

import (
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"bedplate.dev/runner/supervisor/internal/settings"
)

func TestOpen(t *testing.T) {
	root := t.TempDir()
	opener := Opener{Root: root, Settings: settings.Settings{SocketGID: 1234, SocketMode: 0o640}}
	path := filepath.Join(root, "kind", "1.0.0.sock")
	for range 2 { // the second takes the first one's place
		listener, err := opener.Open(path)
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
	}
	info, err := os.Stat(path)
	if err != nil {
		t.Fatal(err)
	}
	if owner := info.Sys().(*syscall.Stat_t); info.Mode() != os.ModeSocket|0o640 || owner.Uid != 0 || owner.Gid != 1234 {
		t.Errorf("mode %v, owner %d:%d", info.Mode(), owner.Uid, owner.Gid)
	}
	conn, err := net.Dial("unix", path)
	if err != nil {
		t.Fatal(err)
	}
	conn.Close()
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("left: %v", left)
	}
}

func TestCheckLength(t *testing.T) {
	base := "/run/bedplate"
	exactly := func(bytes int) string {
		return base + "/" + strings.Repeat("x", bytes-len(base)-1)
	}
	opener := Opener{Root: base}
	if err := opener.Check(exactly(107)); err != nil {
		t.Error(err)
	}
	if err := opener.Check(exactly(108)); err == nil || !strings.Contains(err.Error(), "108 bytes") {
		t.Errorf("got %v", err)
	}
	opener.Settings.HostRun = "/" + strings.Repeat("h", 90)
	if err := opener.Check(base + "/k/0.34.2.sock"); err != nil {
		t.Error(err)
	}
	err := opener.Check(base + "/buildkit/0.34.2.sock")
	if err == nil || !strings.Contains(err.Error(), opener.Settings.HostRun) || !strings.Contains(err.Error(), "hostRun") {
		t.Errorf("got %v, want advice about hostRun", err)
	}
}

func TestLongestPathOpens(t *testing.T) {
	root := t.TempDir()
	path := root + "/" + strings.Repeat("d", 107-len(root)-2-len("0.1.2.sock")) + "/0.1.2.sock"
	if len(path) != 107 {
		t.Fatalf("%d bytes", len(path))
	}
	listener, err := Opener{Root: root, Settings: settings.Settings{SocketMode: 0o600}}.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	listener.Close()
}

func TestRemoveDeadLeavesOtherFilesAndServedSockets(t *testing.T) {
	root := t.TempDir()
	for _, name := range []string{"/a/dead.sock", "/a/served.sock"} {
		listener, err := Opener{Root: root, Settings: settings.Settings{SocketMode: 0o600}}.Open(root + name)
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(name, "dead") {
			listener.Close()
		} else {
			defer listener.Close()
		}
	}
	if err := os.WriteFile(root+"/a/note", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := RemoveDead(root); err != nil {
		t.Fatal(err)
	}
	if left, _ := os.ReadDir(root + "/a"); len(left) != 2 || left[0].Name() != "note" || left[1].Name() != "served.sock" {
		t.Errorf("left: %v", left)
	}
	if err := RemoveDead(root + "/nowhere"); err != nil {
		t.Error(err)
	}
}

func TestRemoveLeavesWhatTookItsPlace(t *testing.T) {
	root := t.TempDir()
	opener := Opener{Root: root, Settings: settings.Settings{SocketMode: 0o600}}
	first, err := opener.Open(root + "/x.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	second, err := opener.Open(root + "/x.sock")
	if err != nil {
		t.Fatal(err)
	}
	defer second.Close()
	if err := first.Remove(); err != nil || first.Mine() || !second.Mine() {
		t.Errorf("%v, mine: %v %v", err, first.Mine(), second.Mine())
	}
	if err := second.Remove(); err != nil || second.Mine() {
		t.Errorf("%v, mine: %v", err, second.Mine())
	}
}
