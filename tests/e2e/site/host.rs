//! The node on which a pod of the driver runs: what kubelet and a provider have there, below a directory of the test's.

use std::path::{Path, PathBuf};

use rpc::Environment;
use serde_json::Value;

use super::{Container, Site};
use crate::access::SERVICE_ACCOUNT;
use crate::node;
use crate::token::DriverToken;
use kit::driver::DriverProcess;
use kit::kubelet::Kubelet;
use kit::plugin_watcher::PluginWatcher;
use kit::shell;

/// The node. What is declared first ends first.
pub struct Host {
    /// Kubelet, as far as it registers drivers.
    pub watcher: PluginWatcher,
    _provider: DriverProcess,
    environment: Environment,
    directory: tempfile::TempDir,
}

impl Host {
    /// A node with kubelet's directories and with the reference provider.
    pub fn start() -> Host {
        let directory = tempfile::Builder::new().prefix("node").tempdir().expect("a temporary directory");
        let root = directory.path().join(NODE);
        for path in [PODS, REGISTRY, PROVIDERS] {
            std::fs::create_dir_all(root.join(&path[1..])).expect("a directory takes others");
        }
        // What a container mounts there shows here, as on a node.
        let pods = root.join(&PODS[1..]);
        shell::bind(&pods, &pods);
        shell::share(&pods);
        let provider = node::start_provider(&root.join(&PROVIDERS[1..]));
        let environment = Environment::start();
        let registry = root.join(&REGISTRY[1..]);
        let resolve = move |path: &str| root.join(path.trim_start_matches('/'));
        let watcher = PluginWatcher::start(&environment, &registry, resolve);
        Host { watcher, _provider: provider, environment, directory }
    }

    /// Where a path of the node is.
    pub fn path(&self, path: &Path) -> PathBuf {
        self.directory.path().join(NODE).join(path.strip_prefix("/").unwrap_or(path))
    }

    /// Starts the driver's container of a pod.
    pub fn run(&self, site: &Site, pod: &Value) -> Container {
        let root = self.directory.path().join("root");
        std::fs::create_dir(&root).expect("a directory takes others");
        let account = self.account_files(site);
        let node = self.path(Path::new("/"));
        Container::start(pod, "secrets-store", &node, &account, &root, site.address_variables())
    }

    /// Kubelet, as far as it calls drivers.
    pub fn kubelet(&self, socket: &str) -> Kubelet {
        Kubelet::new(&self.environment, &self.path(Path::new(socket)))
    }

    /// The files that kubelet puts into a pod of the driver.
    fn account_files(&self, site: &Site) -> PathBuf {
        let files = self.directory.path().join("account");
        std::fs::create_dir(&files).expect("a directory takes others");
        DriverToken::in_file(files.join("token")).renew(&site.admin);
        let [namespace, _] = SERVICE_ACCOUNT;
        for (name, content) in [("ca.crt", site.authority()), ("namespace", namespace)] {
            std::fs::write(files.join(name), content).expect("a directory takes files");
        }
        files
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        shell::unmount(&self.path(Path::new(PODS)));
    }
}

/// Short, since the path of a socket may not be long.
const NODE: &str = "n";
/// Kubelet's directory of pods.
pub const PODS: &str = "/var/lib/kubelet/pods";
const REGISTRY: &str = "/var/lib/kubelet/plugins_registry";
const PROVIDERS: &str = "/var/run/secrets-store-csi-providers";
