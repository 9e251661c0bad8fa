//! Where kubelet calls.

use std::net::ToSocketAddrs;
use std::path::Path;
use std::sync::Arc;

use super::RunError;
use crate::csi::identity::Identity;
use crate::csi::node::Node;
use base::build_info::BuildInfo;
use config::{DriverConfig, Endpoint};
use metrics::Metrics;
use publish::Publisher;
use publish::refresh_times::RefreshTimes;
use rpc::Environment;
use rpc::pool::Pool;
use rpc::server::Server;
use sys::socket;

/// Serves kubelet's calls.
pub(super) fn serve(
    config: &DriverConfig,
    environment: &Environment,
    publisher: &Arc<Publisher>,
    metrics: &Arc<Metrics>,
) -> Result<Server, RunError> {
    let pool = Pool::start(config.max_concurrent_calls, MAX_QUEUED_CALLS).map_err(RunError::Thread)?;
    let identity =
        Identity { name: config.driver_name.clone(), version: BuildInfo::current().version.to_owned() };
    let node = Node {
        id: config.node_id.clone(),
        pods_dir: config.kubelet_pods_dir.clone(),
        publisher: Arc::clone(publisher),
    };
    let services = vec![
        identity.methods(pool.clone(), Arc::clone(metrics)),
        node.methods(pool.clone(), Arc::clone(metrics)),
    ];
    let server = match &config.endpoint {
        Endpoint::Unix(path) => {
            shut_directory(path);
            Server::start_unix(environment, path, pool, services)
        }
        Endpoint::Tcp(address) => {
            only_loopback(address)?;
            Server::start(environment, address, pool, services)
        }
    };
    let server = server.map_err(RunError::Server)?;
    log::info!(endpoint:% = config.endpoint; "serving CSI");
    Ok(server)
}

/// The socket is for its owner alone in any case.
fn shut_directory(socket: &Path) {
    match socket::shut_own_directory(socket, &RefreshTimes::FILES) {
        Ok(true) => log::info!("the directory of the CSI socket had mode 0755 and has 0700 now"),
        Ok(false) => {}
        Err(error) => log::warn!(error:% = error; "could not give the directory of the CSI socket mode 0700"),
    }
}

/// Whoever reaches the CSI endpoint can mount secrets on this node: it must not be a network.
fn only_loopback(address: &str) -> Result<(), RunError> {
    let is_loopback = address
        .to_socket_addrs()
        .is_ok_and(|mut found| found.len() > 0 && found.all(|address| address.ip().is_loopback()));
    if is_loopback { Ok(()) } else { Err(RunError::OpenEndpoint { address: address.to_owned() }) }
}

/// Calls that wait for a worker: more than a node has pods, so that a burst after a restart is not refused.
const MAX_QUEUED_CALLS: usize = 256;
