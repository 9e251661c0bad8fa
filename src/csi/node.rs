//! The Node service: one method for each call of kubelet's.

use std::path::PathBuf;
use std::sync::Arc;

use protobuf::{EnumOrUnknown, MessageField};

use metrics::Metrics;
use publish::Publisher;
use rpc::pb::csi as pb;
use rpc::pool::Pool;
use rpc::server::{Call, Methods};
use rpc::status::Status;
use sys::mount::Usage;

use super::request;

/// The service.
pub struct Node {
    /// Name of this node, as kubelet registers it.
    pub id: String,
    /// Confines targets, when set.
    pub pods_dir: Option<PathBuf>,
    /// Does the work.
    pub publisher: Arc<Publisher>,
}

impl Node {
    /// The methods that this driver offers. Staging and expansion are not advertised: gRPC answers
    /// these calls with UNIMPLEMENTED, as every other that it does not know.
    pub fn methods(self, pool: Pool, metrics: Arc<Metrics>) -> Methods {
        let node = Arc::new(self);
        let with_node = || Arc::clone(&node);
        let (info, publish, unpublish, stats) = (with_node(), with_node(), with_node(), with_node());
        Methods::new(pool, metrics)
            .unary("/csi.v1.Node/NodeGetInfo", move |_, _: pb::NodeGetInfoRequest| {
                Ok(pb::NodeGetInfoResponse { node_id: info.id.clone(), ..Default::default() })
            })
            .unary("/csi.v1.Node/NodeGetCapabilities", |_, _: pb::NodeGetCapabilitiesRequest| {
                let capabilities = CAPABILITIES.map(capability).into();
                Ok(pb::NodeGetCapabilitiesResponse { capabilities, ..Default::default() })
            })
            .unary("/csi.v1.Node/NodePublishVolume", move |call, message| publish.publish(&call, message))
            .unary("/csi.v1.Node/NodeUnpublishVolume", move |_, message| unpublish.unpublish(message))
            .unary("/csi.v1.Node/NodeGetVolumeStats", move |_, message| stats.stats(message))
    }

    fn publish(
        &self,
        call: &Call,
        message: pb::NodePublishVolumeRequest,
    ) -> Result<pb::NodePublishVolumeResponse, Status> {
        let request = match request::publish(message, self.pods_dir.as_deref()) {
            Ok(request) => request,
            Err(status) => {
                self.publisher.refused_publish();
                return Err(status);
            }
        };
        self.publisher.publish(&request, call.deadline)?;
        Ok(pb::NodePublishVolumeResponse::default())
    }

    fn unpublish(
        &self,
        message: pb::NodeUnpublishVolumeRequest,
    ) -> Result<pb::NodeUnpublishVolumeResponse, Status> {
        let request = match request::unpublish(message, self.pods_dir.as_deref()) {
            Ok(request) => request,
            Err(status) => {
                self.publisher.refused_unpublish();
                return Err(status);
            }
        };
        self.publisher.unpublish(&request)?;
        Ok(pb::NodeUnpublishVolumeResponse::default())
    }

    fn stats(
        &self,
        message: pb::NodeGetVolumeStatsRequest,
    ) -> Result<pb::NodeGetVolumeStatsResponse, Status> {
        let (volume_id, target) = request::stats(message, self.pods_dir.as_deref())?;
        let health = self.publisher.health(&volume_id, &target)?;
        Ok(pb::NodeGetVolumeStatsResponse {
            usage: usage(health.usage),
            volume_condition: MessageField::some(pb::VolumeCondition {
                abnormal: health.failing.is_some(),
                message: health.failing.unwrap_or_else(|| "volume is fresh".to_owned()),
                ..Default::default()
            }),
            ..Default::default()
        })
    }
}

type Capability = pb::node_service_capability::rpc::Type;

const CAPABILITIES: [Capability; 3] =
    [Capability::GET_VOLUME_STATS, Capability::VOLUME_CONDITION, Capability::VOLUME_MOUNT_GROUP];

fn capability(kind: Capability) -> pb::NodeServiceCapability {
    let mut capability = pb::NodeServiceCapability::default();
    capability.mut_rpc().type_ = EnumOrUnknown::new(kind);
    capability
}

fn usage(usage: Usage) -> Vec<pb::VolumeUsage> {
    let of = |unit: pb::volume_usage::Unit, (total, free): (u64, u64)| pb::VolumeUsage {
        available: signed(free),
        total: signed(total),
        used: signed(total.saturating_sub(free)),
        unit: EnumOrUnknown::new(unit),
        ..Default::default()
    };
    vec![of(pb::volume_usage::Unit::BYTES, usage.bytes), of(pb::volume_usage::Unit::INODES, usage.inodes)]
}

/// The protocol's integers are signed.
fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
