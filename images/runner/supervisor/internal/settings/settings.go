// Package settings reads bedplated.json and runner.json: docs/spec/runner.md.
package settings

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"bedplate.dev/runner/supervisor/internal/contract"
	"bedplate.dev/runner/supervisor/internal/strictjson"
)

// Settings is what the owner of the host may choose.
type Settings struct {
	SocketGID   int           // group of every socket in /run/bedplate
	SocketMode  fs.FileMode   // permission bits of the same
	IdleTimeout time.Duration // an engine without connections is stopped after it
	Drain       time.Duration // how long connections may go on after SIGTERM
	LineWait    time.Duration // how long an engine waits for its state line
	Ephemeral   bool          // it does not: it gets a temporary state
	Env         []string      // of every engine, NAME=value, sorted: proxies
	HostRun     string        // where the host sees /run/bedplate; "" when it does not say
	TLSListen   string        // host:port of the network port; "" for none
	TLSSuffix   string        // of the TLS server names that mean an engine
	Disk        Disk
	DNS         DNS
	ExtraHosts  string         // lines of hosts(5) for engines
	Network     string         // of what engines run that "engines" says nothing else of: host or bridge
	BridgePools []netip.Prefix // what engines' bridges get subnets of

	engines map[string]Engine // by "<kind>" and "<kind>/<version>"
}

type file struct {
	SocketGID     int64             `json:"socketGid"`
	SocketMode    string            `json:"socketMode"`
	IdleTimeoutMs int64             `json:"idleTimeoutMs"`
	DrainMs       int64             `json:"drainMs"`
	LineWaitMs    int64             `json:"lineWaitMs"`
	LineConflict  string            `json:"lineConflict"`
	HostRun       string            `json:"hostRun"`
	Env           map[string]string `json:"env"`
	TLSListen     string            `json:"tlsListen"`
	TLSSuffix     string            `json:"tlsSuffix"`
	Disk          json.RawMessage   `json:"disk"`
	DNS           json.RawMessage   `json:"dns"`
	ExtraHosts    map[string]string `json:"extraHosts"`
	Network       string            `json:"network"`
	BridgePools   []string          `json:"bridgePools"`

	Engines map[string]json.RawMessage `json:"engines"`
}

// Load reads the settings at path; a file that is not there means the defaults. Errors name the file and the field.
func Load(path string) (Settings, error) {
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		data = []byte("{}")
	} else if err != nil {
		return Settings{}, fmt.Errorf("settings: %w", err)
	}
	settings, err := decode(data)
	if err != nil {
		return Settings{}, fmt.Errorf("settings %s: %w", path, err)
	}
	return settings, nil
}

func decode(data []byte) (Settings, error) {
	raw := file{SocketMode: "0660", IdleTimeoutMs: 300_000, DrainMs: 300_000, LineWaitMs: 600_000, LineConflict: "wait", TLSSuffix: DefaultTLSSuffix, Network: contract.HostNetwork}
	if err := strictjson.Decode(data, &raw); err != nil {
		return Settings{}, err
	}
	return raw.validate()
}

// environment gives NAME=value, sorted.
func environment(variables map[string]string) []string {
	var list []string
	for _, name := range slices.Sorted(maps.Keys(variables)) {
		list = append(list, name+"="+variables[name])
	}
	return list
}

var envPattern = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

var modePattern = regexp.MustCompile(`^0?[0-7]{3}$`)

func (f file) validate() (Settings, error) {
	if f.SocketGID < 0 || f.SocketGID > math.MaxUint32-1 {
		return Settings{}, fmt.Errorf("field \"socketGid\": %d is not a group id", f.SocketGID)
	}
	if !modePattern.MatchString(f.SocketMode) {
		return Settings{}, fmt.Errorf("field \"socketMode\": %q is not three octal digits such as \"0660\"", f.SocketMode)
	}
	mode, err := strconv.ParseUint(f.SocketMode, 8, 32)
	if err != nil {
		return Settings{}, fmt.Errorf("field \"socketMode\": %w", err)
	}
	settings := Settings{
		SocketGID: int(f.SocketGID), SocketMode: fs.FileMode(mode), Ephemeral: f.LineConflict == "ephemeral", Env: environment(f.Env),
		HostRun: f.HostRun, TLSListen: f.TLSListen, TLSSuffix: f.TLSSuffix, Network: f.Network,
	}
	for _, wanted := range []struct {
		field string
		ms    int64
		into  *time.Duration
	}{
		{"idleTimeoutMs", f.IdleTimeoutMs, &settings.IdleTimeout}, {"drainMs", f.DrainMs, &settings.Drain}, {"lineWaitMs", f.LineWaitMs, &settings.LineWait},
	} {
		if *wanted.into, err = milliseconds(wanted.field, wanted.ms); err != nil {
			return Settings{}, err
		}
	}
	if f.LineConflict != "wait" && f.LineConflict != "ephemeral" {
		return Settings{}, fmt.Errorf("field \"lineConflict\": %q is neither wait nor ephemeral", f.LineConflict)
	}
	for name, value := range f.Env {
		if !envPattern.MatchString(name) || strings.ContainsRune(value, 0) {
			return Settings{}, fmt.Errorf("field \"env\": %q is not a name that can be set", name)
		}
	}
	if f.HostRun != "" && !filepath.IsAbs(f.HostRun) {
		return Settings{}, fmt.Errorf("field \"hostRun\": %q is not an absolute path", f.HostRun)
	}
	if err := f.validateTLS(); err != nil {
		return Settings{}, err
	}
	if err := validateNetwork(f.Network); err != nil {
		return Settings{}, err
	}
	if settings.engines, err = f.validateEngines(); err != nil {
		return Settings{}, err
	}
	if settings.Disk, err = validateDisk(f.Disk); err != nil {
		return Settings{}, err
	}
	if settings.DNS, err = validateDNS(f.DNS); err != nil {
		return Settings{}, err
	}
	if settings.ExtraHosts, err = hosts(f.ExtraHosts); err != nil {
		return Settings{}, err
	}
	if settings.BridgePools, err = bridgePools(f.BridgePools); err != nil {
		return Settings{}, err
	}
	return settings, nil
}
