//! kube-apiserver: encrypted, with access by roles, and with a record of what the driver asks for.

use std::path::{Path, PathBuf};

use super::credentials::{AUTHORITY, Credentials};
use super::daemon::Daemon;
use super::ports;
use crate::patience::until;
use crate::web::Web;

/// The API server, which can be stopped and started.
pub struct ApiServer {
    daemon: Option<Daemon>,
    program: PathBuf,
    arguments: Vec<String>,
    logs: PathBuf,
    web: Web,
    /// Where it listens.
    pub url: String,
    /// Where it records the requests of `audited`.
    pub audit_log: PathBuf,
}

impl ApiServer {
    /// Starts it, with a record of every request of the user `audited`, and waits until it is ready.
    pub fn start(
        program: &Path,
        etcd: &str,
        credentials: &Credentials,
        audited: &str,
        logs: &Path,
    ) -> ApiServer {
        let [port] = ports::free();
        let audit_log = logs.join("audit.log");
        let policy = credentials.path("audit-policy.json");
        std::fs::write(&policy, audit_policy(audited)).expect("the directory takes files");
        let file = |flag: &str, name: &str| format!("--{flag}={}", credentials.path(name));
        let arguments = vec![
            format!("--etcd-servers={etcd}"),
            format!("--secure-port={port}"),
            "--bind-address=127.0.0.1".to_owned(),
            // Of the range for documents: nobody is told to come there, but the loopback address is refused.
            "--advertise-address=192.0.2.1".to_owned(),
            "--endpoint-reconciler-type=none".to_owned(),
            "--service-cluster-ip-range=198.51.100.0/24".to_owned(),
            file("tls-cert-file", "server.crt"),
            file("tls-private-key-file", "server.key"),
            file("client-ca-file", AUTHORITY),
            file("token-auth-file", "tokens.csv"),
            "--authorization-mode=RBAC".to_owned(),
            // As in every cluster that has drivers.
            "--allow-privileged=true".to_owned(),
            "--service-account-issuer=https://kubernetes.default.svc".to_owned(),
            file("service-account-key-file", "service-accounts.pub"),
            file("service-account-signing-key-file", "service-accounts.key"),
            format!("--audit-policy-file={policy}"),
            format!("--audit-log-path={}", audit_log.display()),
            "--event-ttl=1h".to_owned(),
            "--profiling=false".to_owned(),
        ];
        let mut server = ApiServer {
            daemon: None,
            program: program.to_owned(),
            arguments,
            logs: logs.to_owned(),
            web: Web::trusting(&credentials.authority),
            url: format!("https://127.0.0.1:{port}"),
            audit_log,
        };
        server.start_again();
        server
    }

    /// Starts it after [`ApiServer::stop`], and waits until it is ready. Does nothing while it runs.
    pub fn start_again(&mut self) {
        let daemon = self.daemon.get_or_insert_with(|| {
            Daemon::start("kube-apiserver", &self.program, &self.arguments, &self.logs)
        });
        let url = format!("{}/readyz", self.url);
        until("the API server is ready", || {
            daemon.expect_running();
            self.web.send("GET", &url, &[], None).is_ok_and(|answer| answer.code == 200)
        });
    }

    /// Kills it, and with it every request under way.
    pub fn stop(&mut self) {
        self.daemon = None;
    }
}

/// The verb and the object of each request of that user; contents are never recorded.
fn audit_policy(user: &str) -> String {
    serde_json::json!({
        "apiVersion": "audit.k8s.io/v1",
        "kind": "Policy",
        "rules": [{"level": "Metadata", "users": [user]}, {"level": "None"}],
    })
    .to_string()
}
