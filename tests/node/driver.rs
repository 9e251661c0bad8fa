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
}

/// The installed driver.
pub struct Driver {
    kubectl: Kubectl,
    directory: PathBuf,
    installed: Option<Installed>,
}

impl Driver {
    /// Not installed yet. What is installed is prepared in that directory.
    pub fn new(kubectl: &Kubectl, directory: &Path) -> Driver {
        Driver { kubectl: kubectl.clone(), directory: directory.to_owned(), installed: None }
    }

    /// After a power failure.
    pub fn ask_by(&mut self, kubectl: &Kubectl) {
        self.kubectl = kubectl.clone();
    }

    /// Installs it in that way, with refreshes of every ten seconds and with mirrored Secrets, and waits until it is
    /// ready. Whatever was installed otherwise is removed first.
    pub fn install(&mut self, how: Installed) {
        if self.installed.is_some_and(|installed| installed != how) {
            self.remove();
        }
        match how {
            Installed::Manifests => {
                self.kubectl.good(&["apply", "-k", &self.manifests()]);
            }
            Installed::Chart => {
                self.helm("upgrade", &[&["--install", RELEASE, CHART], CHART_VALUES].concat())
            }
        }
        self.installed = Some(how);
        self.wait_until_ready();
    }

    /// Removes it, and waits until kubelet has forgotten it.
    pub fn remove(&mut self) {
        match self.installed.take() {
            Some(Installed::Manifests) => {
                let manifests = self.manifests();
                self.kubectl.good(&["delete", "-k", &manifests, "--ignore-not-found", "--timeout=60s"]);
            }
            Some(Installed::Chart) => self.helm("uninstall", &[RELEASE, "--wait"]),
            None => return,
        }
        until("kubelet has forgotten the driver", || !self.is_registered());
    }

    /// Waits until all of its latest pods are ready, and kubelet knows it.
    pub fn wait_until_ready(&self) {
        let name = self.daemon_set();
        self.kubectl.good(&["rollout", "status", &name, "--namespace=kube-system", "--timeout=120s"]);
        until("kubelet knows the driver", || self.is_registered());
    }

    /// Whether kubelet knows it.
    pub fn is_registered(&self) -> bool {
        let known = self.kubectl.get(&["csinode", node::NAME]).expect("kubelet makes this object");
        known["spec"]["drivers"].as_array().into_iter().flatten().any(|driver| driver["name"] == DRIVER)
    }

    /// Its pod.
    pub fn pod(&self) -> Value {
        let found = self.kubectl.get(&["pods", "--namespace=kube-system", "--selector", SELECTOR]);
        let mut pods = found.expect("a list")["items"].as_array().cloned().unwrap_or_default();
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
        self.kubectl.run(&["logs", &self.daemon_set(), "--namespace=kube-system", "--tail=-1"]).out
    }

    /// Runs a command of the driver's in its container.
    pub fn exec(&self, arguments: &[&str]) -> crate::kubectl::Told {
        let name = self.daemon_set();
        let begin = ["exec", "--namespace=kube-system", &name, "--", "/secrets-store-csi-driver"];
        self.kubectl.run(&[&begin, arguments].concat())
    }

    /// Replaces its pod by another, and waits until that is ready.
    pub fn replace_pod(&self) {
        let old = self.pod();
        let name = old["metadata"]["name"].as_str().expect("a pod has a name").to_owned();
        self.kubectl.good(&["delete", "pod", &name, "--namespace=kube-system", "--timeout=60s"]);
        within(A_ROLLOUT, "another pod of the driver is ready", || {
            let pod = self.pod();
            pod["metadata"]["uid"] != old["metadata"]["uid"] && is_ready(&pod)
        });
        self.wait_until_ready();
    }

    /// Rolls out what is there already.
    pub fn restart_rollout(&self) {
        self.kubectl.good(&["rollout", "restart", &self.daemon_set(), "--namespace=kube-system"]);
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
        within(A_ROLLOUT, "the driver is gone", || {
            let pods = self.kubectl.get(&["pods", "--namespace=kube-system", "--selector", SELECTOR]);
            pods.expect("a list")["items"].as_array().is_some_and(Vec::is_empty)
        });
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

    fn is_of_machine(&self, process: u32) -> bool {
        let groups = fs::read_to_string(format!("/proc/{process}/cgroup")).unwrap_or_default();
        groups.contains(&format!("node-{}/", std::process::id()))
    }

    fn select_nodes(&self, labels: &Value) {
        let patch = json!({"spec": {"template": {"spec": {"nodeSelector": labels}}}}).to_string();
        self.kubectl.good(&["patch", &self.daemon_set(), "--namespace=kube-system", "--patch", &patch]);
    }

    fn daemon_set(&self) -> String {
        let name = match self.installed.expect("the driver is installed") {
            Installed::Manifests => "csi-secrets-store",
            Installed::Chart => "csi-secrets-store-secrets-store-csi-driver",
        };
        format!("daemonset/{name}")
    }

    /// The shipped manifests with what docs/installing.md says to change for refreshes, and the component for Secrets.
    fn manifests(&self) -> String {
        let place = self.directory.join("manifests");
        if !place.exists() {
            let copied = Command::new("cp").args(["-R", DEPLOY]).arg(&place).status();
            assert!(copied.is_ok_and(|status| status.success()), "{DEPLOY} can be copied");
            let file = place.join("secrets-store-csi-driver.yaml");
            let mut text = fs::read_to_string(&file).expect("it ships");
            for (shipped, wanted) in CHANGES {
                assert!(text.contains(shipped), "{} says {shipped}", file.display());
                text = text.replace(shipped, wanted);
            }
            fs::write(&file, text).expect("the copy can be written");
            let whole = json!({"resources": ["manifests"], "components": ["manifests/sync"]});
            fs::write(self.directory.join("kustomization.yaml"), whole.to_string())
                .expect("the directory is ours");
        }
        self.directory.display().to_string()
    }

    fn helm(&self, verb: &str, arguments: &[&str]) {
        self.kubectl.helm(&[&[verb, "--namespace=kube-system"], arguments].concat()).expect_good();
    }
}

/// Whether kubelet says so of a pod.
pub fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|one| one["type"] == "Ready" && one["status"] == "True")
}

const DEPLOY: &str = kit::in_repository!("/deploy");
const CHART: &str = kit::in_repository!("/deploy/charts/secrets-store-csi-driver");
const RELEASE: &str = "csi-secrets-store";
const SELECTOR: &str = "app in (csi-secrets-store, secrets-store-csi-driver)";
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
