package strictjson

import (
	"strings"
	"testing"
)

type sample struct {
	Name  string `json:"name"`
	Count int    `json:"count"`
}

func TestDecode(t *testing.T) {
	got := sample{Count: 7}
	if err := Decode([]byte(` {"name": "a"} `), &got); err != nil {
		t.Fatal(err)
	}
	if got != (sample{Name: "a", Count: 7}) {
		t.Errorf("got %+v: what is absent has to stay as it was", got)
	}
}

func TestDecodeRefuses(t *testing.T) {
	for text, part := range map[string]string{
		``:                         "not JSON",
		`[]`:                       "not a JSON object",
		`{"name": "a"} {}`:         "follows",
		`{"nmae": "a"}`:            `"nmae" is not known`,
		`{"Name": "a"}`:            `"Name" is not known`,
		`{"name": null}`:           `"name" is null`,
		`{"name": "a", "name": 1}`: `"name" is given twice`,
		`{"count": "1"}`:           `"count"`,
		`{"count": 1.5}`:           `"count"`,
		`{"name": "a"`:             "EOF",
	} {
		err := Decode([]byte(text), new(sample))
		if err == nil || !strings.Contains(err.Error(), part) {
			t.Errorf("%s: got %v, want an error with %q", text, err, part)
		}
	}
}
