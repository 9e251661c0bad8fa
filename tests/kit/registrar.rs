//! Who registers a driver with kubelet: a server in kubelet's plugin registry.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use metrics::Metrics;
use rpc::Environment;
use rpc::pb::registration as pb;
use rpc::pool::Pool;
use rpc::server::{Methods, Server};

use super::umask_lock;

/// A registrar in this process on a real socket, as a sidecar is one.
pub struct Registrar {
    server: Option<Server>,
}

impl Registrar {
    /// Listens on `<registry>/<file>` and tells of a driver with this name and socket.
    pub fn start(
        environment: &Environment,
        registry: &Path,
        file: &str,
        name: &str,
        endpoint: &Path,
    ) -> Registrar {
        let socket: PathBuf = registry.join(file);
        let (name, endpoint) = (name.to_owned(), endpoint.display().to_string());
        let pool = Pool::start(4, 4).expect("threads can be started");
        let metrics = Arc::new(Metrics::new("", "").expect("the table of series is sound"));
        let info = move |_, _: pb::InfoRequest| {
            Ok(pb::PluginInfo {
                type_: "CSIPlugin".to_owned(),
                name: name.clone(),
                endpoint: endpoint.clone(),
                supported_versions: vec!["1.0.0".to_owned()],
                ..Default::default()
            })
        };
        let methods =
            Methods::new(pool.clone(), metrics).unary("/pluginregistration.Registration/GetInfo", info);
        let umask = umask_lock();
        let server = Server::start_unix(environment, &socket, pool, vec![methods]);
        drop(umask);
        Registrar { server: Some(server.unwrap_or_else(|error| panic!("registrar: {error}"))) }
    }
}

impl Drop for Registrar {
    fn drop(&mut self) {
        if let Some(server) = self.server.take() {
            server.stop(Duration::ZERO);
        }
    }
}
