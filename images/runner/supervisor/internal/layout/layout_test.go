package layout

import (
	"os"
	"strings"
	"testing"

	"bedplate.dev/runner/supervisor/internal/layout/layouttest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

func TestRead(t *testing.T) {
	l := layouttest.New(t)
	amd64, arm64 := l.Image("amd64", map[string]string{"a": "1"}), l.Image("arm64", map[string]string{"a": "2"})
	l.Tag(l.JSON(ocispec.MediaTypeImageIndex, ocispec.Index{Manifests: []ocispec.Descriptor{arm64, amd64}}), "both")
	l.Tag(amd64, "direct")
	l.Tag(arm64, "other platform")
	l.Tag(l.Blob("application/vnd.other", []byte("x")), "no image")
	l.Tag(l.JSON(ocispec.MediaTypeImageManifest, ocispec.Manifest{
		Config: ocispec.DescriptorEmptyJSON, ArtifactType: "application/vnd.sbom",
	}), "artifact")
	l.Write()

	for arch, want := range map[string]string{"amd64": "both direct", "arm64": "both other platform", "riscv64": ""} {
		images, problems := Read(l.Dir, "linux", arch)
		if len(problems) > 0 {
			t.Errorf("%s: %v", arch, problems)
		}
		var names []string
		for _, image := range images {
			names = append(names, image.Name)
			if _, err := os.Stat(image.BlobPath(image.Layers[0])); err != nil || image.Manifest.Platform != nil {
				t.Errorf("%s: %+v, %v", arch, image, err)
			}
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: got %q, want %q", arch, got, want)
		}
	}
	images, _ := Read(l.Dir, "linux", "amd64")
	if images[0].Manifest.Digest != amd64.Digest || images[0].Labels["a"] != "1" {
		t.Errorf("got %+v", images[0])
	}
}

func TestReadNamesTheCorruptedBlob(t *testing.T) {
	l := layouttest.New(t)
	good, bad := l.Image("amd64", nil), l.Image("amd64", map[string]string{"bad": ""})
	l.Tag(good, "good")
	l.Tag(bad, "bad")
	l.Write()
	content, err := os.ReadFile(l.Path(bad))
	if err != nil {
		t.Fatal(err)
	}
	for what, corrupted := range map[string][]byte{
		"digest":  []byte(strings.Replace(string(content), `"size":`, `"size" `, 1)), // as long as before
		"bytes":   content[:len(content)/2],
		"no such": nil,
	} {
		if corrupted == nil {
			err = os.Remove(l.Path(bad))
		} else {
			err = os.WriteFile(l.Path(bad), corrupted, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		images, problems := Read(l.Dir, "linux", "amd64")
		if len(images) != 1 || images[0].Name != "good" {
			t.Errorf("%s: the good one is hidden: %+v", what, images)
		}
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), l.Path(bad)) || !strings.Contains(problems[0].Error(), what) {
			t.Errorf("%s: got %v", what, problems)
		}
	}
}

func TestReadOddities(t *testing.T) {
	if images, problems := Read("/nowhere", "linux", "amd64"); images != nil || problems != nil {
		t.Errorf("no folder: %v, %v", images, problems)
	}
	l := layouttest.New(t)
	l.Tag(ocispec.Descriptor{MediaType: ocispec.MediaTypeImageManifest, Digest: "sha256:../../../etc/passwd"}, "escape")
	l.Write()
	if images, problems := Read(l.Dir, "linux", "amd64"); len(images) != 0 || len(problems) != 1 {
		t.Errorf("a digest that is a path: %v, %v", images, problems)
	}
	if err := os.WriteFile(l.Dir+"/index.json", []byte("{"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, problems := Read(l.Dir, "linux", "amd64"); len(problems) != 1 || !strings.Contains(problems[0].Error(), "index.json") {
		t.Errorf("got %v", problems)
	}
}
