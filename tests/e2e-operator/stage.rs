//! Everything that a case can act on: a cluster in which nothing is installed but the kind that the operator reads.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::admin::Admin;
use crate::control_plane::ControlPlane;
use crate::manifest;
use crate::patience::until;
use crate::web::Web;

/// Where the programs in Go are.
#[derive(Clone)]
pub struct Programs {
    /// Those of the control plane.
    pub cluster: PathBuf,
    /// Those that install.
    pub tools: PathBuf,
}

/// The stage. What is declared first ends first.
pub struct Stage {
    /// etcd, API server and controllers.
    pub control_plane: ControlPlane,
    /// Acts as the cluster's administrator.
    pub admin: Admin,
    remarks: Vec<String>,
}

impl Stage {
    /// Starts everything. `state` is for what nobody needs afterwards, `logs` for what explains a failure.
    pub fn set(programs: &Programs, state: &Path, logs: &Path) -> Stage {
        let control_plane = ControlPlane::start(&programs.cluster, state, logs, "nobody");
        let credentials = &control_plane.credentials;
        let web = Web::trusting(&credentials.authority);
        let admin = Admin::new(web, &control_plane.api_server.url, &credentials.administrator);
        let mut stage = Stage { control_plane, admin, remarks: Vec::new() };
        stage.tidy();
        stage
    }

    /// Something worth knowing about the case, told with its sentence.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// The remarks since the last call.
    pub fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// What the operators have logged so far.
    pub fn log(&self) -> String {
        String::new()
    }

    /// The object that the operator reads, if there is one.
    pub fn driver(&self) -> Option<Value> {
        self.admin.get(DRIVER)
    }

    /// Puts everything right for the next case, whatever this one did and however it ended.
    pub fn tidy(&mut self) {
        self.control_plane.api_server.start_again();
        self.control_plane.expect_running();
        for definition in manifest::shipped_in(manifest::DEFINITION) {
            self.admin.apply(&definition);
        }
        until("the kind is served", || self.admin.get(DRIVERS).is_some());
        if self.driver().is_some() {
            self.admin.delete(DRIVER);
        }
        until("the object is gone", || self.driver().is_none());
    }
}

/// Where the objects that the operator reads are.
pub const DRIVERS: &str = "/apis/operator.openshift.io/v1/clustercsidrivers";
/// Where the one that counts is.
pub const DRIVER: &str = "/apis/operator.openshift.io/v1/clustercsidrivers/secrets-store.csi.k8s.io";
