//! etcd, kube-apiserver, kube-controller-manager and kube-scheduler, all controllers among them, on the machine.

use std::path::Path;

use crate::authority::{ADMINISTRATOR, Authority, CERTIFICATE};
use crate::daemon::Daemon;
use crate::kubectl::Kubectl;
use crate::machine::Machine;
use e2e::patience::until;

/// The running programs.
pub struct ControlPlane {
    daemons: Vec<Daemon>,
}

impl ControlPlane {
    /// Starts the programs of that directory, with what is on the disk, and waits until the API server is ready.
    pub fn start(
        machine: &Machine,
        programs: &Path,
        disk: &Path,
        authority: &Authority,
        kubectl: &Kubectl,
        logs: &Path,
    ) -> ControlPlane {
        let start = |name: &'static str, arguments: &[String]| {
            Daemon::start(name, machine.command(programs.join(name)).args(arguments), logs)
        };
        let etcd = start("etcd", &etcd(disk));
        let mut api_server = start("kube-apiserver", &api_server(authority));
        until("the API server is ready", || {
            api_server.expect_running();
            kubectl.run(&["get", "--raw", "/readyz"]).is_good
        });
        let controllers = start("kube-controller-manager", &controllers(authority));
        let scheduler = start("kube-scheduler", &scheduler(authority));
        ControlPlane { daemons: vec![etcd, api_server, controllers, scheduler] }
    }

    /// Panics if one of them has ended by itself.
    pub fn expect_running(&mut self) {
        self.daemons.iter_mut().for_each(Daemon::expect_running);
    }
}

fn etcd(disk: &Path) -> Vec<String> {
    vec![
        format!("--data-dir={}", disk.join("etcd").display()),
        "--unsafe-no-fsync".to_owned(),
        "--log-level=warn".to_owned(),
    ]
}

fn api_server(authority: &Authority) -> Vec<String> {
    let file = |flag: &str, name: &str| format!("--{flag}={}", authority.path(name));
    vec![
        "--etcd-servers=http://127.0.0.1:2379".to_owned(),
        "--secure-port=443".to_owned(),
        format!("--advertise-address={NODE_ADDRESS}"),
        "--service-cluster-ip-range=10.96.0.0/24".to_owned(),
        file("tls-cert-file", "server.crt"),
        file("tls-private-key-file", "server.key"),
        file("client-ca-file", CERTIFICATE),
        "--authorization-mode=Node,RBAC".to_owned(),
        "--enable-admission-plugins=NodeRestriction".to_owned(),
        "--allow-privileged=true".to_owned(),
        "--kubelet-preferred-address-types=InternalIP".to_owned(),
        file("kubelet-client-certificate", &format!("{ADMINISTRATOR}.crt")),
        file("kubelet-client-key", &format!("{ADMINISTRATOR}.key")),
        "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
        file("service-account-key-file", "service-accounts.pub"),
        file("service-account-signing-key-file", "service-accounts.key"),
        "--event-ttl=1h".to_owned(),
        "--profiling=false".to_owned(),
    ]
}

fn controllers(authority: &Authority) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", authority.client_of("controller-manager")),
        "--leader-elect=false".to_owned(),
        // Serves nothing.
        "--secure-port=0".to_owned(),
        // Each controller is somebody of its own, with no more rights than it has in a cluster.
        "--use-service-account-credentials=true".to_owned(),
        format!("--service-account-private-key-file={}", authority.path("service-accounts.key")),
        format!("--root-ca-file={}", authority.path(CERTIFICATE)),
    ]
}

fn scheduler(authority: &Authority) -> Vec<String> {
    vec![
        format!("--kubeconfig={}", authority.client_of("scheduler")),
        "--leader-elect=false".to_owned(),
        "--secure-port=0".to_owned(),
    ]
}

/// Where the API server is.
pub const URL: &str = "https://192.0.2.10";
/// The machine's address, of a range for documents: it is on no network but its own.
pub const NODE_ADDRESS: &str = "192.0.2.10";
/// The address of the service `kubernetes`. No kube-proxy leads there: the API server listens on it.
pub const SERVICE_ADDRESS: &str = "10.96.0.1";
