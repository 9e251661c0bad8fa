//! The Identity service: who this driver is, what it can do, whether it is alive.
//!
//! It answers without a worker. Whoever probes wants to know whether a restart would help, and where every worker waits
//! for a provider that hangs, it would not.

use std::sync::Arc;

use protobuf::MessageField;

use metrics::Metrics;
use rpc::pb::csi as pb;
use rpc::pool::Pool;
use rpc::server::Methods;

/// What the driver says of itself.
pub struct Identity {
    /// Name under which kubelet knows the driver.
    pub name: String,
    /// Version of this build.
    pub version: String,
}

impl Identity {
    /// The service. It has no plugin capability: there is no controller behind it.
    pub fn methods(self, pool: Pool, metrics: Arc<Metrics>) -> Methods {
        let identity = Arc::new(self);
        Methods::new(pool, metrics)
            .quick("/csi.v1.Identity/GetPluginInfo", move |_: pb::GetPluginInfoRequest| {
                Ok(pb::GetPluginInfoResponse {
                    name: identity.name.clone(),
                    vendor_version: identity.version.clone(),
                    ..Default::default()
                })
            })
            .quick("/csi.v1.Identity/GetPluginCapabilities", |_: pb::GetPluginCapabilitiesRequest| {
                Ok(pb::GetPluginCapabilitiesResponse::default())
            })
            .quick("/csi.v1.Identity/Probe", |_: pb::ProbeRequest| {
                let ready = pb::BoolValue { value: true, ..Default::default() };
                Ok(pb::ProbeResponse { ready: MessageField::some(ready), ..Default::default() })
            })
    }
}
