package pack

import (
	"archive/tar"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"time"

	"bedplate.dev/images/layer/tool/internal/plan"
)

// copyBytes is how much of a source is read at a time.
const copyBytes = 256 << 10

// writeTar writes the tar stream of p to w: exactly the listed entries, in the listed order, and two zero blocks.
//
// Headers are ustar, and PAX (POSIX.1-2001) only where ustar has no room: long or non-ASCII names, extended
// attributes, sizes from 8 GiB. They have no owner names, no times but the modification time, and device numbers on
// devices only. See https://github.com/opencontainers/image-spec/blob/v1.1.1/layer.md#file-attributes.
func writeTar(ctx context.Context, w io.Writer, p *plan.Plan) error {
	tw := tar.NewWriter(w)
	headers := make(map[string]*tar.Header, len(p.Entries))
	buf := make([]byte, copyBytes)
	for i := range p.Entries {
		e := &p.Entries[i]
		if err := ctx.Err(); err != nil {
			return context.Cause(ctx)
		}
		hdr, err := header(e, time.Unix(*p.Epoch, 0).UTC(), headers)
		if err == nil {
			err = writeEntry(ctx, tw, hdr, e, buf)
		}
		if err != nil {
			return fmt.Errorf("entry %q: %w", e.Path, err)
		}
		headers[e.Path] = hdr
	}
	return tw.Close()
}

// header makes the tar header of e but for its size.
func header(e *plan.Entry, at time.Time, before map[string]*tar.Header) (*tar.Header, error) {
	hdr := &tar.Header{Name: e.Path, ModTime: at, Mode: 0o777}
	if e.Mode != nil {
		hdr.Mode = *e.Mode
	}
	if e.UID != nil {
		hdr.Uid = *e.UID
	}
	if e.GID != nil {
		hdr.Gid = *e.GID
	}
	for _, name := range e.XattrNames() {
		value, err := base64.StdEncoding.Strict().DecodeString(e.Xattrs[name])
		if err != nil {
			return nil, err // a checked plan has none of these
		}
		if hdr.PAXRecords == nil {
			hdr.PAXRecords = map[string]string{}
		}
		hdr.PAXRecords["SCHILY.xattr."+name] = string(value)
	}
	switch e.Type {
	case plan.File:
		hdr.Typeflag = tar.TypeReg
	case plan.Dir:
		hdr.Typeflag, hdr.Name = tar.TypeDir, e.Path+"/"
	case plan.Symlink:
		hdr.Typeflag, hdr.Linkname = tar.TypeSymlink, *e.Target
	case plan.Hardlink:
		// Unpackers set owner, mode and attributes again for each link of a file, and a change of owner drops
		// setuid bits and capabilities: the header of a link repeats everything of its target's.
		target := before[*e.Target]
		hdr.Typeflag, hdr.Linkname = tar.TypeLink, *e.Target
		hdr.Mode, hdr.Uid, hdr.Gid, hdr.PAXRecords = target.Mode, target.Uid, target.Gid, target.PAXRecords
	case plan.Char, plan.Block:
		hdr.Typeflag = tar.TypeChar
		if e.Type == plan.Block {
			hdr.Typeflag = tar.TypeBlock
		}
		hdr.Devmajor, hdr.Devminor = *e.Major, *e.Minor
	case plan.Fifo:
		hdr.Typeflag = tar.TypeFifo
	}
	return hdr, nil
}

// writeEntry writes hdr and the contents of e.
func writeEntry(ctx context.Context, tw *tar.Writer, hdr *tar.Header, e *plan.Entry, buf []byte) error {
	if e.Type != plan.File {
		return tw.WriteHeader(hdr)
	}
	c, err := open(e)
	if err != nil {
		return err
	}
	defer c.close()
	hdr.Size = c.size
	if err := tw.WriteHeader(hdr); err != nil {
		return err
	}
	for left := c.size; left > 0; {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		n, err := io.ReadFull(c, buf[:min(left, copyBytes)])
		if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
			return changed(c.name, c.size, c.size-left+int64(n))
		}
		if err != nil {
			return fmt.Errorf("source %s cannot be read: %w; check its disk", c.name, err)
		}
		if _, err := tw.Write(buf[:n]); err != nil {
			return err
		}
		left -= int64(n)
	}
	return c.check()
}
