// Command node-provider SOCKET DIRECTORY is the provider of the tests on a real node: its secrets are the files of a
// directory. A class says by its parameters which, in which mode, and how long an answer takes. It prints of each call
// who asked and which keys reached it, never a value. Command node-provider --ask SOCKET tells whether it listens there.
package main

import (
	"context"
	"encoding/json"
	"fmt"
	"log"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"sigs.k8s.io/secrets-store-csi-driver/provider/v1alpha1"
)

type provider struct {
	v1alpha1.UnimplementedCSIDriverProviderServer
	store string
}

// call is what is printed of a call.
type call struct {
	Pod                string   `json:"pod"`
	Secrets            []string `json:"secrets"`
	Current            int      `json:"current"`
	TokensInAttributes []string `json:"tokensInAttributes"`
	TokensInSecrets    []string `json:"tokensInSecrets"`
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: node-provider SOCKET DIRECTORY, or node-provider --ask SOCKET")
	}
	if os.Args[1] == "--ask" {
		if _, err := net.Dial("unix", os.Args[2]); err != nil {
			log.Fatal(err)
		}
		return
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
	server := grpc.NewServer()
	v1alpha1.RegisterCSIDriverProviderServer(server, &provider{store: os.Args[2]})
	// When it is told to end, it ends as one that crashes: its socket stays, and nobody listens there.
	log.Fatal(server.Serve(listener))
}

func (*provider) Version(context.Context, *v1alpha1.VersionRequest) (*v1alpha1.VersionResponse, error) {
	return &v1alpha1.VersionResponse{Version: "v1alpha1", RuntimeName: "node-provider", RuntimeVersion: "v1"}, nil
}

func (p *provider) Mount(_ context.Context, r *v1alpha1.MountRequest) (*v1alpha1.MountResponse, error) {
	attributes, secrets := texts(r.GetAttributes()), texts(r.GetSecrets())
	line, err := json.Marshal(call{
		Pod:                attributes["csi.storage.k8s.io/pod.name"],
		Secrets:            keys(secrets),
		Current:            len(r.GetCurrentObjectVersion()),
		TokensInAttributes: audiences(attributes),
		TokensInSecrets:    audiences(secrets),
	})
	if err != nil {
		return nil, status.Error(codes.Internal, err.Error())
	}
	fmt.Println(string(line))
	mode := int64(0o644)
	if text, isSet := attributes["mode"]; isSet {
		if mode, err = strconv.ParseInt(text, 8, 32); err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "mode %q is no octal number", text)
		}
	}
	if text, isSet := attributes["delay"]; isSet {
		delay, err := time.ParseDuration(text)
		if err != nil {
			return nil, status.Errorf(codes.InvalidArgument, "delay %q is no duration", text)
		}
		time.Sleep(delay)
	}
	answer := &v1alpha1.MountResponse{}
	for name := range strings.SplitSeq(attributes["objects"], ",") {
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
		version := strconv.FormatInt(info.ModTime().UnixNano(), 10)
		answer.ObjectVersion = append(answer.ObjectVersion, &v1alpha1.ObjectVersion{Id: name, Version: version})
		answer.Files = append(answer.Files, &v1alpha1.File{Path: name, Mode: int32(mode), Contents: contents})
	}
	return answer, nil
}

// texts is the object that the text is in JSON; an empty one if it is none.
func texts(text string) map[string]string {
	values := map[string]string{}
	if json.Unmarshal([]byte(text), &values) != nil {
		return map[string]string{}
	}
	return values
}

// audiences are those of the service account's tokens.
func audiences(values map[string]string) []string {
	tokens := map[string]any{}
	if json.Unmarshal([]byte(values["csi.storage.k8s.io/serviceAccount.tokens"]), &tokens) != nil {
		return []string{}
	}
	return keys(tokens)
}

// keys are those of the object, sorted; an empty list where there is none.
func keys[V any](values map[string]V) []string {
	names := slices.AppendSeq([]string{}, maps.Keys(values))
	slices.Sort(names)
	return names
}
