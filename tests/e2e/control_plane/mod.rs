//! A control plane for the test alone: the real etcd, API server and controllers, on free ports of this machine.

mod api_server;
mod controller_manager;
mod credentials;
mod daemon;
mod etcd;
mod ports;

use std::path::{Path, PathBuf};

pub use api_server::ApiServer;
pub use controller_manager::ControllerManager;
pub use credentials::{AUTHORITY, Credentials};
pub use daemon::ENDS_WITH_PARENT;
pub use etcd::Etcd;
pub use ports::free as free_ports;

/// The running programs.
pub struct ControlPlane {
    controllers: Option<ControllerManager>,
    /// The API server.
    pub api_server: ApiServer,
    /// Its store.
    pub etcd: Etcd,
    /// Keys, certificates, tokens.
    pub credentials: Credentials,
    programs: PathBuf,
    logs: PathBuf,
}

impl ControlPlane {
    /// Starts etcd and the API server of the directory `programs`. What they keep goes to `state`, what they log to
    /// `logs`; the requests of the user `audited` are recorded.
    pub fn start(programs: &Path, state: &Path, logs: &Path, audited: &str) -> ControlPlane {
        let credentials = Credentials::make(state);
        let etcd = Etcd::start(&programs.join("etcd"), state, logs);
        let server = programs.join("kube-apiserver");
        let api_server = ApiServer::start(&server, &etcd.url, &credentials, audited, logs);
        let (programs, logs) = (programs.to_owned(), logs.to_owned());
        ControlPlane { controllers: None, api_server, etcd, credentials, programs, logs }
    }

    /// Starts the controllers: once every kind of object is known. Those that ran end first.
    pub fn start_controllers(&mut self) {
        self.controllers = None;
        let program = self.programs.join("kube-controller-manager");
        self.controllers =
            Some(ControllerManager::start(&program, &self.api_server.url, &self.credentials, &self.logs));
    }

    /// Panics if a controller manager that was started has ended by itself.
    pub fn expect_running(&mut self) {
        if let Some(controllers) = &mut self.controllers {
            controllers.expect_running();
        }
    }
}
