// Command registrar registers the upstream driver with kubelet. It stands in the place of the sidecar that does it in a
// cluster, takes the arguments that upstream's manifest gives to that, and listens where that does.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"os"

	"google.golang.org/grpc"
	registration "k8s.io/kubelet/pkg/apis/pluginregistration/v1"
)

const (
	driver = "secrets-store.csi.k8s.io"
	socket = "/registration/" + driver + "-reg.sock"
)

type registrar struct {
	registration.UnimplementedRegistrationServer
	path string
}

func main() {
	flag.Int("v", 0, "taken without effect")
	flag.String("csi-address", "", "taken without effect")
	path := flag.String("kubelet-registration-path", "", "where kubelet finds the driver")
	flag.Parse()
	if err := os.Remove(socket); err != nil && !os.IsNotExist(err) {
		log.Fatal(err)
	}
	listener, err := net.Listen("unix", socket)
	if err != nil {
		log.Fatal(err)
	}
	server := grpc.NewServer()
	registration.RegisterRegistrationServer(server, &registrar{path: *path})
	log.Fatal(server.Serve(listener))
}

func (r *registrar) GetInfo(context.Context, *registration.InfoRequest) (*registration.PluginInfo, error) {
	return &registration.PluginInfo{
		Type: registration.CSIPlugin, Name: driver, Endpoint: r.path, SupportedVersions: []string{"1.0.0"},
	}, nil
}

// NotifyRegistrationStatus ends the program when kubelet could not reach the driver yet, so that kubelet tries again.
func (*registrar) NotifyRegistrationStatus(
	_ context.Context, status *registration.RegistrationStatus,
) (*registration.RegistrationStatusResponse, error) {
	if !status.GetPluginRegistered() {
		log.Fatal(status.GetError())
	}
	return &registration.RegistrationStatusResponse{}, nil
}
