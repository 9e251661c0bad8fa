// Command go-provider SOCKET DIRECTORY is a whole provider, whose secrets are the files of a directory.
//
// docs/writing-a-provider.md quotes it from the package clause on, and a test sees to it that the two are the same.
package main

import (
	"context"
	"encoding/json"
	"log"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/metadata"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

type provider struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	store string
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: go-provider SOCKET DIRECTORY")
	}
	if err := os.Remove(os.Args[1]); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	// The socket belongs to root alone.
	syscall.Umask(0o077)
	listener, err := net.Listen("unix", os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer(grpc.UnaryInterceptor(onlyLocalhost))
	v1alpha1.RegisterCSIDriverProviderServer(server, &provider{store: os.Args[2]})
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	context.AfterFunc(ctx, server.GracefulStop)
	if err := server.Serve(listener); err != nil {
		log.Fatal(err)
	}
}

// onlyLocalhost refuses what was meant for somebody else: drivers call with this authority.
func onlyLocalhost(ctx context.Context, r any, _ *grpc.UnaryServerInfo, handle grpc.UnaryHandler) (any, error) {
	headers, _ := metadata.FromIncomingContext(ctx)
	if !slices.Equal(headers.Get(":authority"), []string{"localhost"}) {
		return nil, status.Error(codes.PermissionDenied, "the call's authority is not localhost")
	}
	return handle(ctx, r)
}

func (p *provider) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{
		Version: "v1alpha1", RuntimeName: "go-provider", RuntimeVersion: "v0.1.0",
	}, nil
}

func (p *provider) Mount(_ context.Context, r *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	var attributes map[string]string
	if json.Unmarshal([]byte(r.GetAttributes()), &attributes) != nil {
		// The parser's own words could quote a token.
		return nil, status.Error(codes.InvalidArgument, "attributes are not a JSON object of texts")
	}
	answer := &v1alpha1.MountResponse{}
	for name := range strings.SplitSeq(attributes["objects"], ",") {
		name = strings.TrimSpace(name)
		// Whoever may write a class chose the name: it must not lead out of the store.
		if name == "" || strings.HasPrefix(name, ".") || strings.Contains(name, "/") {
			return nil, status.Errorf(codes.InvalidArgument, "%q is no name of an object", name)
		}
		path := filepath.Join(p.store, name)
		info, err := os.Stat(path)
		if err != nil {
			return nil, status.Errorf(codes.NotFound, "no object %s", name)
		}
		contents, err := os.ReadFile(path)
		if err != nil {
			return nil, status.Errorf(codes.Unavailable, "object %s cannot be read", name)
		}
		// Pod statuses show it: a hash would tell of the secret.
		version := strconv.FormatInt(info.ModTime().UnixNano(), 10)
		answer.ObjectVersion = append(answer.ObjectVersion, &v1alpha1.ObjectVersion{Id: name, Version: version})
		answer.Files = append(answer.Files, &v1alpha1.File{Path: name, Mode: 0o644, Contents: contents})
	}
	return answer, nil
}
