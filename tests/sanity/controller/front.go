package main

import (
	"context"
	"path"

	"github.com/container-storage-interface/spec/lib/go/csi"
	"google.golang.org/grpc"
)

// front forwards every call to the driver and its answer back, and changes three things on the way, because
// the suite speaks of provisioned, writable volumes and kubelet of inline ones:
//
//   - a publish is read-only, as the pod specification of such a volume has to ask for;
//   - the last component of a volume's path is `mount`, not `target`;
//   - the plugin capabilities name the Controller service, which the double beside this front serves.
//
// Everything else, errors included, passes as it is.
type front struct {
	csi.UnimplementedIdentityServer
	csi.UnimplementedNodeServer

	identity csi.IdentityClient
	node     csi.NodeClient
}

func newFront(driver grpc.ClientConnInterface) *front {
	return &front{identity: csi.NewIdentityClient(driver), node: csi.NewNodeClient(driver)}
}

func (f *front) GetPluginInfo(
	ctx context.Context, request *csi.GetPluginInfoRequest,
) (*csi.GetPluginInfoResponse, error) {
	return f.identity.GetPluginInfo(ctx, request)
}

func (f *front) GetPluginCapabilities(
	ctx context.Context, request *csi.GetPluginCapabilitiesRequest,
) (*csi.GetPluginCapabilitiesResponse, error) {
	response, err := f.identity.GetPluginCapabilities(ctx, request)
	if err != nil {
		return nil, err
	}
	response.Capabilities = append(response.Capabilities, controllerService())
	return response, nil
}

func (f *front) Probe(ctx context.Context, request *csi.ProbeRequest) (*csi.ProbeResponse, error) {
	return f.identity.Probe(ctx, request)
}

func (f *front) NodeGetInfo(
	ctx context.Context, request *csi.NodeGetInfoRequest,
) (*csi.NodeGetInfoResponse, error) {
	return f.node.NodeGetInfo(ctx, request)
}

func (f *front) NodeGetCapabilities(
	ctx context.Context, request *csi.NodeGetCapabilitiesRequest,
) (*csi.NodeGetCapabilitiesResponse, error) {
	return f.node.NodeGetCapabilities(ctx, request)
}

func (f *front) NodePublishVolume(
	ctx context.Context, request *csi.NodePublishVolumeRequest,
) (*csi.NodePublishVolumeResponse, error) {
	request.Readonly = true
	request.TargetPath = asKubeletNames(request.GetTargetPath())
	return f.node.NodePublishVolume(ctx, request)
}

func (f *front) NodeUnpublishVolume(
	ctx context.Context, request *csi.NodeUnpublishVolumeRequest,
) (*csi.NodeUnpublishVolumeResponse, error) {
	request.TargetPath = asKubeletNames(request.GetTargetPath())
	return f.node.NodeUnpublishVolume(ctx, request)
}

func (f *front) NodeGetVolumeStats(
	ctx context.Context, request *csi.NodeGetVolumeStatsRequest,
) (*csi.NodeGetVolumeStatsResponse, error) {
	request.VolumePath = asKubeletNames(request.GetVolumePath())
	return f.node.NodeGetVolumeStats(ctx, request)
}

// asKubeletNames gives the suite's fixed last component kubelet's name; other paths stay as they are.
func asKubeletNames(target string) string {
	if path.Base(target) != "target" {
		return target
	}
	return path.Join(path.Dir(target), "mount")
}
