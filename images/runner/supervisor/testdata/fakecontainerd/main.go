// Command fakecontainerd answers what bedplated asks of containerd at start and at its end, and records how it was started.
// When /fake/die is there it ends at once, with that file's content on standard error.
package main

import (
	"context"
	"encoding/json"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"time"

	containersapi "github.com/containerd/containerd/api/services/containers/v1"
	namespacesapi "github.com/containerd/containerd/api/services/namespaces/v1"
	tasksapi "github.com/containerd/containerd/api/services/tasks/v1"
	versionapi "github.com/containerd/containerd/api/services/version/v1"
	"golang.org/x/sys/unix"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/emptypb"
)

type version struct {
	versionapi.UnimplementedVersionServer
}

func (version) Version(context.Context, *emptypb.Empty) (*versionapi.VersionResponse, error) {
	return &versionapi.VersionResponse{Version: "0.0.0-fake"}, nil
}

type namespaces struct {
	namespacesapi.UnimplementedNamespacesServer
}

func (namespaces) List(context.Context, *namespacesapi.ListNamespacesRequest) (*namespacesapi.ListNamespacesResponse, error) {
	return &namespacesapi.ListNamespacesResponse{Namespaces: []*namespacesapi.Namespace{{Name: "bedplate"}}}, nil
}

type containers struct {
	containersapi.UnimplementedContainersServer
}

func (containers) List(context.Context, *containersapi.ListContainersRequest) (*containersapi.ListContainersResponse, error) {
	return &containersapi.ListContainersResponse{}, nil
}

func (containers) ListStream(_ *containersapi.ListContainersRequest, _ containersapi.Containers_ListStreamServer) error {
	return nil
}

type tasks struct {
	tasksapi.UnimplementedTasksServer
}

func (tasks) List(context.Context, *tasksapi.ListTasksRequest) (*tasksapi.ListTasksResponse, error) {
	return &tasksapi.ListTasksResponse{}, nil
}

func main() {
	if why, err := os.ReadFile("/fake/die"); err == nil {
		os.Stderr.Write(why)
		os.Exit(1)
	}
	switch os.Args[1] {
	case "middle":
		if err := exec.Command(os.Args[0], "orphan").Start(); err != nil {
			panic(err)
		}
		return
	case "orphan":
		time.Sleep(50 * time.Millisecond)
		return
	}
	record, err := os.OpenFile("/fake/starts", os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		panic(err)
	}
	json.NewEncoder(record).Encode(map[string]any{"args": os.Args, "env": os.Environ(), "pid": os.Getpid()})

	// As containerd's shims do: the process in the middle ends, its child belongs to PID 1 and ends a little later.
	if err := exec.Command(os.Args[0], "middle").Run(); err != nil {
		panic(err)
	}

	stop := make(chan os.Signal, 1)
	signal.Notify(stop, unix.SIGTERM)
	os.Remove("/run/containerd/containerd.sock")
	listener, err := net.Listen("unix", "/run/containerd/containerd.sock")
	if err != nil {
		panic(err)
	}
	server := grpc.NewServer()
	versionapi.RegisterVersionServer(server, version{})
	namespacesapi.RegisterNamespacesServer(server, namespaces{})
	containersapi.RegisterContainersServer(server, containers{})
	tasksapi.RegisterTasksServer(server, tasks{})
	go server.Serve(listener)
	<-stop
	os.WriteFile("/fake/stopped", nil, 0o644)
}
