package unpack

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
)

// maxDocumentBytes is the most that a manifest or config may have: what registries take as a manifest.
// https://github.com/opencontainers/distribution-spec/blob/v1.1.1/spec.md#pushing-manifests
const maxDocumentBytes = 4 << 20

// layout is an OCI image layout on disk.
// https://github.com/opencontainers/image-spec/blob/v1.1.1/image-layout.md
type layout struct{ dir string }

// blob is the path of a blob.
func (l layout) blob(d digest.Digest) string {
	return filepath.Join(l.dir, ocispec.ImageBlobsDir, string(d.Algorithm()), d.Encoded())
}

// check says whether the folder is a layout.
func (l layout) check() error {
	path := filepath.Join(l.dir, ocispec.ImageLayoutFile)
	raw, err := os.ReadFile(path)
	if err != nil {
		return fmt.Errorf("%s is no OCI image layout: %w; name the folder that holds the file %s", l.dir, err, ocispec.ImageLayoutFile)
	}
	var head ocispec.ImageLayout
	if err := json.Unmarshal(raw, &head); err != nil || head.Version != ocispec.ImageLayoutVersion {
		return fmt.Errorf("%s: expected imageLayoutVersion %q, found %q; make the layout again", path, ocispec.ImageLayoutVersion, head.Version)
	}
	return nil
}

// read reads the manifest or config d into v, having checked its digest, and its size if that is not negative.
func (l layout) read(what string, d digest.Digest, size int64, v any) error {
	if err := checkDigest(d); err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	f, err := openBlob(l.blob(d), size)
	if err != nil {
		return fmt.Errorf("%s: %w", what, err)
	}
	defer f.Close()
	raw, err := io.ReadAll(io.LimitReader(f, maxDocumentBytes+1))
	if err != nil {
		return fmt.Errorf("%s: %w; check its disk", what, err)
	}
	if len(raw) > maxDocumentBytes {
		return fmt.Errorf("%s: %s has over %d bytes; no registry takes that", what, f.Name(), maxDocumentBytes)
	}
	if found := digest.FromBytes(raw); found != d {
		return fmt.Errorf("%s: %s has the digest %s, expected %s; fetch or build it again", what, f.Name(), found, d)
	}
	if err := json.Unmarshal(raw, v); err != nil {
		return fmt.Errorf("%s: %s: %w; build it again", what, f.Name(), err)
	}
	return nil
}

// openBlob opens a blob and checks its size, if that is not negative.
func openBlob(path string, size int64) (*os.File, error) {
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%s is missing; fetch or build it again", path)
	}
	if err != nil {
		return nil, err
	}
	fi, err := f.Stat()
	if err == nil && !fi.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file; fetch or build it again", path)
	}
	if err == nil && size >= 0 && fi.Size() != size {
		err = fmt.Errorf("%s has %d bytes, expected %d; fetch or build it again", path, fi.Size(), size)
	}
	if err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}

// checkDigest refuses whatever is not a spelt-out sha256 digest, also because digests become paths.
func checkDigest(d digest.Digest) error {
	if err := d.Validate(); err != nil || d.Algorithm() != digest.SHA256 {
		return fmt.Errorf("%q is no sha256 digest; it is sha256: and 64 lower-case hexadecimal digits", d)
	}
	return nil
}
