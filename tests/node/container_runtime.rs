//! containerd with runc, as kubelet's container runtime.

use std::path::{Path, PathBuf};

use crate::daemon::Daemon;
use crate::machine::Machine;
use e2e::patience::until;

/// The running containerd.
pub struct ContainerRuntime {
    daemon: Daemon,
    client: PathBuf,
}

impl ContainerRuntime {
    /// Starts the one of that directory, and waits until it answers.
    pub fn start(machine: &Machine, programs: &Path, disk: &Path, logs: &Path) -> ContainerRuntime {
        let networks = disk.join("networks");
        std::fs::create_dir_all(&networks).unwrap_or_else(|error| panic!("{}: {error}", networks.display()));
        write(&networks.join("10-node.conflist"), NETWORK);
        let config = disk.join("containerd.toml");
        write(&config, &configuration(&networks));
        // It looks for its shim, for runc and for what the plugins call.
        let path =
            format!("{}:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", programs.display());
        let mut command = machine.command(programs.join("containerd"));
        let mut daemon =
            Daemon::start("containerd", command.arg("--config").arg(&config).env("PATH", path), logs);
        let client = programs.join("ctr");
        until("containerd answers", || {
            daemon.expect_running();
            let asked = machine.command(&client).arg("version").output();
            asked.is_ok_and(|answer| answer.status.success())
        });
        ContainerRuntime { daemon, client }
    }

    /// Loads an image from its archive, for this machine's architecture.
    pub fn load(&self, machine: &Machine, archive: &Path) {
        let told = machine
            .command(&self.client)
            .args(["--namespace", "k8s.io", "images", "import", "--local"])
            .arg(archive)
            .output()
            .expect("a program of ours can be started");
        let error = String::from_utf8_lossy(&told.stderr);
        assert!(told.status.success(), "{}: {error}", archive.display());
    }

    /// Panics if it has ended by itself.
    pub fn expect_running(&mut self) {
        self.daemon.expect_running();
    }
}

fn configuration(networks: &Path) -> String {
    format!(
        "version = 3
[plugins.'io.containerd.cri.v1.images'.pinned_images]
sandbox = '{PAUSE}'
[plugins.'io.containerd.cri.v1.runtime']
# Without CAP_SYS_RESOURCE, as in many a sandbox, nobody can protect a process from the kernel's hunt for memory.
restrict_oom_score_adj = true
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
runtime_type = 'io.containerd.runc.v2'
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
BinaryName = 'runc'
SystemdCgroup = false
[plugins.'io.containerd.cri.v1.runtime'.cni]
bin_dirs = ['/usr/lib/cni']
conf_dir = '{}'
",
        networks.display()
    )
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

/// The image of the process that holds a pod's namespaces.
pub const PAUSE: &str = "localhost/pause:node";
/// One bridge, on which all pods are.
const NETWORK: &str = r#"{"cniVersion": "1.0.0", "name": "node", "plugins": [{"type": "bridge", "bridge": "cni0",
"isGateway": true, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.244.0.0/23"}]],
"routes": [{"dst": "0.0.0.0/0"}]}}]}
"#;
