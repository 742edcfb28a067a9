package pack

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/opencontainers/go-digest"

	"bedplate.dev/images/layer/tool/internal/blob"
	"bedplate.dev/images/layer/tool/internal/fixture"
	"bedplate.dev/images/layer/tool/internal/plan"
)

var update = flag.Bool("update", false, "write testdata/golden.json anew")

// settings are all compressions at all levels.
func settings() (all []*plan.Plan) {
	for level := 1; level <= 4; level++ {
		all = append(all, &plan.Plan{Compression: plan.Zstd, Level: level})
	}
	for level := 1; level <= 9; level++ {
		all = append(all, &plan.Plan{Compression: plan.Gzip, Level: level})
	}
	return append(all, &plan.Plan{Compression: plan.None})
}

func name(p *plan.Plan) string { return fmt.Sprintf("%s-%d", p.Compression, p.Level) }

// packed packs the fixture and checks the result against the bytes.
func packed(t *testing.T, p *plan.Plan, threads int) (Result, []byte) {
	t.Helper()
	var out bytes.Buffer
	res, err := Pack(t.Context(), p, &out, threads)
	if err != nil {
		t.Fatal(err)
	}
	if got := digest.FromBytes(out.Bytes()); string(got) != res.Digest || int64(out.Len()) != res.SizeBytes {
		t.Fatalf("%s: the blob is %s with %d bytes, said was %+v", name(p), got, out.Len(), res)
	}
	return res, out.Bytes()
}

func TestGolden(t *testing.T) {
	const file = "testdata/golden.json"
	got := map[string]Result{}
	for _, s := range settings() {
		got[name(s)], _ = packed(t, fixture.Everything(t, s.Compression, s.Level), 2)
	}
	if *update {
		raw, err := json.MarshalIndent(got, "", "  ")
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, append(raw, '\n'), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	raw, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]Result{}
	if err := json.Unmarshal(raw, &want); err != nil {
		t.Fatal(err)
	}
	for k := range want {
		if got[k] != want[k] {
			t.Errorf("%s: %+v, expected %+v; if that is meant: go test ./internal/pack -update", k, got[k], want[k])
		}
	}
	if len(got) != len(want) {
		t.Errorf("%d results, expected %d", len(got), len(want))
	}
}

func TestThreadsChangeNothing(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	for _, s := range []*plan.Plan{{Compression: plan.Zstd, Level: 3}, {Compression: plan.Gzip, Level: 6}, {Compression: plan.None}} {
		p := fixture.Everything(t, s.Compression, s.Level)
		want, bytesWant := packed(t, p, 1)
		for threads := 1; threads <= 8; threads++ {
			for _, procs := range []int{1, 2, 8} {
				runtime.GOMAXPROCS(procs)
				if got, b := packed(t, p, threads); got != want || !bytes.Equal(b, bytesWant) {
					t.Errorf("%s with %d threads, GOMAXPROCS=%d: %+v, expected %+v", name(s), threads, procs, got, want)
				}
			}
		}
	}
}

// A codec that has compressed other frames before gives the same bytes as a new one.
func TestCodecsKeepNothing(t *testing.T) {
	text := fixture.Text(1 << 20)
	for _, s := range settings()[:13] {
		s.FrameBytes = 256 << 10
		used, err := newCodec(s)
		if err != nil {
			t.Fatal(err)
		}
		for _, frame := range [][]byte{text[:256<<10], text[100:5000], make([]byte, 256<<10), text[300<<10 : 500<<10], text[1<<19 : 1<<19+256<<10]} {
			fresh, err := newCodec(s)
			if err != nil {
				t.Fatal(err)
			}
			want, errWant := fresh.encode(nil, frame)
			got, errGot := used.encode(make([]byte, 77), frame)
			if errWant != nil || errGot != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: a used codec gives other bytes (%v, %v)", name(s), errWant, errGot)
			}
		}
	}
}

// Blobs of many frames are one stream to every reader.
func TestReaders(t *testing.T) {
	for _, s := range settings() {
		res, raw := packed(t, fixture.Everything(t, s.Compression, s.Level), 2)
		readers := map[string]func() ([]byte, error){"containerd": func() ([]byte, error) {
			r, err := blob.Decompress(bytes.NewReader(raw))
			if err != nil {
				return nil, err
			}
			defer r.Close()
			return io.ReadAll(r)
		}}
		node := func(call string) func() ([]byte, error) {
			return program(raw, os.Getenv("NODE"), nodes, "-e", `process.stdout.write(require("zlib").`+call+`(require("fs").readFileSync(0), {maxOutputLength: 1 << 30}))`)
		}
		switch s.Compression {
		case plan.Gzip:
			readers["compress/gzip"] = func() ([]byte, error) {
				r, err := gzip.NewReader(bytes.NewReader(raw))
				if err != nil {
					return nil, err
				}
				return io.ReadAll(r)
			}
			readers["gzip"] = program(raw, "", []string{"gzip"}, "-dc")
			readers["node"] = node("gunzipSync")
		case plan.Zstd:
			readers["zstd"] = program(raw, "", []string{"zstd"}, "-dc")
			readers["node"] = node("zstdDecompressSync")
		}
		for reader, read := range readers {
			got, err := read()
			if _, none := err.(notHere); none {
				continue
			}
			if err != nil || string(digest.FromBytes(got)) != res.DiffID || int64(len(got)) != res.TarBytes {
				t.Errorf("%s: %s reads %d bytes of %d: %v", name(s), reader, len(got), res.TarBytes, err)
			}
		}
	}
}

// nodes is where a Node that knows zstd may be: the one of the repository.
var nodes = []string{"../../../../../node_modules/node/bin/node"}

type notHere struct{ error }

// program runs the first program of names that there is on stdin.
func program(stdin []byte, first string, names []string, args ...string) func() ([]byte, error) {
	return func() ([]byte, error) {
		for _, n := range append([]string{first}, names...) {
			path, err := exec.LookPath(n)
			if err != nil {
				continue
			}
			if path, err = filepath.Abs(path); err != nil {
				return nil, err
			}
			cmd := exec.Command(path, args...)
			cmd.Stdin = bytes.NewReader(stdin)
			return cmd.Output()
		}
		return nil, notHere{fmt.Errorf("none of %v is here", names)}
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	stop := fmt.Errorf("stop")
	dir := t.TempDir()
	cancel(stop)
	if _, err := ToFile(ctx, fixture.Everything(t, plan.Zstd, 1), filepath.Join(dir, "x"), 2); err != stop {
		t.Errorf("%v", err)
	}
	if left, _ := os.ReadDir(dir); len(left) != 0 {
		t.Errorf("left behind: %v", left)
	}
}
