package unpack

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"bedplate.dev/images/layer/tool/internal/fixture"
	"bedplate.dev/images/layer/tool/internal/plan"
)

// refused checks that unpacking fails with an error that has all of wants, and that nothing is left.
func refused(t *testing.T, name, layout string, manifest digest.Digest, wants ...string) {
	t.Helper()
	root, _, err := unpacked(t, layout, manifest)
	if err == nil {
		t.Errorf("%s: unpacked", name)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%s: the error is %q, which has no %q", name, err, want)
		}
	}
	if left, _ := os.ReadDir(filepath.Dir(root)); len(left) != 0 {
		t.Errorf("%s: left behind: %v", name, left)
	}
}

func TestDamagedBlobs(t *testing.T) {
	for compression, level := range map[string]int{plan.Zstd: 2, plan.Gzip: 6, plan.None: 0} {
		layer := packed(t, fixture.Everything(t, compression, level))
		layout, manifest := fixture.Layout(t, []fixture.Layer{layer})
		want := digest.FromBytes(layer.Blob)
		path := fixture.BlobPath(layout, want)
		size := len(layer.Blob)
		for _, at := range []int{0, 1, 3, 5, 300, size / 3, size / 2, size - 2000, size - 9, size - 1} {
			damaged := append([]byte(nil), layer.Blob...)
			damaged[at] ^= 0x10
			rewrite(t, path, damaged)
			refused(t, compression+": one bit", layout, manifest, path)
		}
		damaged := append([]byte(nil), layer.Blob...)
		damaged[size/2] ^= 0x10
		rewrite(t, path, damaged)
		refused(t, compression+": digest", layout, manifest, path+" has the digest "+string(digest.FromBytes(damaged)), "expected "+string(want))
		rewrite(t, path, layer.Blob[:size/2])
		refused(t, compression+": truncated", layout, manifest, path, "bytes, expected")
		rewrite(t, path, append(append([]byte(nil), layer.Blob...), 0))
		refused(t, compression+": longer", layout, manifest, path, "bytes, expected")
		if err := os.Remove(path); err != nil {
			t.Fatal(err)
		}
		refused(t, compression+": missing", layout, manifest, path+" is missing")
	}
}

// Blobs that are what the manifest says, but not what an image may have.
func TestWrongImages(t *testing.T) {
	good := packed(t, fixture.Everything(t, plan.Zstd, 1))
	gzip := packed(t, fixture.Everything(t, plan.Gzip, 1))
	none := packed(t, fixture.Everything(t, plan.None, 1))
	cut := func(l fixture.Layer, at int) fixture.Layer { l.Blob = l.Blob[:at]; return l }
	more := func(l fixture.Layer) fixture.Layer {
		l.Blob = append(append([]byte(nil), l.Blob...), "trailing"...)
		return l
	}
	wrong := good
	wrong.DiffID = digest.FromString("other")
	renamed := good
	renamed.MediaType = ocispec.MediaTypeImageLayerGzip
	for name, c := range map[string]struct {
		layer fixture.Layer
		want  string
	}{
		"other diffID":         {wrong, "has the diffID " + string(good.DiffID) + ", expected " + string(wrong.DiffID)},
		"cut zstd":             {cut(good, len(good.Blob)/2), "unexpected EOF"},
		"cut gzip":             {cut(gzip, len(gzip.Blob)/2), "unexpected EOF"},
		"cut none":             {cut(none, len(none.Blob)/2), "unexpected EOF"},
		"zstd and more":        {more(good), "magic number mismatch"},
		"gzip and more":        {more(gzip), "unexpected EOF"},
		"none and more":        {more(none), "has the diffID"},
		"other compression":    {renamed, "is compressed by zstd, expected gzip"},
		"no layer's type":      {fixture.Layer{Blob: good.Blob, MediaType: "text/plain", DiffID: good.DiffID}, `media type "text/plain"`},
		"a diffID with a path": {fixture.Layer{Blob: good.Blob, MediaType: good.MediaType, DiffID: "sha256:../../x"}, "is no sha256 digest"},
	} {
		layout, manifest := fixture.Layout(t, []fixture.Layer{c.layer})
		refused(t, name, layout, manifest, c.want)
	}
	for want, edit := range map[string]func(*ocispec.Manifest, *ocispec.Image){
		"2 diffIDs, expected one for each of the 1": func(_ *ocispec.Manifest, i *ocispec.Image) {
			i.RootFS.DiffIDs = append(i.RootFS.DiffIDs, good.DiffID)
		},
		"is no image manifest":     func(m *ocispec.Manifest, _ *ocispec.Image) { m.MediaType = ocispec.MediaTypeImageIndex },
		"bytes, expected 7":        func(m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[0].Size = 7 },
		"\"sha512:abc\" is no":     func(m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[0].Digest = "sha512:abc" },
		"is no sha256 digest":      func(m *ocispec.Manifest, _ *ocispec.Image) { m.Layers[0].Digest = "sha256:../../../etc/passwd" },
		"expected one for each of": func(_ *ocispec.Manifest, i *ocispec.Image) { i.RootFS.Type = "other" },
	} {
		layout, manifest := fixture.Layout(t, []fixture.Layer{good}, edit)
		refused(t, want, layout, manifest, want)
	}
}

func TestWrongDocuments(t *testing.T) {
	layout, manifest := fixture.Layout(t, []fixture.Layer{packed(t, fixture.Plan(plan.Zstd, 1))})
	path := fixture.BlobPath(layout, manifest)
	raw, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	refused(t, "no layout", t.TempDir(), manifest, "is no OCI image layout")
	refused(t, "no digest", layout, "latest", `"latest" is no sha256 digest`)
	refused(t, "other manifest", layout, digest.FromString("x"), "is missing")
	for at := range blobs(t, layout) {
		kept, err := os.ReadFile(at)
		if err != nil {
			t.Fatal(err)
		}
		damaged := append([]byte(nil), kept...)
		damaged[len(damaged)/2] ^= 1
		rewrite(t, at, damaged)
		refused(t, "damaged", layout, manifest, at, "expected sha256:"+filepath.Base(at))
		rewrite(t, at, kept)
	}
	rewrite(t, path, append(raw, ' '))
	refused(t, "longer manifest", layout, manifest, path+" has the digest")
	rewrite(t, path, make([]byte, maxDocumentBytes+1))
	refused(t, "huge manifest", layout, manifest, path+" has over")
	rewrite(t, path, raw)
	rewrite(t, filepath.Join(layout, "oci-layout"), []byte(`{"imageLayoutVersion":"2.0.0"}`))
	refused(t, "other layout", layout, manifest, `expected imageLayoutVersion "1.0.0", found "2.0.0"`)
}

func TestHostileTars(t *testing.T) {
	outside := t.TempDir()
	up := strings.Repeat("../", 40)
	file := func(name string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: 5}
	}
	link := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}
	}
	hard := func(name, target string) tar.Header {
		return tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}
	}
	const out = "leads out of the image"
	for name, c := range map[string]struct {
		headers []tar.Header
		want    string
	}{
		"..":                     {[]tar.Header{file("../evil")}, out},
		"a/../..":                {[]tar.Header{file("a/../../evil")}, out},
		"relative link":          {[]tar.Header{link("a", ".."+outside), link("b", up+outside), file("b/evil")}, out},
		"link in a folder":       {[]tar.Header{{Name: "d/", Typeflag: tar.TypeDir, Mode: 0o755}, link("d/a", "../.."), file("d/a/evil")}, out},
		"link to link":           {[]tar.Header{link("a", "b"), link("b", "../.."), file("a/evil")}, out},
		"link replacing folder":  {[]tar.Header{file("a/x"), link("a", up+outside), file("a/evil")}, out},
		"whiteout through link":  {[]tar.Header{link("a", up+outside), file("a/.wh.kept")}, out},
		"opaque through link":    {[]tar.Header{link("a", up+outside), file("a/.wh..wh..opq")}, out},
		"hardlink out":           {[]tar.Header{hard("a", up+outside+"/kept")}, out},
		"hardlink through link":  {[]tar.Header{link("a", up+outside), hard("b", "a/kept")}, out},
		"whiteout of the parent": {[]tar.Header{file("d/.wh...")}, "invalid whiteout"},
		"loop":                   {[]tar.Header{link("a", "a"), file("a/evil")}, "too many symlinks"},
		"hardlink to nothing":    {[]tar.Header{hard("a", "none")}, "no such file"},
		"unknown type":           {[]tar.Header{{Name: "a", Typeflag: 'Z'}}, "unhandled tar header"},
		// Absolute names mean the image's own root: this stays inside, and finds nothing there.
		"hardlink through absolute link": {[]tar.Header{link("a", outside), hard("b", "a/kept")}, "no such file"},
	} {
		rewrite(t, filepath.Join(outside, "kept"), []byte("kept"))
		layout, manifest := fixture.Layout(t, []fixture.Layer{fixture.Tar(t, c.headers...)})
		refused(t, name, layout, manifest, c.want, "layer 1 of 1: "+layout)
		if left := blobs(t, outside); len(left) != 1 {
			t.Errorf("%s: outside is now %v", name, left)
		}
	}
	layout, manifest := fixture.Layout(t, []fixture.Layer{fixture.Tar(t, link("a", outside), file("a/inside"), file("/abs"))})
	root, _, err := unpacked(t, layout, manifest)
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{filepath.Join(root, outside, "inside"), filepath.Join(root, "abs")} {
		if _, err := os.Stat(name); err != nil {
			t.Error(err)
		}
	}
	if left := blobs(t, outside); len(left) != 1 {
		t.Errorf("outside is now %v", left)
	}
}

func TestCancelled(t *testing.T) {
	layout, manifest := fixture.Layout(t, []fixture.Layer{packed(t, fixture.Everything(t, plan.Zstd, 1))})
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := errors.New("stop")
	cancel(stop)
	dir := t.TempDir()
	_, err := Unpack(ctx, Options{Layout: layout, Manifest: string(manifest), Dest: filepath.Join(dir, "r"), Now: time.Now})
	if !errors.Is(err, stop) {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}

func rewrite(t *testing.T, path string, raw []byte) {
	t.Helper()
	if err := os.WriteFile(path, raw, 0o644); err != nil {
		t.Fatal(err)
	}
}

// blobs are the paths of all files below dir whose names are digests or "kept".
func blobs(t *testing.T, dir string) map[string]bool {
	t.Helper()
	all := map[string]bool{}
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() && fi.Name() != "oci-layout" {
			all[path] = true
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}
