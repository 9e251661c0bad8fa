package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"sync"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

// controller makes volumes out of nothing: an inline volume exists nowhere but in its pod.
type controller struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedControllerServer

	mutex   sync.Mutex
	volumes map[string]*csi.Volume // by id
}

func newController() *controller {
	return &controller{volumes: make(map[string]*csi.Volume)}
}

func (c *controller) GetPluginInfo(context.Context, *csi.GetPluginInfoRequest) (*csi.GetPluginInfoResponse, error) {
	return &csi.GetPluginInfoResponse{Name: "sanity-controller-double", VendorVersion: "test"}, nil
}

func (c *controller) GetPluginCapabilities(
	context.Context, *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	return &csi.GetPluginCapabilitiesResponse{
		Capabilities: []*csi.PluginCapability{controllerService()},
	}, nil
}

func (c *controller) Probe(context.Context, *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return &csi.ProbeResponse{Ready: wrapperspb.Bool(true)}, nil
}

func (c *controller) ControllerGetCapabilities(
	context.Context, *csi.ControllerGetCapabilitiesRequest,
) (*csi.ControllerGetCapabilitiesResponse, error) {
	return &csi.ControllerGetCapabilitiesResponse{
		Capabilities: []*csi.ControllerServiceCapability{{
			Type: &csi.ControllerServiceCapability_Rpc{Rpc: &csi.ControllerServiceCapability_RPC{
				Type: csi.ControllerServiceCapability_RPC_CREATE_DELETE_VOLUME,
			}},
		}},
	}, nil
}

// CreateVolume answers the same volume for the same name. The id has the form that kubelet gives to inline
// volumes, and the parameters come back as the volume context, which the suite then publishes with.
func (c *controller) CreateVolume(
	_ context.Context, request *csi.CreateVolumeRequest,
) (*csi.CreateVolumeResponse, error) {
	if request.GetName() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume needs a name")
	}
	if len(request.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume needs at least one capability")
	}
	digest := sha256.Sum256([]byte(request.GetName()))
	volume := &csi.Volume{
		VolumeId:      "csi-" + hex.EncodeToString(digest[:]),
		CapacityBytes: request.GetCapacityRange().GetRequiredBytes(),
		VolumeContext: request.GetParameters(),
	}

	c.mutex.Lock()
	defer c.mutex.Unlock()
	if known, exists := c.volumes[volume.VolumeId]; exists {
		if known.CapacityBytes != volume.CapacityBytes {
			return nil, status.Error(codes.AlreadyExists, "a volume of that name has another size")
		}
		volume = known
	}
	c.volumes[volume.VolumeId] = volume
	return &csi.CreateVolumeResponse{Volume: volume}, nil
}

func (c *controller) DeleteVolume(
	_ context.Context, request *csi.DeleteVolumeRequest,
) (*csi.DeleteVolumeResponse, error) {
	if request.GetVolumeId() == "" {
		return nil, status.Error(codes.InvalidArgument, "a volume id is required")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	delete(c.volumes, request.GetVolumeId())
	return &csi.DeleteVolumeResponse{}, nil
}

func (c *controller) ValidateVolumeCapabilities(
	_ context.Context, request *csi.ValidateVolumeCapabilitiesRequest,
) (*csi.ValidateVolumeCapabilitiesResponse, error) {
	if request.GetVolumeId() == "" || len(request.GetVolumeCapabilities()) == 0 {
		return nil, status.Error(codes.InvalidArgument, "a volume id and at least one capability are required")
	}
	c.mutex.Lock()
	defer c.mutex.Unlock()
	if _, exists := c.volumes[request.GetVolumeId()]; !exists {
		return nil, status.Error(codes.NotFound, "no such volume")
	}
	return &csi.ValidateVolumeCapabilitiesResponse{
		Confirmed: &csi.ValidateVolumeCapabilitiesResponse_Confirmed{
			VolumeContext:      request.GetVolumeContext(),
			VolumeCapabilities: request.GetVolumeCapabilities(),
			Parameters:         request.GetParameters(),
		},
	}, nil
}

// controllerService is the plugin capability without which the suite never creates a volume.
func controllerService() *csi.PluginCapability {
	return &csi.PluginCapability{
		Type: &csi.PluginCapability_Service_{Service: &csi.PluginCapability_Service{
			Type: csi.PluginCapability_Service_CONTROLLER_SERVICE,
		}},
	}
}
