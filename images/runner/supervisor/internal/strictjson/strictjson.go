// Package strictjson reads the flat JSON objects of docs/spec/ and refuses what the specification does not name.
package strictjson

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"reflect"
	"slices"
	"strings"
)

// Decode reads one JSON object into the struct that into points at. Unlike encoding/json alone it refuses unknown fields,
// fields in other letter case, null, fields given twice, and anything after the object. Errors name the field.
// Fields that are absent keep the value they had in into.
func Decode(data []byte, into any) error {
	if err := checkNames(data, fieldNames(into)); err != nil {
		return err
	}
	if err := json.Unmarshal(data, into); err != nil {
		var wrong *json.UnmarshalTypeError
		if errors.As(err, &wrong) {
			return fmt.Errorf("field %q: a JSON %s cannot be a %s", wrong.Field, wrong.Value, wrong.Type)
		}
		return err
	}
	return nil
}

func checkNames(data []byte, known []string) error {
	decoder := json.NewDecoder(bytes.NewReader(data))
	open, err := decoder.Token()
	if err != nil {
		return fmt.Errorf("not JSON: %w", err)
	}
	if open != json.Delim('{') {
		return errors.New("not a JSON object")
	}
	var seen []string
	for decoder.More() {
		token, err := decoder.Token()
		if err != nil {
			return err
		}
		name, _ := token.(string)
		if !slices.Contains(known, name) {
			return fmt.Errorf("field %q is not known (known are %s)", name, strings.Join(known, ", "))
		}
		if slices.Contains(seen, name) {
			return fmt.Errorf("field %q is given twice", name)
		}
		seen = append(seen, name)
		var value json.RawMessage
		if err := decoder.Decode(&value); err != nil {
			return fmt.Errorf("field %q: %w", name, err)
		}
		if string(value) == "null" {
			return fmt.Errorf("field %q is null: leave it out instead", name)
		}
	}
	if _, err := decoder.Token(); err != nil {
		return err
	}
	if _, err := decoder.Token(); !errors.Is(err, io.EOF) {
		return errors.New("something follows the JSON object")
	}
	return nil
}

func fieldNames(into any) []string {
	structure := reflect.TypeOf(into).Elem()
	var names []string
	for i := range structure.NumField() {
		name, _, _ := strings.Cut(structure.Field(i).Tag.Get("json"), ",")
		names = append(names, name)
	}
	return names
}
