// Package catalog finds the engines that a runner can start: baked into its image, or in the host owner's local layout.
package catalog

import (
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"bedplate.dev/runner/supervisor/internal/contract"
	"bedplate.dev/runner/supervisor/internal/layout"
)

// Source is where an engine's files come from.
type Source string

// The sources of docs/spec/runner.md, "Control API".
const (
	Baked Source = "baked"
	Local Source = "local"
)

// Entry is one engine that can be started.
type Entry struct {
	contract.Contract
	Source Source
	Prefix string        // baked: the folder that holds the engine's files
	Image  *layout.Image // local: where the engine's layers are
}

// Name is "<kind>/<version>".
func (e Entry) Name() string { return e.Kind + "/" + e.Version }

// Same tells whether both would start the same bytes in the same way.
func (e Entry) Same(other Entry) bool {
	if e.Source != other.Source || e.Name() != other.Name() {
		return false
	}
	return e.Source == Baked || e.Image.Manifest.Digest == other.Image.Manifest.Digest
}

// FindBaked reads every <dir>/<kind>/<version>/engine.json. One that is wrong is an error: the image is broken.
func FindBaked(dir string) ([]Entry, error) {
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "engine.json"))
	if err != nil {
		return nil, err
	}
	var entries []Entry
	for _, file := range files {
		data, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("baked engine: %w", err)
		}
		decoded, err := contract.Decode(data)
		if err != nil {
			return nil, fmt.Errorf("baked engine %s: %w", file, err)
		}
		entry := Entry{Contract: decoded, Source: Baked, Prefix: filepath.Dir(file)}
		if !strings.HasSuffix(entry.Prefix, "/"+entry.Name()) {
			return nil, fmt.Errorf("baked engine %s: it says it is %s, which is not its folder's name", file, entry.Name())
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

// FindLocal lists the engines of this platform in the OCI layout in dir: images whose config has the label
// dev.bedplate.engine. Each thing that cannot be read is an error of its own, and hides nothing else.
// Of two images of one engine the one that index.json names later counts.
func FindLocal(dir string) ([]Entry, []error) {
	images, problems := layout.Read(dir, runtime.GOOS, runtime.GOARCH)
	var entries []Entry
	for _, image := range images {
		label, found := image.Labels[contract.Label]
		if !found {
			continue
		}
		decoded, err := contract.Decode([]byte(label))
		if err != nil {
			problems = append(problems, fmt.Errorf("image %s: label %s of %s: %w",
				image.Name, contract.Label, image.BlobPath(image.Config), err))
			continue
		}
		entry := Entry{Contract: decoded, Source: Local, Image: &image}
		entries = slices.DeleteFunc(entries, func(e Entry) bool { return e.Name() == entry.Name() })
		entries = append(entries, entry)
	}
	return entries, problems
}

// Merge joins both lists; where an engine is in both, the baked one is used.
func Merge(baked, local []Entry) []Entry {
	merged := slices.Clone(baked)
	for _, entry := range local {
		if !slices.ContainsFunc(baked, func(b Entry) bool { return b.Name() == entry.Name() }) {
			merged = append(merged, entry)
		}
	}
	return merged
}
