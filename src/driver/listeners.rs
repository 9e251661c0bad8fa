//! The HTTP listeners, and the question that tells whether the driver is alive.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use config::{BindAddress, Endpoint};
use metrics::Metrics;
use rpc::Environment;
use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::csi as pb;
use web::admin;
use web::health::{Liveness, Readiness};
use web::http::Server;

/// The listeners that run. Dropping it stops them.
pub(super) struct Listeners {
    _servers: Vec<Server>,
    readiness: Readiness,
}

impl Listeners {
    /// Those, which answer for this readiness.
    pub(super) fn new(servers: Vec<Server>, readiness: Readiness) -> Listeners {
        Listeners { _servers: servers, readiness }
    }
}

impl Drop for Listeners {
    fn drop(&mut self) {
        // Their threads are joined: one that waits for readiness must not be waited for.
        self.readiness.end();
    }
}

/// Serves metrics, and health beside them.
pub(super) fn serve_admin(
    address: &BindAddress,
    metrics: Arc<Metrics>,
    readiness: Readiness,
    liveness: Liveness,
) -> io::Result<Server> {
    let server = Server::start(&address.listen_addr(), "admin", admin::routes(metrics, readiness, liveness))?;
    log::info!(address:% = server.local_addr(); "serving metrics and health");
    Ok(server)
}

/// Serves health alone.
pub(super) fn serve_health(
    address: &BindAddress,
    readiness: Readiness,
    liveness: Liveness,
) -> io::Result<Server> {
    let routes = admin::health_routes(readiness, liveness);
    let server = Server::start(&address.listen_addr(), "health", routes)?;
    log::info!(address:% = server.local_addr(); "serving health");
    Ok(server)
}

/// Alive is who answers a probe on the CSI socket, as kubelet would ask.
pub(super) fn liveness(endpoint: &Endpoint, environment: Environment) -> Liveness {
    let Endpoint::Unix(path) = endpoint else {
        return Liveness::new(|| Ok(()));
    };
    let channel = Channel::to_socket(&environment, path, PROBE_ANSWER_BYTES);
    Liveness::new(move || {
        let request = pb::ProbeRequest::default();
        let deadline = Deadline::after(PROBE_TIMEOUT);
        let answer = channel.call::<_, pb::ProbeResponse>("/csi.v1.Identity/Probe", &request, deadline);
        answer.map(drop).map_err(|status| format!("the CSI socket does not answer: {status}"))
    })
}

const PROBE_TIMEOUT: Duration = Duration::from_secs(3);
const PROBE_ANSWER_BYTES: i32 = 4096;
