// Package list says what is in a layer blob.
package list

import (
	"archive/tar"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"bedplate.dev/images/layer/tool/internal/blob"
	"bedplate.dev/images/layer/tool/internal/plan"
)

// Entry is one entry of a layer, as `bedplate-layer list` prints it. Where a plan has the same key, it means the
// same.
type Entry struct {
	Path   string            `json:"path"` // as in the tar stream, but without the slash at the end of a folder's
	Type   plan.Type         `json:"type"`
	Mode   int64             `json:"mode"`
	UID    int               `json:"uid"`
	GID    int               `json:"gid"`
	Size   int64             `json:"size"`             // bytes of the contents
	Mtime  int64             `json:"mtime"`            // seconds since 1970
	Nanos  int               `json:"nanos,omitempty"`  // nanoseconds of mtime, in layers by others
	Target string            `json:"target,omitempty"` // of a symlink or hardlink
	SHA256 string            `json:"sha256,omitempty"` // of a file's contents, hexadecimal
	Major  int64             `json:"major,omitempty"`
	Minor  int64             `json:"minor,omitempty"`
	Xattrs map[string][]byte `json:"xattrs,omitempty"` // values in base64
}

// types of tar entries; '\x00' is how very old archives write a file.
var types = map[byte]plan.Type{
	tar.TypeReg: plan.File, 0: plan.File, tar.TypeDir: plan.Dir, tar.TypeSymlink: plan.Symlink,
	tar.TypeLink: plan.Hardlink, tar.TypeChar: plan.Char, tar.TypeBlock: plan.Block, tar.TypeFifo: plan.Fifo,
}

// File writes the entries of the layer at path to w, one JSON object a line, in the order of the tar stream. It
// reads the blob to its end, so a truncated one is an error.
func File(ctx context.Context, path string, w io.Writer) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("%w; name the file of a layer blob", err)
	}
	defer f.Close()
	stream, err := blob.Decompress(f)
	if err != nil {
		return fmt.Errorf("%s: %w; name the file of a layer blob", path, err)
	}
	defer stream.Close()
	if err := write(ctx, stream, w); err != nil {
		return fmt.Errorf("%s: %w; is it a whole layer blob?", path, err)
	}
	return nil
}

func write(ctx context.Context, r io.Reader, w io.Writer) error {
	tr, out := tar.NewReader(r), json.NewEncoder(w)
	out.SetEscapeHTML(false)
	for ctx.Err() == nil {
		hdr, err := tr.Next()
		if errors.Is(err, io.EOF) {
			_, err = io.Copy(io.Discard, r)
			return err
		}
		if err != nil {
			return err
		}
		e, err := entry(hdr, tr)
		if err != nil {
			return err
		}
		if err := out.Encode(e); err != nil {
			return err
		}
	}
	return context.Cause(ctx)
}

// entry describes hdr, reading its contents from r.
func entry(hdr *tar.Header, r io.Reader) (Entry, error) {
	e := Entry{
		Path: strings.TrimSuffix(hdr.Name, "/"), Type: types[hdr.Typeflag], Mode: hdr.Mode, UID: hdr.Uid, GID: hdr.Gid,
		Mtime: hdr.ModTime.Unix(), Nanos: hdr.ModTime.Nanosecond(), Target: hdr.Linkname,
		Major: hdr.Devmajor, Minor: hdr.Devminor,
	}
	if e.Type == "" {
		e.Type = plan.Type("tar type " + string(hdr.Typeflag))
	}
	for key, value := range hdr.PAXRecords {
		if name, ok := strings.CutPrefix(key, "SCHILY.xattr."); ok {
			if e.Xattrs == nil {
				e.Xattrs = map[string][]byte{}
			}
			e.Xattrs[name] = []byte(value)
		}
	}
	if e.Type == plan.File {
		h := sha256.New()
		n, err := io.Copy(h, r)
		if err != nil {
			return Entry{}, fmt.Errorf("entry %q: %w", hdr.Name, err)
		}
		e.Size, e.SHA256 = n, fmt.Sprintf("%x", h.Sum(nil))
	}
	return e, nil
}
