package unpack

import (
	"bytes"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bedplate.dev/images/layer/tool/internal/fixture"
	"bedplate.dev/images/layer/tool/internal/pack"
	"bedplate.dev/images/layer/tool/internal/plan"
)

var mediaTypes = map[string]string{
	plan.Zstd: ocispec.MediaTypeImageLayerZstd, plan.Gzip: ocispec.MediaTypeImageLayerGzip, plan.None: ocispec.MediaTypeImageLayer,
}

// packed is the layer that p makes.
func packed(t testing.TB, p *plan.Plan) fixture.Layer {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	res, err := pack.Pack(t.Context(), p, &out, 2)
	if err != nil {
		t.Fatal(err)
	}
	return fixture.Layer{Blob: out.Bytes(), MediaType: mediaTypes[p.Compression], DiffID: digest.Digest(res.DiffID)}
}

// unpacked unpacks the image into a new folder and says how that went.
func unpacked(t testing.TB, layout string, manifest digest.Digest) (root string, res Result, err error) {
	t.Helper()
	root = filepath.Join(t.TempDir(), "root")
	clock := time.Unix(0, 0)
	res, err = Unpack(t.Context(), Options{Layout: layout, Manifest: string(manifest), Dest: root, Now: func() time.Time {
		clock = clock.Add(time.Second)
		return clock
	}})
	return root, res, err
}

// tree describes every entry below root, a line each.
func tree(t testing.TB, root string) string {
	t.Helper()
	var out strings.Builder
	inodes := map[uint64]string{}
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if err != nil || path == root {
			return err
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		name, _ := filepath.Rel(root, path)
		st := fi.Sys().(*syscall.Stat_t)
		fmt.Fprintf(&out, "%s %v %d:%d %d", name, fi.Mode(), st.Uid, st.Gid, fi.ModTime().Unix())
		switch {
		case fi.Mode()&fs.ModeSymlink != 0:
			target, _ := os.Readlink(path)
			fmt.Fprintf(&out, " → %s", target)
		case fi.Mode()&fs.ModeDevice != 0:
			fmt.Fprintf(&out, " %d:%d", st.Rdev>>8&0xfff, st.Rdev&0xff)
		case fi.Mode().IsRegular():
			raw, err := os.ReadFile(path)
			if err != nil {
				return err
			}
			fmt.Fprintf(&out, " %s", digest.FromBytes(raw).Encoded()[:8])
		}
		for _, xattr := range []string{"security.capability", "user.note"} {
			value := make([]byte, 64)
			if n, err := syscall.Getxattr(path, xattr, value); err == nil && fi.Mode().IsRegular() {
				fmt.Fprintf(&out, " %s=%q", xattr, value[:n])
			}
		}
		if first := inodes[st.Ino]; first != "" {
			fmt.Fprintf(&out, " = %s", first)
		} else {
			inodes[st.Ino] = name
		}
		out.WriteByte('\n')
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out.String()
}

func TestRoundTrip(t *testing.T) {
	if os.Geteuid() != 0 {
		t.Skip("device nodes and owners need root")
	}
	when := fmt.Sprint(fixture.Epoch)
	sh := "-rwxr-xr-x 0:0 " + when + " " + digest.FromBytes(fixture.Text(3 << 19)).Encoded()[:8] + fmt.Sprintf(" security.capability=%q", fixture.Capability)
	sh = "u" + sh[1:]
	short := func(s string) string { return digest.FromString(s).Encoded()[:8] }
	want := strings.ReplaceAll(strings.Join([]string{
		"bin drwxr-xr-x 0:0 WHEN",
		"bin/sh " + sh,
		"bin/sh-again " + sh + " = bin/sh",
		"bin/sh-thrice " + sh + " = bin/sh",
		"dev drwxr-xr-x 0:0 WHEN",
		"dev/fifo prw-r----- 0:0 WHEN",
		"dev/loop9 Drw-rw---- 0:6 WHEN 7:9",
		"dev/null Dcrw-rw-rw- 0:0 WHEN 1:3",
		"etc drwxr-xr-x 0:0 WHEN",
		"etc/empty -rw-r--r-- 0:0 WHEN " + short(""),
		"etc/" + fixture.LongName + " -rw-r--r-- 0:0 WHEN " + short("long"),
		"etc/passwd -r--r--r-- 0:0 WHEN " + short("root:x:0:0::/:/bin/sh\n"),
		"home drwxr-xr-x 0:0 WHEN",
		"home/user dgrwxr-x--- 0:0 WHEN",
		"home/user/file -rw------- 1000:100 WHEN " + short("mine") + ` user.note="a\x00b=c\n"`,
		"lib Lrwxrwxrwx 0:0 WHEN → usr/lib",
		"link-to-link Lrwxrwxrwx 0:0 WHEN → usr/lib = lib",
		"nowhere Lrwxrwxrwx 0:0 WHEN → /no/" + fixture.LongName,
		"tmp dtrwxrwxrwx 0:0 WHEN",
		"usr drwxr-xr-x 0:0 WHEN",
		"usr/lib drwxr-xr-x 0:0 WHEN",
		"usr/lib/größe 大きさ -rw-r--r-- 0:0 WHEN " + short("non-ASCII"),
	}, "\n")+"\n", "WHEN", when)
	for compression, level := range map[string]int{plan.Zstd: 3, plan.Gzip: 6, plan.None: 0} {
		layout, manifest := fixture.Layout(t, []fixture.Layer{packed(t, fixture.Everything(t, compression, level))})
		root, res, err := unpacked(t, layout, manifest)
		if err != nil {
			t.Errorf("%s: %v", compression, err)
			continue
		}
		if got := tree(t, root); got != want {
			t.Errorf("%s: unpacked is\n%s\nexpected is\n%s", compression, got, want)
		}
		if want := (Result{Layers: 1, Bytes: 3<<19 + 39, Seconds: 1}); res != want {
			t.Errorf("%+v, expected %+v", res, want)
		}
	}
}

func TestWhiteouts(t *testing.T) {
	below := fixture.Plan(plan.Zstd, 1,
		fixture.Dir("a", 0o755), fixture.File("a/gone", "1", 0o644), fixture.File("a/kept", "1", 0o644),
		fixture.Dir("b", 0o755), fixture.Dir("b/c", 0o755), fixture.File("b/c/deep", "1", 0o644), fixture.File("b/old", "1", 0o644),
		fixture.Dir("d", 0o755), fixture.File("d/x", "1", 0o644), fixture.File("e", "1", 0o644), fixture.Dir("f", 0o755), fixture.File("f/x", "1", 0o644))
	above := fixture.Plan(plan.Gzip, 6,
		fixture.File(".wh.d", "", 0), fixture.Dir("a", 0o700), fixture.File("a/.wh.gone", "", 0),
		fixture.Dir("b", 0o755), fixture.File("b/+first", "2", 0o644), fixture.File("b/.wh..wh..opq", "", 0), fixture.File("b/new", "2", 0o644),
		fixture.Dir("e", 0o755), fixture.File("e/now-a-folder", "2", 0o644), fixture.File("f", "2", 0o644))
	layout, manifest := fixture.Layout(t, []fixture.Layer{packed(t, below), packed(t, above)})
	root, res, err := unpacked(t, layout, manifest)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for line := range strings.Lines(tree(t, root)) {
		fields := strings.Fields(line)
		got = append(got, fields[0]+" "+fields[1])
	}
	want := []string{
		"a drwx------", "a/kept -rw-r--r--", "b drwxr-xr-x", "b/+first -rw-r--r--", "b/new -rw-r--r--",
		"e drwxr-xr-x", "e/now-a-folder -rw-r--r--", "f -rw-r--r--",
	}
	if strings.Join(got, "\n") != strings.Join(want, "\n") || res.Layers != 2 {
		t.Errorf("unpacked is\n%s\nexpected is\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestProgress(t *testing.T) {
	big := fixture.Plan(plan.None, 0, fixture.File("big", string(make([]byte, 40<<20)), 0o644))
	layer := packed(t, big)
	layout, manifest := fixture.Layout(t, []fixture.Layer{packed(t, fixture.Plan(plan.Zstd, 1)), layer})
	var all []Progress
	_, err := Unpack(t.Context(), Options{Layout: layout, Manifest: string(manifest), Dest: filepath.Join(t.TempDir(), "r"), Now: time.Now,
		Progress: func(p Progress) { all = append(all, p) }})
	if err != nil || len(all) != 4 {
		t.Fatalf("%v %+v", err, all)
	}
	if p := all[0]; p.Layer != 1 || p.Layers != 2 || p.Bytes != p.TotalBytes {
		t.Errorf("%+v", p)
	}
	if p, size := all[3], int64(len(layer.Blob)); p.Layer != 2 || p.Bytes != size || p.TotalBytes != size || all[1].Bytes < 16<<20 {
		t.Errorf("%+v", all)
	}
}
