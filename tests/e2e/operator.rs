//! The operator as a process: with the arguments and the environment of its Deployment, and a token of its account.

use std::path::{Path, PathBuf};
use std::process::ExitStatus;

use serde_json::{Value, json};

use crate::admin::Admin;
use crate::control_plane::{AUTHORITY, ControlPlane, ENDS_WITH_PARENT, free_ports};
use crate::kinds;
use crate::patience::until;
use crate::web::{Answer, Web};
use kit::driver::{DriverProcess, program};
use kit::yaml;

/// What every operator of the stage is started with.
pub struct Launcher {
    flags: Vec<String>,
    token_file: PathBuf,
    /// What vouches for the metrics of every operator.
    certificate: String,
}

/// A running operator.
pub struct Operator {
    process: DriverProcess,
    address: String,
    metrics: String,
    certificate: String,
}

impl Launcher {
    /// For the cluster; the token will be in `state`.
    pub fn new(control_plane: &ControlPlane, state: &Path) -> Launcher {
        let token_file = state.join("operator-token");
        let names = vec!["127.0.0.1".to_owned()];
        let made = rcgen::generate_simple_self_signed(names).expect("a certificate can be made");
        let file = |name: &str, content: String| {
            let file = state.join(name);
            std::fs::write(&file, content).expect("the directory takes files");
            file.display().to_string()
        };
        let certificate = made.cert.pem();
        let flags = [
            format!("--kube-api-server={}", control_plane.api_server.url),
            format!("--kube-ca-file={}", control_plane.credentials.path(AUTHORITY)),
            format!("--kube-token-file={}", token_file.display()),
            format!("--namespace={NAMESPACE}"),
            // Usually two minutes, for which no case wants to wait when an operator was killed.
            "--lease-duration=3s".to_owned(),
            "--lease-renew-deadline=2s".to_owned(),
            "--lease-retry-period=300ms".to_owned(),
            format!("--tls-cert-file={}", file("operator.crt", certificate.clone())),
            format!("--tls-private-key-file={}", file("operator.key", made.signing_key.serialize_pem())),
            "-v=4".to_owned(),
        ];
        Launcher { flags: flags.into(), token_file, certificate }
    }

    /// Starts one, as kubelet would, in the Deployment's pod.
    pub fn launch(&self, admin: &Admin) -> Operator {
        self.launch_in(admin, &pod_name(admin))
    }

    /// Starts one in a pod of that name.
    pub fn launch_in(&self, admin: &Admin, pod: &str) -> Operator {
        let [deployment] = &yaml::read(Path::new(DEPLOYMENT))[..] else { panic!("one document") };
        self.launch_as(admin, pod, &deployment["spec"]["template"]["spec"]["containers"][0])
    }

    /// Starts one in a pod of that name, as this container.
    pub fn launch_as(&self, admin: &Admin, pod: &str, container: &Value) -> Operator {
        self.renew_token(admin);
        let [port, metrics_port] = free_ports();
        let (address, metrics) = (format!("127.0.0.1:{port}"), format!("127.0.0.1:{metrics_port}"));
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let variables = container["env"].as_array().into_iter().flatten().map(|variable| {
            let value = match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
                Some("metadata.name") => pod.to_owned(),
                Some(other) => panic!("nobody knows {other} of the operator's pod"),
                None => text(&variable["value"]),
            };
            format!("{}={value}", text(&variable["name"]))
        });
        let arguments = container["args"].as_array().into_iter().flatten().map(text);
        let command = ENDS_WITH_PARENT[1..].iter().map(|word| (*word).to_owned());
        let whole = command
            .chain(["env".to_owned()])
            .chain(variables)
            .chain([program("secrets-store-csi-operator").display().to_string()])
            .chain(arguments)
            .chain(self.flags.iter().cloned())
            .chain([format!("--listen={address}"), format!("--metrics-listen={metrics}")]);
        let process = DriverProcess::spawn(Path::new(ENDS_WITH_PARENT[0]), &whole.collect::<Vec<_>>());
        Operator { process, address, metrics, certificate: self.certificate.clone() }
    }

    /// A token of the operator's account, which lives as long as that.
    fn renew_token(&self, admin: &Admin) {
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
        let account = kinds::core(NAMESPACE, "serviceaccounts", ACCOUNT);
        let answer = admin.post(&format!("{account}/token"), &request);
        let token = answer["status"]["token"].as_str().expect("the API server issues tokens");
        std::fs::write(&self.token_file, token).expect("the directory takes files");
    }
}

impl Operator {
    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        self.process.log()
    }

    /// The memory that it holds.
    pub fn resident_kibibytes(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.process.id()));
        let status = status.expect("it runs");
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let number = line.and_then(|line| line.split_whitespace().next());
        number.and_then(|number| number.parse().ok()).expect("the kernel tells how much memory a process has")
    }

    /// What it answers to whoever asks for its metrics with that token, or with none.
    pub fn metrics(&self, token: Option<&str>) -> Result<Answer, String> {
        let bearer = token.map(|token| format!("Bearer {token}"));
        let headers: Vec<_> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
        Web::trusting(&self.certificate).send(
            "GET",
            &format!("https://{}/metrics", self.metrics),
            &headers,
            None,
        )
    }

    /// Waits until it says by `/readyz` that it is ready.
    pub fn wait_until_ready(&self) {
        let url = format!("http://{}/readyz", self.address);
        until("the operator is ready", || {
            Web::plain().send("GET", &url, &[], None).is_ok_and(|answer| answer.code == 200)
        });
    }

    /// Waits until it has ended by itself, and returns how.
    pub fn ends(&mut self) -> ExitStatus {
        self.process.wait()
    }

    /// Asks it to end, waits until it has, and returns what it logged.
    pub fn terminate(self) -> String {
        self.process.terminate()
    }

    /// Ends it at once, and returns what it logged.
    pub fn kill(self) -> String {
        self.process.kill()
    }
}

/// The name of the Deployment's pod, if it has made one.
fn pod_name(admin: &Admin) -> String {
    let pods = admin.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{ACCOUNT}"));
    pods.first().and_then(|pod| pod["metadata"]["name"].as_str()).unwrap_or_default().to_owned()
}

/// Where the operator is.
pub const NAMESPACE: &str = "secrets-store-csi-driver";
const DEPLOYMENT: &str = kit::in_repository!("/deploy/operator/program/deployment.yaml");
/// The operator's service account, Deployment and label.
pub const ACCOUNT: &str = "secrets-store-csi-driver-operator";
