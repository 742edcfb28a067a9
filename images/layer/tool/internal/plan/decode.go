package plan

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"unicode/utf8"
)

// Decode reads one plan from r up to its end and checks it (see [Plan.Validate]).
//
// It is stricter than encoding/json, which takes "PATH" for "path", lets the last of two equal keys win, and turns
// bytes that are not UTF-8 into U+FFFD without a word.
func Decode(r io.Reader) (*Plan, error) {
	raw, err := io.ReadAll(r)
	if err != nil {
		return nil, fmt.Errorf("plan: cannot be read: %w; give it on standard input", err)
	}
	if !utf8.Valid(raw) {
		return nil, fmt.Errorf("plan: not UTF-8; names in a layer are UTF-8 text")
	}
	if err := checkKeys(json.NewDecoder(bytes.NewReader(raw)), "the plan", planKeys, 0); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	var p Plan
	dec := json.NewDecoder(bytes.NewReader(raw))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&p); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	if _, err := dec.Token(); err != io.EOF {
		return nil, fmt.Errorf("plan: something follows it; give exactly one JSON object")
	}
	if err := p.Validate(); err != nil {
		return nil, fmt.Errorf("plan: %w", err)
	}
	return &p, nil
}

// keys are those that an object may have, as spelt; nil means any.
type keys map[string]bool

// Keys of the plan itself and of an entry.
var (
	planKeys  = keysOf("schemaVersion", "epoch", "compression", "level", "frameBytes", "entries")
	entryKeys = keysOf("path", "type", "mode", "source", "content", "target", "uid", "gid", "major", "minor", "xattrs")
)

func keysOf(names ...string) keys {
	m := keys{}
	for _, n := range names {
		m[n] = true
	}
	return m
}

// maxDepth is how deep the values of a plan are nested, and one more.
const maxDepth = 5

// checkKeys reads one value, the one called where, and refuses keys in it that are unknown, spelt otherwise, or given
// twice in one object.
func checkKeys(dec *json.Decoder, where string, known keys, depth int) error {
	tok, err := dec.Token()
	if err != nil {
		return notJSON(dec, err)
	}
	if depth == maxDepth {
		return fmt.Errorf("%s is nested too deep; see the documentation of the format", where)
	}
	switch tok {
	case json.Delim('{'):
		return checkObject(dec, where, known, depth)
	case json.Delim('['):
		for i := 0; dec.More(); i++ {
			if err := checkKeys(dec, fmt.Sprintf("entry %d", i), entryKeys, depth+1); err != nil {
				return err
			}
		}
		if _, err := dec.Token(); err != nil {
			return notJSON(dec, err)
		}
	}
	return nil
}

// checkObject is checkKeys for an object whose brace has been read.
func checkObject(dec *json.Decoder, where string, known keys, depth int) error {
	seen := map[string]bool{}
	for dec.More() {
		tok, err := dec.Token()
		if err != nil {
			return notJSON(dec, err)
		}
		key, _ := tok.(string)
		if known != nil && !known[key] {
			return fmt.Errorf("%s has an unknown key %q; keys are spelt exactly as documented", where, key)
		}
		if seen[key] {
			return fmt.Errorf("%s has the key %q twice; give it once", where, key)
		}
		seen[key] = true
		if err := checkKeys(dec, where, nil, depth+1); err != nil {
			return err
		}
	}
	if _, err := dec.Token(); err != nil {
		return notJSON(dec, err)
	}
	return nil
}

func notJSON(dec *json.Decoder, err error) error {
	if err == io.EOF {
		return fmt.Errorf("not JSON: it ends after %d bytes; give the whole plan on standard input", dec.InputOffset())
	}
	return fmt.Errorf("not JSON: %w (byte %d)", err, dec.InputOffset())
}
