//! A cluster of one node, on a machine of its own: what a user of the driver has, from the kernel's namespaces up.

use std::path::{Path, PathBuf};

use crate::authority::{ADMINISTRATOR, Authority};
use crate::container_runtime::ContainerRuntime;
use crate::control_plane::ControlPlane;
use crate::images;
use crate::kubectl::Kubectl;
use crate::kubelet::{Kubelet, Pace};
use crate::machine::Machine;
use e2e::patience::within;

/// Where everything is that was built for it.
#[derive(Clone)]
pub struct Programs {
    /// Those of the control plane.
    pub cluster: PathBuf,
    /// Those of the node: containerd, the provider, and each kubelet.
    pub node: PathBuf,
    /// kubectl and Helm.
    pub tools: PathBuf,
    /// The images of the driver and of the operator, archives.
    pub images: [PathBuf; 2],
    /// The version of Kubernetes whose kubelet is to run.
    pub kubernetes: String,
}

/// The running node. What is declared first ends first.
pub struct Node {
    /// Kubelet, which can be stopped.
    pub kubelet: Kubelet,
    runtime: ContainerRuntime,
    control_plane: ControlPlane,
    /// Everything runs on it.
    pub machine: Machine,
    /// The administrator's programs.
    pub kubectl: Kubectl,
    programs: Programs,
    pace: Pace,
    authority: Authority,
    /// The disk of the machine, by the same path here and there.
    pub disk: PathBuf,
    logs: PathBuf,
}

impl Node {
    /// Starts everything, and waits until the node is ready. All that it keeps is on `disk`.
    pub fn start(programs: &Programs, pace: Pace, disk: &Path, logs: &Path) -> Node {
        let keys = disk.join("keys");
        std::fs::create_dir(&keys).unwrap_or_else(|error| panic!("{}: {error}", keys.display()));
        let authority = Authority::make(&keys);
        let machine = Machine::start(disk);
        let (kubectl, control_plane, runtime) = start(&machine, programs, disk, &authority, logs);
        for archive in images::make(programs, &disk.join("images")) {
            runtime.load(&machine, &archive);
        }
        let program = programs.kubelet();
        let kubelet = Kubelet::start(&machine, &program, disk, &authority, pace, logs);
        let (programs, logs, disk) = (programs.clone(), logs.to_owned(), disk.to_owned());
        let mut node =
            Node { kubelet, runtime, control_plane, machine, kubectl, programs, pace, authority, disk, logs };
        node.wait_until_ready();
        node
    }

    /// Ends everything at once and starts it with what is on the disk.
    pub fn fail_power(&mut self) {
        self.machine.switch_off();
        self.kubelet.forget();
        self.machine.switch_on();
        (self.kubectl, self.control_plane, self.runtime) =
            start(&self.machine, &self.programs, &self.disk, &self.authority, &self.logs);
        let program = self.programs.kubelet();
        self.kubelet =
            Kubelet::start(&self.machine, &program, &self.disk, &self.authority, self.pace, &self.logs);
    }

    /// Panics if something that is to run has ended by itself.
    pub fn expect_running(&mut self) {
        self.control_plane.expect_running();
        self.runtime.expect_running();
        self.kubelet.expect_running();
    }

    /// What is mounted on the node.
    pub fn mounts(&self) -> String {
        let file = self.machine.see("/proc/1/mounts");
        std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()))
    }

    /// Whether there is something by that path on the node.
    pub fn has(&self, path: &str) -> bool {
        self.machine.see(path).symlink_metadata().is_ok()
    }

    /// Removes a file of the node.
    pub fn remove(&self, path: &str) {
        let file = self.machine.see(path);
        std::fs::remove_file(&file).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    fn wait_until_ready(&mut self) {
        within(A_START, "the node is ready", || {
            self.expect_running();
            self.kubectl
                .run(&["wait", "--for=condition=Ready", &format!("node/{NAME}"), "--timeout=1s"])
                .is_good
        });
    }
}

impl Programs {
    /// Whether the upstream driver was built, too.
    pub fn has_upstream(&self) -> bool {
        self.node.join("upstream-driver").exists()
    }

    fn kubelet(&self) -> PathBuf {
        self.node.join(format!("kubelet-{}", self.kubernetes))
    }
}

fn start(
    machine: &Machine,
    programs: &Programs,
    disk: &Path,
    authority: &Authority,
    logs: &Path,
) -> (Kubectl, ControlPlane, ContainerRuntime) {
    let kubectl = Kubectl::new(machine, &programs.tools, authority.client_of(ADMINISTRATOR), disk);
    let control_plane = ControlPlane::start(machine, &programs.cluster, disk, authority, &kubectl, logs);
    let runtime = ContainerRuntime::start(machine, &programs.node, disk, logs);
    (kubectl, control_plane, runtime)
}

/// What the node is called.
pub const NAME: &str = "node";
const A_START: std::time::Duration = std::time::Duration::from_secs(120);
