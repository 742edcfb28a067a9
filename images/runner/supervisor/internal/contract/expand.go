package contract

import (
	"fmt"
	"strconv"
	"strings"
)

// Values replaces the placeholders of docs/spec/engine.md.
type Values struct {
	Socket           string // ${socket}
	State            string // ${state}
	Run              string // ${run}
	ContainerdSocket string // ${containerdSocket}
	Namespace        string // ${namespace}
	Cgroup           string // ${cgroup}
	CacheBytes       int64  // ${cacheBytes}
	FreeBytes        int64  // ${freeBytes}
	NetworkConfig    string // ${networkConfig}
	NetworkPlugins   string // ${networkPlugins}
}

// Command is how an engine is started, with every placeholder replaced.
type Command struct {
	Args, Env []string
	Files     map[string]string // by name, in ${run}
	Defaults  map[string]string // what the owner may replace in them
	Network   map[string]string // what the chosen network adds to them
}

// Command replaces every placeholder. The network is one of Networks.
func (c Contract) Command(values Values, network string) (Command, error) {
	added, err := c.network(network)
	if err != nil {
		return Command{}, err
	}
	var command Command
	if command.Args, err = expandAll(c.Args, values); err != nil {
		return Command{}, err
	}
	if command.Env, err = expandAll(c.Env, values); err != nil {
		return Command{}, err
	}
	for from, into := range map[*map[string]string]*map[string]string{
		&c.Files: &command.Files, &c.Defaults: &command.Defaults, &added: &command.Network,
	} {
		if *into, err = expandFiles(*from, values); err != nil {
			return Command{}, err
		}
	}
	return command, nil
}

func expandFiles(files map[string]string, values Values) (map[string]string, error) {
	out := map[string]string{}
	for name, content := range files {
		expanded, err := expand(content, values)
		if err != nil {
			return nil, err
		}
		out[name] = expanded
	}
	return out, nil
}

func expandAll(texts []string, values Values) ([]string, error) {
	out := make([]string, 0, len(texts))
	for _, text := range texts {
		expanded, err := expand(text, values)
		if err != nil {
			return nil, err
		}
		out = append(out, expanded)
	}
	return out, nil
}

// expand replaces placeholders once, from left to right: what a value holds is never looked at again.
func expand(text string, values Values) (string, error) {
	var out strings.Builder
	for rest := text; ; {
		before, after, found := strings.Cut(rest, "${")
		out.WriteString(before)
		if !found {
			return out.String(), nil
		}
		name, next, closed := strings.Cut(after, "}")
		if !closed {
			return "", fmt.Errorf("%q: a placeholder is not closed by }", text)
		}
		value, err := values.get(name)
		if err != nil {
			return "", fmt.Errorf("%q: %w", text, err)
		}
		out.WriteString(value)
		rest = next
	}
}

func (v Values) get(name string) (string, error) {
	switch name {
	case "socket":
		return v.Socket, nil
	case "state":
		return v.State, nil
	case "run":
		return v.Run, nil
	case "containerdSocket":
		return v.ContainerdSocket, nil
	case "namespace":
		return v.Namespace, nil
	case "cgroup":
		return v.Cgroup, nil
	case "cacheBytes":
		return strconv.FormatInt(v.CacheBytes, 10), nil
	case "freeBytes":
		return strconv.FormatInt(v.FreeBytes, 10), nil
	case "networkConfig":
		return v.NetworkConfig, nil
	case "networkPlugins":
		return v.NetworkPlugins, nil
	}
	return "", fmt.Errorf("${%s} is not a placeholder (known are socket, state, run, containerdSocket, namespace, cgroup, cacheBytes, freeBytes, networkConfig, networkPlugins)", name)
}
