//! Kubelet, of the version that is asked for.

use std::path::{Path, PathBuf};

use serde_json::json;

use crate::authority::{Authority, CERTIFICATE};
use crate::control_plane::NODE_ADDRESS;
use crate::daemon::Daemon;
use crate::machine::Machine;
use crate::node;

/// The running kubelet, which can be stopped.
pub struct Kubelet {
    daemon: Option<Daemon>,
    program: PathBuf,
    arguments: Vec<String>,
    logs: PathBuf,
}

/// How fast kubelet does what it does now and then.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// As everywhere: a volume is refreshed every 60 to 90 s.
    Default,
    /// So that a smoke test need not wait for it.
    Quick,
}

impl Kubelet {
    /// Starts the program.
    pub fn start(
        machine: &Machine,
        program: &Path,
        disk: &Path,
        authority: &Authority,
        pace: Pace,
        logs: &Path,
    ) -> Kubelet {
        let config = disk.join("kubelet.json");
        std::fs::write(&config, configuration(authority, pace).to_string())
            .unwrap_or_else(|error| panic!("{}: {error}", config.display()));
        let arguments = vec![
            format!("--config={}", config.display()),
            format!("--kubeconfig={}", authority.client_of("kubelet")),
            format!("--hostname-override={}", node::NAME),
            format!("--node-ip={NODE_ADDRESS}"),
            "--v=3".to_owned(),
        ];
        let mut kubelet =
            Kubelet { daemon: None, program: program.to_owned(), arguments, logs: logs.to_owned() };
        kubelet.start_again(machine);
        kubelet
    }

    /// Starts it after [`Kubelet::stop`]. Does nothing while it runs.
    pub fn start_again(&mut self, machine: &Machine) {
        self.daemon.get_or_insert_with(|| {
            Daemon::start("kubelet", machine.command(&self.program).args(&self.arguments), &self.logs)
        });
    }

    /// Asks it to end, and waits until it has. Its pods go on.
    pub fn stop(&mut self) {
        if let Some(daemon) = self.daemon.take() {
            daemon.stop();
        }
    }

    /// Forgets it: its machine was switched off.
    pub fn forget(&mut self) {
        self.daemon = None;
    }

    /// Panics if it has ended by itself.
    pub fn expect_running(&mut self) {
        if let Some(daemon) = &mut self.daemon {
            daemon.expect_running();
        }
    }
}

fn configuration(authority: &Authority, pace: Pace) -> serde_json::Value {
    let mut configuration = json!({
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        // Version 1 of the control groups is refused by default since 1.35.
        "failCgroupV1": false,
        "cgroupDriver": "cgroupfs",
        "failSwapOn": false,
        // Without CAP_SYS_RESOURCE no process can be protected.
        "oomScoreAdj": 0,
        "maxPods": 250,
        "resolvConf": "",
        // Nobody answers there, and no case asks for a name. Without it kubelet warns about each pod.
        "clusterDNS": ["10.96.0.10"],
        "clusterDomain": "cluster.local",
        "volumePluginDir": "/var/lib/kubelet/volume-plugins",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "authentication": {"x509": {"clientCAFile": authority.path(CERTIFICATE)}},
        // The machine's disk is as large as its memory, and nobody else's.
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
    });
    if pace == Pace::Quick {
        configuration["syncFrequency"] = json!("5s");
        configuration["nodeStatusUpdateFrequency"] = json!("2s");
    }
    configuration
}
