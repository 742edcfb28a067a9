package pack

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"strings"
	"testing"

	"bedplate.dev/images/layer/tool/internal/plan"
)

// FuzzPlan: whatever plan is accepted, its tar stream has its entries, each under its name and in its order.
func FuzzPlan(f *testing.F) {
	head := `{"schemaVersion":1,"epoch":1767225600,"compression":"none","entries":[`
	for _, entries := range []string{
		``, `{"path":"a","type":"dir","mode":493},{"path":"a/b","type":"file","mode":420,"content":"aGk="}`,
		`{"path":"a","type":"file","mode":2541,"content":"","xattrs":{"user.x":"AA=="}},{"path":"b","type":"hardlink","target":"a"}`,
		`{"path":"a","type":"char","mode":1,"major":1,"minor":3},{"path":"ö","type":"symlink","target":"/ä"}`,
		`{"path":"..","type":"dir","mode":493}`, `{"path":"a\u0000","type":"dir","mode":493}`, `{"path":".wh.a","type":"file","mode":0,"content":""}`,
	} {
		f.Add(head + entries + `]}`)
	}
	f.Fuzz(func(t *testing.T, in string) {
		p, err := plan.Decode(strings.NewReader(in))
		if err != nil {
			return
		}
		for _, e := range p.Entries {
			if e.Source != nil {
				return
			}
		}
		var out bytes.Buffer
		if err := writeTar(context.Background(), &out, p); err != nil {
			t.Fatalf("accepted, but not written: %v", err)
		}
		tr := tar.NewReader(&out)
		for _, e := range p.Entries {
			hdr, err := tr.Next()
			if err != nil {
				t.Fatalf("%q: %v", e.Path, err)
			}
			if strings.TrimSuffix(hdr.Name, "/") != e.Path || hdr.Format == tar.FormatGNU {
				t.Fatalf("%q became %q (%v)", e.Path, hdr.Name, hdr.Format)
			}
		}
		if _, err := tr.Next(); !errors.Is(err, io.EOF) {
			t.Fatalf("something follows: %v", err)
		}
	})
}
