package tlsfront

import (
	"strings"
	"testing"
)

var known = []Engine{
	{Kind: "buildkit", Version: "0.13.2"},
	{Kind: "buildkit", Version: "0.29.0"},
	{Kind: "buildkit", Version: "0.34.2", Default: true},
	{Kind: "buildkit", Version: "0.35.0-rc.1"},
	{Kind: "buildkit", Version: "0.35.0-RC-2"},
	{Kind: "moby", Version: "29.0.0"},
	{Kind: "moby", Version: "1.0.0-0.1"},
	{Kind: "moby", Version: "1.0.0-0-1"},
}

func TestChoose(t *testing.T) {
	for name, want := range map[string]string{
		"":                                          "0.34.2",
		"builders.example.org":                      "0.34.2",
		"bedplate":                                  "0.34.2",
		"notbedplate":                               "0.34.2",
		"0-29-0.buildkit.notbedplate":               "0.34.2",
		"buildkit.bedplate":                         "0.34.2",
		"0-29-0.buildkit.bedplate":                  "0.29.0",
		"0-29-0.BuildKit.Bedplate":                  "0.29.0",
		"0-29-0.buildkit.bedplate.":                 "0.29.0",
		"0-35-0-rc-1.buildkit.bedplate":             "0.35.0-rc.1",
		"0-35-0-rc-2.buildkit.bedplate":             "0.35.0-RC-2",
		"29-0-0.moby.bedplate":                      "29.0.0",
		"29-0-0.buildkit.bedplate":                  `error: server name "29-0-0.buildkit.bedplate" is none of a known engine`,
		"0.29.0.buildkit.bedplate":                  `error: server name "0.29.0.buildkit.bedplate" is none of a known engine`,
		"x.0-29-0.buildkit.bedplate":                `error: server name "x.0-29-0.buildkit.bedplate" is none of a known engine`,
		"moby.bedplate":                             `error: server name "moby.bedplate" is none of a known engine`,
		".bedplate":                                 `error: server name ".bedplate" is none of a known engine`,
		"\n.bedplate":                               `error: server name "\n.bedplate" is none of a known engine`,
		"1-0-0-0-1.moby.bedplate":                   `error: server name "1-0-0-0-1.moby.bedplate" means 1.0.0-0.1 and 1.0.0-0-1 alike`,
		strings.Repeat("x", 999) + ".moby.bedplate": `error: server name "` + strings.Repeat("x", longestName) + `" is none of a known engine`,
	} {
		engine, err := choose(known, "bedplate", name)
		got := engine.Version
		if err != nil {
			got = "error: " + err.Error()
		}
		if got != want {
			t.Errorf("%q: got %s, want %s", name, got, want)
		}
	}
	if engine, err := choose(known, "engines.example.org", "0-13-2.buildkit.engines.example.org"); err != nil || engine.Version != "0.13.2" {
		t.Errorf("own suffix: got %s, %v", engine.Version, err)
	}
	if _, err := choose(nil, "bedplate", ""); err == nil {
		t.Error("no engines: no error")
	}
}

// FuzzChoose holds that a name means its engine, in any case of its letters, and that no other name of the suffix means one.
func FuzzChoose(f *testing.F) {
	for _, name := range []string{"", "bedplate", "0-29-0.buildkit.bedplate", "BUILDKIT.bedplate", "a.b.example.org", "0-29-0.buildkit.bedplate..", "\xff.bedplate"} {
		f.Add(name)
	}
	f.Fuzz(func(t *testing.T, name string) {
		engine, err := choose(known, "bedplate", name)
		canonical := strings.ToLower(strings.TrimSuffix(name, "."))
		inside, found := strings.CutSuffix(canonical, ".bedplate")
		switch {
		case err != nil && !found:
			t.Errorf("%q is outside of the suffix and was refused: %v", name, err)
		case err != nil && len(err.Error()) > 4*longestName+100:
			t.Errorf("%q: an error of %d bytes", name, len(err.Error()))
		case err == nil && !found && !engine.Default:
			t.Errorf("%q is outside of the suffix and means %s", name, engine.Version)
		case err == nil && found && inside != label(engine)+"."+engine.Kind && !(engine.Default && inside == engine.Kind):
			t.Errorf("%q means %s", name, engine.Version)
		}
	})
}
