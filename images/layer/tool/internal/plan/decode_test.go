package plan

import (
	"encoding/json"
	"strings"
	"testing"
)

const head = `"schemaVersion":1,"epoch":0,"compression":"zstd","level":3,"frameBytes":4194304`

func withEntries(entries string) string { return "{" + head + `,"entries":[` + entries + "]}" }

func TestDecodeAccepts(t *testing.T) {
	for name, in := range map[string]string{
		"empty layer":        withEntries(""),
		"none without level": `{"schemaVersion":1,"epoch":1767225600,"compression":"none","entries":[]}`,
		"space around":       " \n" + withEntries("") + "\n\n",
		"every type": withEntries(`{"path":"a","type":"dir","mode":493},
			{"path":"a.b","type":"file","mode":420,"content":"aGk="},
			{"path":"a/.wh..wh..opq","type":"file","mode":0,"content":""},
			{"path":"a/.wh.gone","type":"file","mode":0,"content":""},
			{"path":"a/b","type":"file","mode":2541,"source":"/x","uid":1,"gid":2,"xattrs":{"user.Any Name":"aGk=","security.capability":""}},
			{"path":"a/c","type":"hardlink","target":"a/b"},{"path":"a/d","type":"symlink","target":"../.."},
			{"path":"b","type":"char","mode":438,"major":1,"minor":3},{"path":"c","type":"block","mode":432,"major":7,"minor":0},
			{"path":"d","type":"fifo","mode":420},{"path":"größe","type":"file","mode":420,"content":""}`),
	} {
		if _, err := Decode(strings.NewReader(in)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestDecodeRefusesPlans(t *testing.T) {
	for in, want := range map[string]string{
		"":                     "ends after 0 bytes",
		"[]":                   "cannot unmarshal array",
		"{":                    "not JSON",
		"{}":                   "schemaVersion is 0",
		"{}{}":                 "something follows",
		"\xff":                 "not UTF-8",
		"\"a\"":                "cannot unmarshal string",
		withEntries("") + "x":  "something follows",
		withEntries("") + "{":  "something follows",
		strings.Repeat("[", 9): "nested too deep",
		strings.Replace(withEntries(""), "epoch", "Epoch", 1):                                             `unknown key "Epoch"`,
		strings.Replace(withEntries(""), `"epoch":0`, `"epoch":0,"epoch":1`, 1):                           `key "epoch" twice`,
		strings.Replace(withEntries(""), `"epoch":0,`, "", 1):                                             "epoch must be given",
		strings.Replace(withEntries(""), `"epoch":0`, `"epoch":-1`, 1):                                    "epoch must be given",
		strings.Replace(withEntries(""), `"epoch":0`, `"epoch":8589934592`, 1):                            "epoch must be given",
		strings.Replace(withEntries(""), `"epoch":0`, `"epoch":0.5`, 1):                                   "cannot unmarshal number 0.5",
		strings.Replace(withEntries(""), `"schemaVersion":1`, `"schemaVersion":2`, 1):                     "schemaVersion is 2",
		strings.Replace(withEntries(""), "zstd", "xz", 1):                                                 `compression is "xz"`,
		strings.Replace(withEntries(""), `"level":3`, `"level":5`, 1):                                     "zstd has levels 1 to 4",
		strings.Replace(strings.Replace(withEntries(""), "zstd", "gzip", 1), `"level":3`, `"level":0`, 1): "gzip has levels 1 to 9",
		strings.Replace(withEntries(""), "4194304", "1", 1):                                               "frameBytes is 1",
		strings.Replace(withEntries(""), "4194304", "1073741824", 1):                                      "frameBytes is 1073741824",
		"{" + head + "}":                  "entries must be given",
		"{" + head + `,"entries":null}`:   "entries must be given",
		"{" + head + `,"entries":[null]}`: "the path is empty",
	} {
		refuse(t, in, want)
	}
}

func TestDecodeRefusesEntriesByName(t *testing.T) {
	file := func(path string) string { return `{"path":` + quote(path) + `,"type":"file","mode":420,"content":""}` }
	dir := func(path string) string { return `{"path":` + quote(path) + `,"type":"dir","mode":493}` }
	long := strings.Repeat("x", 256)
	for _, c := range []struct{ in, name, want string }{
		{file(""), `""`, "empty"},
		{file("/etc"), `"/etc"`, "absolute"},
		{dir("a") + "," + file("a/../b"), `"a/../b"`, `component ".."`},
		{file(".."), `".."`, `component ".."`},
		{file("./a"), `"./a"`, `component "."`},
		{dir("a") + "," + file("a//b"), `"a//b"`, "empty component"},
		{dir("a/"), `"a/"`, "empty component"},
		{file("a\x00b"), `"a\x00b"`, "NUL"},
		{`{"path":"a\ud800","type":"dir","mode":0}`, "a\uFFFD", "not UTF-8"},
		{file(long), long, "component of 256 bytes"},
		{file(strings.Repeat("x/", 2048) + "x"), "x/x", "the path has 4097 bytes"},
		{file("b") + "," + file("a"), `"a"`, `stands after "b"`},
		{dir("a") + "," + file("a/b") + "," + file("a.b"), `"a.b"`, `stands after "a/b"`},
		{file("a") + "," + file("a"), `"a"`, "listed twice"},
		{file("a/b"), `"a/b"`, `folder "a" is not listed`},
		{file("a") + "," + file("a/b"), `"a/b"`, `folder "a" is listed as a file`},
		{`{"path":"a","type":"symlink","target":"b"},` + file("a/b"), `"a/b"`, "listed as a symlink"},
		{`{"path":"a","type":"socket"}`, `"a"`, `type is "socket"`},
		{`{"path":"a","type":"file","mode":420,"size":1}`, "entry 0", `unknown key "size"`},
		{`{"path":"a","type":"file","Mode":420,"content":""}`, "entry 0", `unknown key "Mode"`},
		{dir("a") + `,{"path":"b","path":"c","type":"dir","mode":0}`, "entry 1", `key "path" twice`},
		{`{"path":"a","type":"file","mode":0,"content":"","xattrs":{"user.a":"","user.a":""}}`, "entry 0", `key "user.a" twice`},
		{`{"path":"a","type":"file","content":""}`, `"a"`, "needs mode"},
		{`{"path":"a","type":"file","mode":33188,"content":""}`, `"a"`, "mode is 33188"},
		{`{"path":"a","type":"file","mode":-1,"content":""}`, `"a"`, "mode is -1"},
		{`{"path":"a","type":"file","mode":420}`, `"a"`, "either source or content"},
		{`{"path":"a","type":"file","mode":420,"content":"","source":"/x"}`, `"a"`, "either source or content"},
		{`{"path":"a","type":"file","mode":420,"content":"a"}`, `"a"`, "not base64"},
		{`{"path":"a","type":"file","mode":420,"source":"x"}`, `"a"`, "clean absolute path"},
		{`{"path":"a","type":"file","mode":420,"source":"/x/../y"}`, `"a"`, "clean absolute path"},
		{`{"path":"a","type":"dir","mode":420,"content":""}`, `"a"`, "a dir has no content"},
		{`{"path":"a","type":"symlink"}`, `"a"`, "needs target"},
		{`{"path":"a","type":"symlink","target":""}`, `"a"`, "symlink to"},
		{`{"path":"a","type":"symlink","target":"b","mode":511}`, `"a"`, "a symlink has no mode"},
		{`{"path":"a","type":"hardlink","target":"b"},` + file("b"), `"a"`, "no earlier entry"},
		{dir("a") + `,{"path":"b","type":"hardlink","target":"a"}`, `"b"`, "is a folder"},
		{file("a") + `,{"path":"b","type":"hardlink","target":"a","uid":0}`, `"b"`, "a hardlink has no uid"},
		{`{"path":"a","type":"char","mode":0,"major":1}`, `"a"`, "needs minor"},
		{`{"path":"a","type":"char","mode":0,"major":0,"minor":0}`, `"a"`, "overlayfs"},
		{`{"path":"a","type":"block","mode":0,"major":4096,"minor":0}`, `"a"`, "out of range"},
		{`{"path":"a","type":"fifo","mode":0,"major":1,"minor":1}`, `"a"`, "a fifo has no major"},
		{`{"path":"a","type":"dir","mode":0,"uid":-1}`, `"a"`, "uid is -1"},
		{`{"path":"a","type":"dir","mode":0,"gid":2097152}`, `"a"`, "gid is 2097152"},
		{`{"path":"a","type":"dir","mode":0,"xattrs":{"trusted.a":""}}`, `"a"`, "namespace"},
		{`{"path":"a","type":"dir","mode":0,"xattrs":{"user.":""}}`, `"a"`, "namespace"},
		{`{"path":"a","type":"dir","mode":0,"xattrs":{"user.a=b":""}}`, `"a"`, "no '='"},
		{`{"path":"a","type":"dir","mode":0,"xattrs":{"user.a":"?"}}`, `"a"`, "not base64"},
		{`{"path":"a","type":"fifo","mode":0,"xattrs":{"user.a":""}}`, `"a"`, "files and folders only"},
		{dir(".wh.a"), `".wh.a"`, "empty content"},
		{`{"path":".wh.a","type":"file","mode":0,"content":"aGk="}`, `".wh.a"`, "empty content"},
		{`{"path":".wh.a","type":"file","mode":0,"source":"/x"}`, `".wh.a"`, "empty content"},
		{file(".wh."), `".wh."`, "plain name"},
		{file(".wh..."), `".wh..."`, "plain name"},
		{file(".wh..wh.plnk"), `".wh..wh.plnk"`, "plain name"},
		{file(".wh.a") + "," + file("a"), `"a"`, "whiteout is in the same layer"},
		{file(".a") + "," + file(".wh..a"), `".wh..a"`, "in the same layer"},
		{file(".wh.a") + `,{"path":"b","type":"hardlink","target":".wh.a"}`, `"b"`, "a whiteout"},
	} {
		refuse(t, withEntries(c.in), c.want, c.name)
	}
}

func quote(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

func refuse(t *testing.T, in string, wants ...string) {
	t.Helper()
	p, err := Decode(strings.NewReader(in))
	if err == nil {
		t.Errorf("%.200s: accepted as %+v", in, p)
		return
	}
	for _, want := range wants {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("%.200s: the error is %.300q, which has no %.300q", in, err, want)
		}
	}
}
