//! Calls on the CSI socket as kubelet makes them.

use std::collections::HashMap;
use std::path::Path;
use std::time::Duration;

use protobuf::MessageField;
use rpc::Environment;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::csi as pb;
use rpc::status::Status;

use super::world::Pod;

/// A client of the driver.
pub struct Kubelet {
    channel: Channel,
    is_patient: bool,
}

impl Kubelet {
    /// Addresses the socket; calls wait until somebody listens there.
    pub fn new(environment: &Environment, socket: &Path) -> Kubelet {
        Kubelet { channel: Channel::to_socket(environment, socket, 4 << 20), is_patient: true }
    }

    /// The same, but calls fail where nobody listens, as kubelet's own do.
    pub fn impatient(environment: &Environment, socket: &Path) -> Kubelet {
        Kubelet { is_patient: false, ..Kubelet::new(environment, socket) }
    }

    /// Any unary call.
    pub fn call<Q: protobuf::Message, R: protobuf::Message>(
        &self,
        method: &'static str,
        request: &Q,
    ) -> Result<R, Status> {
        self.call_within(method, request, KUBELET_TIMEOUT)
    }

    /// Any unary call with a deadline of its own.
    pub fn call_within<Q: protobuf::Message, R: protobuf::Message>(
        &self,
        method: &'static str,
        request: &Q,
        timeout: Duration,
    ) -> Result<R, Status> {
        let deadline = Deadline::after(timeout);
        if self.is_patient {
            self.channel.call(method, request, deadline)
        } else {
            self.channel.call_if_present(method, request, deadline)
        }
    }

    /// Publishes the pod's volume, for the first time or again.
    pub fn publish(&self, pod: &Pod) -> Result<(), Status> {
        self.publish_raw(&publish_request(pod))
    }

    /// Publishes with a request that the test has spoiled.
    pub fn publish_raw(&self, request: &pb::NodePublishVolumeRequest) -> Result<(), Status> {
        self.call::<_, pb::NodePublishVolumeResponse>("/csi.v1.Node/NodePublishVolume", request).map(drop)
    }

    /// Publishes with a deadline of its own.
    pub fn publish_within(&self, pod: &Pod, timeout: Duration) -> Result<(), Status> {
        let request = publish_request(pod);
        self.call_within::<_, pb::NodePublishVolumeResponse>(
            "/csi.v1.Node/NodePublishVolume",
            &request,
            timeout,
        )
        .map(drop)
    }

    /// Unpublishes the pod's volume.
    pub fn unpublish(&self, pod: &Pod) -> Result<(), Status> {
        self.unpublish_at(&pod.volume_id, &text(&pod.target))
    }

    /// Unpublishes with any id and path.
    pub fn unpublish_at(&self, volume_id: &str, target: &str) -> Result<(), Status> {
        let request = pb::NodeUnpublishVolumeRequest {
            volume_id: volume_id.to_owned(),
            target_path: target.to_owned(),
            ..Default::default()
        };
        self.call::<_, pb::NodeUnpublishVolumeResponse>("/csi.v1.Node/NodeUnpublishVolume", &request)
            .map(drop)
    }

    /// Asks how the pod's volume is.
    pub fn stats(&self, pod: &Pod) -> Result<pb::NodeGetVolumeStatsResponse, Status> {
        self.stats_at(&pod.volume_id, &text(&pod.target))
    }

    /// Asks about any id and path.
    pub fn stats_at(&self, volume_id: &str, path: &str) -> Result<pb::NodeGetVolumeStatsResponse, Status> {
        let request = pb::NodeGetVolumeStatsRequest {
            volume_id: volume_id.to_owned(),
            volume_path: path.to_owned(),
            ..Default::default()
        };
        self.call("/csi.v1.Node/NodeGetVolumeStats", &request)
    }

    /// Whether the pod's volume is abnormal, and what is said of it.
    pub fn condition(&self, pod: &Pod) -> (bool, String) {
        let stats = self.stats(pod).unwrap_or_else(|status| panic!("stats: {status}"));
        let condition = stats.volume_condition.unwrap_or_default();
        (condition.abnormal, condition.message)
    }

    /// Asks whether the driver is ready, waiting until it listens.
    pub fn probe(&self) -> Result<bool, Status> {
        let response: pb::ProbeResponse =
            self.call("/csi.v1.Identity/Probe", &pb::ProbeRequest::default())?;
        Ok(response.ready.value)
    }
}

/// The request that kubelet sends for a pod's volume.
pub fn publish_request(pod: &Pod) -> pb::NodePublishVolumeRequest {
    let mut capability = pb::VolumeCapability::default();
    capability.mut_mount().volume_mount_group = pod.group.map(|gid| gid.to_string()).unwrap_or_default();
    let mut context: HashMap<String, String> = [
        ("csi.storage.k8s.io/pod.name", pod.name.as_str()),
        ("csi.storage.k8s.io/pod.namespace", &pod.namespace),
        ("csi.storage.k8s.io/pod.uid", &pod.uid),
        ("csi.storage.k8s.io/serviceAccount.name", "default"),
        ("csi.storage.k8s.io/ephemeral", "true"),
        ("secretProviderClass", &pod.class),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into();
    context.extend(pod.attributes.clone());
    pb::NodePublishVolumeRequest {
        volume_id: pod.volume_id.clone(),
        target_path: text(&pod.target),
        volume_capability: MessageField::some(capability),
        readonly: true,
        secrets: pod.secrets.clone(),
        volume_context: context,
        ..Default::default()
    }
}

fn text(path: &Path) -> String {
    path.to_str().expect("test paths are UTF-8").to_owned()
}

/// What kubelet gives a CSI call.
const KUBELET_TIMEOUT: Duration = Duration::from_secs(120);
