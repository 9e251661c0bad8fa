//! The driver in the cluster: installed by the shipped manifests or by the chart, and what kubelet knows of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};

use crate::kubectl::Kubectl;
use crate::node;
use crate::objects::DRIVER;
use e2e::patience::{until, within};

/// How it was installed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Installed {
    /// `kubectl apply -k` of the shipped manifests.
    Manifests,
    /// `helm install` of the chart.
    Chart,
    /// The operator, at the word of its object.
    Operator,
    /// Not this driver but upstream's, by its own manifests.
    Upstream,
}

/// The installed driver.
pub struct Driver {
    kubectl: Kubectl,
    directory: PathBuf,
    installed: Option<Installed>,
    /// Where upstream's manifests are.
    upstream: PathBuf,
}

impl Driver {
    /// Not installed yet. What is installed is prepared in that directory.
    pub fn new(kubectl: &Kubectl, directory: &Path, upstream: PathBuf) -> Driver {
        Driver { kubectl: kubectl.clone(), directory: directory.to_owned(), installed: None, upstream }
    }

    /// After a power failure.
    pub fn ask_by(&mut self, kubectl: &Kubectl) {
        self.kubectl = kubectl.clone();
    }

    /// Installs it in that way, with refreshes of every ten seconds and with mirrored Secrets, and waits until it is
    /// ready. What was installed otherwise is removed first, except that these manifests and upstream's replace each
    /// other: they name the same objects.
    pub fn install(&mut self, how: Installed) {
        let is_replaced =
            |installed| installed == how || (is_by_manifests(installed) && is_by_manifests(how));
        if self.installed.is_some_and(|installed| !is_replaced(installed)) {
            self.remove();
        }
        match how {
            Installed::Manifests => {
                self.kubectl.good(&["apply", "-k", &self.manifests()]);
            }
            Installed::Chart => {
                self.helm("upgrade", &[&["--install", RELEASE, CHART], CHART_VALUES].concat())
            }
            Installed::Operator => self.install_operator(),
            Installed::Upstream => {
                self.kubectl.good(&["apply", "-k", &self.upstream_manifests()]);
            }
        }
        self.installed = Some(how);
        self.wait_until_ready();
    }

    fn install_operator(&self) {
        self.kubectl.good(&["apply", "-k", &format!("{DEPLOY}/operator")]);
        self.kubectl.good(&["rollout", "status", OPERATOR, NAMESPACE_OF_OPERATOR, "--timeout=120s"]);
        self.kubectl.good(&["apply", "-f", &format!("{DEPLOY}/operator/clustercsidriver.yaml")]);
        let condition = "--for=condition=SecretsStoreDriverNodeServiceControllerAvailable=True";
        self.kubectl.good(&["wait", OBJECT, condition, "--timeout=120s"]);
    }

    fn remove_operator(&self) {
        let removed = r#"--patch={"spec":{"managementState":"Removed"}}"#;
        self.kubectl.good(&["patch", OBJECT, "--type=merge", removed]);
        within(A_ROLLOUT, "the operator has removed the driver", || self.pods().is_empty());
        self.kubectl.good(&["delete", OBJECT, "--timeout=60s"]);
        self.kubectl.good(&["delete", "-k", &format!("{DEPLOY}/operator/program"), "--timeout=120s"]);
    }

    /// Removes it, and waits until kubelet has forgotten it.
    pub fn remove(&mut self) {
        match self.installed.take() {
            Some(Installed::Manifests) => {
                let manifests = self.manifests();
                self.kubectl.good(&["delete", "-k", &manifests, "--ignore-not-found", "--timeout=60s"]);
            }
            Some(Installed::Chart) => self.helm("uninstall", &[RELEASE, "--wait"]),
            Some(Installed::Operator) => self.remove_operator(),
            Some(Installed::Upstream) => {
                let manifests = self.upstream_manifests();
                self.kubectl.good(&["delete", "-k", &manifests, "--ignore-not-found", "--timeout=60s"]);
            }
            None => return,
        }
        until("kubelet has forgotten the driver", || !self.is_registered());
    }

    /// Waits until all of its latest pods are ready, and kubelet knows it.
    pub fn wait_until_ready(&self) {
        self.kubectl.good(&["rollout", "status", self.daemon_set(), self.namespace(), "--timeout=120s"]);
        until("kubelet knows the driver", || self.is_registered());
    }

    /// Whether kubelet knows it.
    pub fn is_registered(&self) -> bool {
        let known = self.kubectl.get(&["csinode", node::NAME]).expect("kubelet makes this object");
        known["spec"]["drivers"].as_array().into_iter().flatten().any(|driver| driver["name"] == DRIVER)
    }

    /// Its pod.
    pub fn pod(&self) -> Value {
        let mut pods = self.pods();
        pods.retain(|pod| pod["metadata"]["deletionTimestamp"].is_null());
        assert_eq!(pods.len(), 1, "one node has one driver");
        pods.remove(0)
    }

    /// How often its container was started again.
    pub fn restarts(&self) -> u64 {
        self.pod()["status"]["containerStatuses"][0]["restartCount"].as_u64().expect("kubelet counts")
    }

    /// What it has logged since its container was started; empty where there is none.
    pub fn log(&self) -> String {
        if self.installed.is_none() {
            return String::new();
        }
        self.kubectl.run(&["logs", self.daemon_set(), self.namespace(), "--tail=-1"]).out
    }

    /// Runs a command of the driver's in its container.
    pub fn exec(&self, arguments: &[&str]) -> crate::kubectl::Told {
        let begin = ["exec", self.namespace(), self.daemon_set(), "--", "/secrets-store-csi-driver"];
        self.kubectl.run(&[&begin, arguments].concat())
    }

    /// Replaces its pod by another, and waits until that is ready.
    pub fn replace_pod(&self) {
        let old = self.pod();
        let name = old["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
        self.kubectl.good(&["delete", "pod", &name, self.namespace(), "--timeout=60s"]);
        within(A_ROLLOUT, "another pod of the driver is ready", || {
            self.pods().iter().any(|pod| pod["metadata"]["uid"] != old["metadata"]["uid"] && is_ready(pod))
        });
        self.wait_until_ready();
    }

    /// Rolls out what is there already.
    pub fn restart_rollout(&self) {
        self.kubectl.good(&["rollout", "restart", self.daemon_set(), self.namespace()]);
    }

    /// Kills its process as the kernel does when memory is short, and waits until it is ready again.
    pub fn kill(&self) {
        let before = self.restarts();
        let status = Command::new("kill").arg("-KILL").arg(self.process().to_string()).status();
        assert!(status.is_ok_and(|status| status.success()), "the driver runs");
        within(A_ROLLOUT, "kubelet has started the driver again", || {
            self.restarts() > before && is_ready(&self.pod())
        });
        self.wait_until_ready();
    }

    /// Has it leave the node.
    pub fn banish(&self) {
        self.select_nodes(&json!({"driver": "nowhere"}));
        within(A_ROLLOUT, "the driver is gone", || self.pods().is_empty());
    }

    /// Has it come back, and waits until it is ready.
    pub fn call_back(&self) {
        self.select_nodes(&json!({"driver": null}));
        self.wait_until_ready();
    }

    /// The number of its process on this machine, which sees those of that one.
    pub fn process(&self) -> u32 {
        let is_it = |process: &u32| {
            let line = fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
            line.starts_with(b"/secrets-store-csi-driver\0")
                && line.windows(FLAG_OF_DRIVER.len()).any(|part| part == FLAG_OF_DRIVER)
        };
        let entries = fs::read_dir("/proc").expect("the kernel lists processes");
        let numbers = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse::<u32>().ok());
        let found: Vec<u32> = numbers.filter(is_it).filter(|process| self.is_of_machine(*process)).collect();
        let [process] = found[..] else { panic!("one driver runs on the machine, and not {found:?}") };
        process
    }

    /// Its pods, those that end among them.
    pub fn pods(&self) -> Vec<Value> {
        let found = self.kubectl.get(&["pods", "--all-namespaces", "--selector", SELECTOR]);
        found.expect("a list")["items"].as_array().cloned().unwrap_or_default()
    }

    fn is_of_machine(&self, process: u32) -> bool {
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        groups.contains(&format!("node-{}/", std::process::id()))
    }

    fn select_nodes(&self, labels: &Value) {
        let patch = json!({"spec": {"template": {"spec": {"nodeSelector": labels}}}}).to_string();
        self.kubectl.good(&["patch", self.daemon_set(), self.namespace(), "--patch", &patch]);
    }

    fn daemon_set(&self) -> &'static str {
        match self.installed.expect("the driver is installed") {
            Installed::Manifests | Installed::Upstream => "daemonset/csi-secrets-store",
            Installed::Chart => "daemonset/csi-secrets-store-secrets-store-csi-driver",
            Installed::Operator => "daemonset/secrets-store-csi-driver-node",
        }
    }

    fn namespace(&self) -> &'static str {
        if self.installed == Some(Installed::Operator) {
            NAMESPACE_OF_OPERATOR
        } else {
            "--namespace=kube-system"
        }
    }

    /// The shipped manifests with what docs/installing.md says to change for refreshes, and the component for Secrets.
    fn manifests(&self) -> String {
        let whole = json!({"resources": ["manifests"], "components": ["manifests/sync"]});
        self.changed(DEPLOY.as_ref(), "ours", &whole)
    }

    /// Upstream's manifests with the same settings, and without the probe of a sidecar that is no matter here.
    fn upstream_manifests(&self) -> String {
        let resources: Vec<String> =
            UPSTREAM_FILES.iter().map(|file| format!("manifests/{file}.yaml")).collect();
        let containers = json!([
            {"name": "liveness-probe", "$patch": "delete"},
            {"name": "secrets-store", "livenessProbe": null},
        ]);
        let patch = json!({
            "apiVersion": "apps/v1",
            "kind": "DaemonSet",
            "metadata": {"name": "csi-secrets-store", "namespace": "kube-system"},
            "spec": {"template": {"spec": {"containers": containers}}},
        });
        let whole = json!({"resources": resources, "patches": [{"patch": patch.to_string()}]});
        self.changed(&self.upstream, "upstream", &whole)
    }

    /// A copy of manifests with the settings of the cases, and around it that kustomization. Returns its directory.
    fn changed(&self, manifests: &Path, name: &str, kustomization: &Value) -> String {
        let directory = self.directory.join(name);
        if !directory.exists() {
            fs::create_dir(&directory).unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
            let copy = directory.join("manifests");
            let copied = Command::new("cp").arg("-R").args([manifests, &copy]).status();
            assert!(copied.is_ok_and(|status| status.success()), "{} can be copied", manifests.display());
            let file = copy.join("secrets-store-csi-driver.yaml");
            let mut text = fs::read_to_string(&file).expect("it ships");
            for (shipped, wanted) in CHANGES {
                assert!(text.contains(shipped), "{} says {shipped}", file.display());
                text = text.replace(shipped, wanted);
            }
            fs::write(&file, text).expect("the copy can be written");
            fs::write(directory.join("kustomization.yaml"), kustomization.to_string())
                .expect("the directory is ours");
        }
        directory.display().to_string()
    }

    fn helm(&self, verb: &str, arguments: &[&str]) {
        self.kubectl.helm(&[&[verb, "--namespace=kube-system"], arguments].concat()).expect_good();
    }
}

fn is_by_manifests(installed: Installed) -> bool {
    matches!(installed, Installed::Manifests | Installed::Upstream)
}

/// Whether kubelet says so of a pod.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

const DEPLOY: &str = kit::in_repository!("/deploy");
const CHART: &str = kit::in_repository!("/deploy/charts/secrets-store-csi-driver");
const RELEASE: &str = "csi-secrets-store";
const SELECTOR: &str = "app in (csi-secrets-store, secrets-store-csi-driver, secrets-store-csi-driver-node)";
const OPERATOR: &str = "deployment/secrets-store-csi-driver-operator";
const NAMESPACE_OF_OPERATOR: &str = "--namespace=secrets-store-csi-driver";
const OBJECT: &str = "clustercsidriver/secrets-store.csi.k8s.io";
/// All of upstream's that is for Linux.
const UPSTREAM_FILES: [&str; 9] = [
    "csidriver",
    "rbac-secretproviderclass",
    "rbac-secretprovidersyncing",
    "role-secretproviderclasses-admin",
    "role-secretproviderclasses-viewer",
    "role-secretproviderclasspodstatuses-viewer",
    "secrets-store-csi-driver",
    "secrets-store.csi.x-k8s.io_secretproviderclasses",
    "secrets-store.csi.x-k8s.io_secretproviderclasspodstatuses",
];
const CHANGES: [(&str, &str); 2] = [
    ("--enable-secret-rotation=false", "--enable-secret-rotation=true"),
    ("--rotation-poll-interval=2m", "--rotation-poll-interval=10s"),
];
const CHART_VALUES: &[&str] = &[
    "--set=enableSecretRotation=true",
    "--set=rotationPollInterval=10s",
    "--set=syncSecret.enabled=true",
    "--wait",
    "--timeout=2m",
];
const FLAG_OF_DRIVER: &[u8] = b"--kubelet-registration-dir";
const A_ROLLOUT: Duration = Duration::from_secs(180);
