//! A cluster of its own in which nothing was ever installed, and the programs with which people install: what a user
//! has before the first command of docs/installing.md.

mod container;
mod host;
mod snapshot;

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

pub use self::container::{Container, arguments};
pub use self::host::{Host, PODS};
pub use self::snapshot::Snapshot;
use crate::stage::Programs;
use crate::workloads::NODE;
use e2e::admin::{Admin, Refusal};
use e2e::control_plane::{AUTHORITY, ControlPlane};
use e2e::kinds;
use e2e::patience::until;
use e2e::tool::{Told, Tool};
use e2e::web::Web;
use kit::yaml;

/// The cluster and the programs.
pub struct Site {
    control_plane: ControlPlane,
    /// Acts as the cluster's administrator.
    pub admin: Admin,
    tools: PathBuf,
    /// For files of the cases.
    pub directory: PathBuf,
}

impl Site {
    /// Starts the cluster, which has one node without a kubelet, and the kinds of the Prometheus operator.
    pub fn open(programs: &Programs, state: &Path, logs: &Path) -> Site {
        let directories = [state, logs].map(|directory| {
            let own = directory.join("site");
            std::fs::create_dir(&own).unwrap_or_else(|error| panic!("{}: {error}", own.display()));
            own
        });
        let [directory, logs] = directories;
        let mut control_plane = ControlPlane::start(&programs.cluster, &directory, &logs, "nobody");
        let credentials = &control_plane.credentials;
        let web = Web::trusting(&credentials.authority);
        let admin = Admin::new(web, &control_plane.api_server.url, &credentials.administrator);
        for kind in ["podmonitors", "prometheusrules"] {
            let file = programs.tools.join(format!("monitoring.coreos.com_{kind}.yaml"));
            yaml::read(&file).iter().for_each(|definition| drop(admin.apply(definition)));
            let path = format!("/apis/monitoring.coreos.com/v1/{kind}");
            until(&format!("{kind} are served"), || admin.get(&path).is_some());
        }
        let labels = json!({"kubernetes.io/os": "linux"});
        let node = json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE, "labels": labels}});
        admin.apply(&node);
        control_plane.start_controllers();
        write_kubeconfig(&directory, &control_plane);
        Site { control_plane, admin, tools: programs.tools.clone(), directory }
    }

    /// Helm, which acts as the administrator.
    pub fn helm(&self, arguments: &[&str]) -> Told {
        self.tool("helm").run(arguments)
    }

    /// kubectl, which acts as the administrator.
    pub fn kubectl(&self, arguments: &[&str]) -> Told {
        self.tool("kubectl").run(arguments)
    }

    /// A program that ships with none of our files.
    pub fn tool(&self, name: &str) -> Tool<'_> {
        Tool { program: self.tools.join(name), directory: &self.directory }
    }

    /// What the chart makes of the values, as helm tells it without asking the cluster.
    pub fn render(&self, arguments: &[&str]) -> Vec<Value> {
        let told = self.helm(&[&["template", RELEASE, CHART, "--namespace", NAMESPACE], arguments].concat());
        objects(&told.expect_good())
    }

    /// Has the API server say what it would do with the object, while it takes every field seriously.
    pub fn examine(&self, object: &Value) -> Result<Value, Refusal> {
        let path = kinds::collection_of(object);
        self.admin.ask("POST", &format!("{path}?dryRun=All&fieldValidation=Strict"), Some(object))
    }

    /// Where pods of the cluster find the API server, as variables of their containers.
    pub fn address_variables(&self) -> Vec<(String, String)> {
        let address = self.control_plane.api_server.url.trim_start_matches("https://");
        let (host, port) = address.split_once(':').expect("an address has a port");
        [("KUBERNETES_SERVICE_HOST", host), ("KUBERNETES_SERVICE_PORT", port)]
            .map(|(name, value)| (name.to_owned(), value.to_owned()))
            .into()
    }

    /// The certificate that signs for the API server.
    pub fn authority(&self) -> &str {
        &self.control_plane.credentials.authority
    }

    /// Removes all that the cases have installed, whatever state it is in.
    pub fn clear(&self) {
        until("nothing that was installed is left", || {
            let left = Snapshot::take(self);
            left.paths().for_each(|path| self.admin.delete(path));
            left.is_empty()
        });
    }
}

/// The objects of a text in YAML, as helm and kubectl print them.
pub fn objects(text: &str) -> Vec<Value> {
    let documents = yaml::parse(text).unwrap_or_else(|error| panic!("{error} in:\n{text}"));
    documents.into_iter().filter(|document| !document.is_null()).collect()
}

fn write_kubeconfig(directory: &Path, control_plane: &ControlPlane) {
    let (server, credentials) = (&control_plane.api_server.url, &control_plane.credentials);
    let authority = credentials.path(AUTHORITY);
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": {"server": server, "certificate-authority": authority}}],
        "users": [{"name": "u", "user": {"token": credentials.administrator}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    });
    let file = directory.join(e2e::tool::KUBECONFIG);
    std::fs::write(&file, content.to_string()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// The directory of the chart.
pub const CHART: &str = kit::in_repository!("/deploy/charts/secrets-store-csi-driver");
/// What the cases about installing read.
pub const CASES: &str = kit::in_repository!("/tests/e2e/install");
/// The release's name that the upstream driver's instructions use.
pub const RELEASE: &str = "csi-secrets-store";
/// Where it is installed.
pub const NAMESPACE: &str = "kube-system";
/// What the DaemonSet is called after them.
pub const DAEMON_SET: &str = "csi-secrets-store-secrets-store-csi-driver";
