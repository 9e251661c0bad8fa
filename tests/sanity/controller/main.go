// Command controller completes the driver for csi-sanity; it is a test double and never ships.
//
// The driver under test has no Controller service, publishes read-only inline volumes, and therefore fails or
// is spared every spec of the suite that first creates a volume. This program adds the two missing pieces:
//
//   - a Controller service on its own socket, which invents volume ids and hands the parameters of a volume
//     back as its volume context (controller.go);
//   - a front for the driver's socket, which turns the suite's requests into those that kubelet sends for an
//     inline volume (front.go).
//
// It knows nothing of secrets, mounts or Kubernetes, and judges nothing: the suite does.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io/fs"
	"net"
	"os"
	"os/signal"
	"path/filepath"
	"syscall"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintf(os.Stderr, "controller: %v\n", err)
		os.Exit(1)
	}
}

func run() error {
	endpoint := flag.String("endpoint", "", "path of the socket on which to serve the Controller service")
	driver := flag.String("driver", "", "path of the socket of the driver under test")
	front := flag.String("front", "", "path of the socket on which to serve the driver as kubelet would call it")
	flag.Parse()
	if *endpoint == "" || *driver == "" || *front == "" || flag.NArg() != 0 {
		flag.Usage()
		return errors.New("--endpoint, --driver and --front are required, and nothing else is taken")
	}

	driverPath, err := filepath.Abs(*driver)
	if err != nil {
		return fmt.Errorf("could not resolve %s: %w", *driver, err)
	}
	// The driver's own authority must not depend on where its socket lies.
	conn, err := grpc.NewClient("unix://"+driverPath,
		grpc.WithTransportCredentials(insecure.NewCredentials()), grpc.WithAuthority("localhost"))
	if err != nil {
		return fmt.Errorf("could not prepare the connection to %s: %w", driverPath, err)
	}
	defer conn.Close()

	double := newController()
	back := grpc.NewServer()
	csi.RegisterIdentityServer(back, double)
	csi.RegisterControllerServer(back, double)

	kubelet := newFront(conn)
	face := grpc.NewServer()
	csi.RegisterIdentityServer(face, kubelet)
	csi.RegisterNodeServer(face, kubelet)

	stop, cancel := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer cancel()
	failed := make(chan error, 2)
	if err := serve(back, *endpoint, failed); err != nil {
		return err
	}
	defer back.Stop()
	if err := serve(face, *front, failed); err != nil {
		return err
	}
	defer face.Stop()

	select {
	case <-stop.Done():
		return nil
	case err := <-failed:
		return err
	}
}

// serve binds path, replacing what an earlier run may have left there, and reports a server that ends by itself.
func serve(server *grpc.Server, path string, failed chan<- error) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("could not clear %s: %w", path, err)
	}
	listener, err := net.Listen("unix", path)
	if err != nil {
		return fmt.Errorf("could not listen on %s: %w", path, err)
	}
	go func() {
		if err := server.Serve(listener); err != nil {
			failed <- fmt.Errorf("could not serve %s: %w", path, err)
		}
	}()
	return nil
}
