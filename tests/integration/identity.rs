//! What the driver says of itself on the CSI socket, and what it does not offer.

use rpc::pb::csi as pb;
use rpc::status::{Code, Status};

use kit::driver::build;
use kit::world::World;

#[test]
fn the_plugin_has_the_drivers_name_the_builds_version_and_no_capability() {
    let world = World::start(&[]);
    let kubelet = &world.kubelet;
    let request = pb::GetPluginInfoRequest::default();
    let info: pb::GetPluginInfoResponse = kubelet.call("/csi.v1.Identity/GetPluginInfo", &request).unwrap();
    assert_eq!(info.name, "secrets-store.csi.k8s.io");
    let [version, ..] = build();
    assert_eq!(info.vendor_version, version);
    assert!(info.manifest.is_empty());

    let request = pb::GetPluginCapabilitiesRequest::default();
    let answer: pb::GetPluginCapabilitiesResponse =
        kubelet.call("/csi.v1.Identity/GetPluginCapabilities", &request).unwrap();
    assert_eq!(answer.capabilities.len(), 0);
    assert_eq!(kubelet.probe(), Ok(true));
}

#[test]
fn the_node_has_its_name_and_exactly_three_capabilities() {
    use pb::node_service_capability::rpc::Type;
    let world = World::start(&["--nodeid=node-7"]);
    let request = pb::NodeGetInfoRequest::default();
    let info: pb::NodeGetInfoResponse = world.kubelet.call("/csi.v1.Node/NodeGetInfo", &request).unwrap();
    assert_eq!(info, pb::NodeGetInfoResponse { node_id: "node-7".to_owned(), ..Default::default() });

    let request = pb::NodeGetCapabilitiesRequest::default();
    let answer: pb::NodeGetCapabilitiesResponse =
        world.kubelet.call("/csi.v1.Node/NodeGetCapabilities", &request).unwrap();
    let mut kinds: Vec<i32> =
        answer.capabilities.iter().map(|capability| capability.rpc().type_.value()).collect();
    kinds.sort();
    let expected = [Type::GET_VOLUME_STATS, Type::VOLUME_CONDITION, Type::VOLUME_MOUNT_GROUP];
    assert_eq!(kinds, expected.map(|kind| kind as i32));
}

#[test]
fn what_is_not_offered_is_unimplemented_and_nothing_else() {
    let world = World::start(&[]);
    let empty = pb::ProbeRequest::default();
    let ask = |method: &'static str| -> Status {
        world.kubelet.call::<_, pb::ProbeResponse>(method, &empty).unwrap_err()
    };
    for method in [
        "/csi.v1.Node/NodeStageVolume",
        "/csi.v1.Node/NodeUnstageVolume",
        "/csi.v1.Node/NodeExpandVolume",
        "/csi.v1.Node/NodeDoesNotExist",
        "/csi.v1.Controller/ControllerGetCapabilities",
        "/csi.v1.Controller/CreateVolume",
        "/unknown.Service/Method",
    ] {
        assert_eq!(ask(method).code, Code::Unimplemented, "{method}");
    }
}
