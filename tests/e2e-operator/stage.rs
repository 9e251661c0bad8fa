//! Everything that a case can act on: a cluster with nodes, the operator's manifests applied, and operators.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};

use crate::manifest;
use crate::nodes::{NAMES, Nodes};
use crate::operand::{self, CSI_DRIVER, DAEMON_SET};
use e2e::admin::Admin;
use e2e::control_plane::{AUTHORITY, ControlPlane};
use e2e::kinds;
pub use e2e::operator::NAMESPACE;
use e2e::operator::{ACCOUNT, Launcher, Operator};
use e2e::patience::{until, until_some};
use e2e::runner::CaseStage;
use e2e::tool::{KUBECONFIG, Told, Tool};
use e2e::web::Web;

/// Where the programs in Go are.
#[derive(Clone)]
pub struct Programs {
    /// Those of the control plane.
    pub cluster: PathBuf,
    /// Those that install.
    pub tools: PathBuf,
}

/// The stage. What is declared first ends first.
pub struct Stage {
    /// Those that run.
    pub operators: Vec<Operator>,
    launcher: Launcher,
    _nodes: Nodes,
    /// etcd, API server and controllers.
    pub control_plane: ControlPlane,
    /// Acts as the cluster's administrator.
    pub admin: Admin,
    tools: PathBuf,
    /// For files of the cases.
    pub directory: PathBuf,
    /// What operators before these have logged.
    past_log: String,
    remarks: Vec<String>,
}

impl Stage {
    /// Starts everything. `state` is for what nobody needs afterwards, `logs` for what explains a failure.
    pub fn set(programs: &Programs, state: &Path, logs: &Path) -> Stage {
        let user = format!("system:serviceaccount:{NAMESPACE}:{ACCOUNT}");
        let mut control_plane = ControlPlane::start(&programs.cluster, state, logs, &user);
        let credentials = &control_plane.credentials;
        let web = Web::trusting(&credentials.authority);
        let admin = Admin::new(web, &control_plane.api_server.url, &credentials.administrator);
        write_kubeconfig(state, &control_plane);
        // Before the controllers, so that the garbage collector knows the kinds from the start.
        for definition in manifest::definitions() {
            admin.apply(&definition);
        }
        until("the kind is served", || admin.get(DRIVERS).is_some());
        control_plane.start_controllers();
        let nodes = Nodes::start(&admin, NAMESPACE);
        let launcher = Launcher::new(&control_plane, state);
        let mut stage = Stage {
            operators: Vec::new(),
            launcher,
            _nodes: nodes,
            control_plane,
            admin,
            tools: programs.tools.clone(),
            directory: state.to_owned(),
            past_log: String::new(),
            remarks: Vec::new(),
        };
        stage.tidy();
        stage
    }

    /// Something worth knowing about the case, told with its sentence.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// kubectl, which acts as the administrator, in the directory of this repository.
    pub fn kubectl(&self, arguments: &[&str]) -> Told {
        Tool { program: self.tools.join("kubectl"), directory: &self.directory }.run(arguments)
    }

    /// Installs the operator, and starts it once it is ready.
    pub fn start_operator(&mut self) {
        for object in manifest::program() {
            self.admin.apply(&object);
        }
        self.launch();
    }

    /// Starts it where it is installed already.
    pub fn launch(&mut self) {
        let account = format!("/api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}");
        until("the operator has an account", || self.admin.get(&account).is_some());
        let operator = self.launcher.launch(&self.admin);
        operator.wait_until_ready();
        self.operators.push(operator);
    }

    /// Starts it as this container, where its account is already.
    pub fn launch_as(&mut self, container: &Value) {
        let operator = self.launcher.launch_as(&self.admin, ACCOUNT, container);
        operator.wait_until_ready();
        self.operators.push(operator);
    }

    /// A token of that account of the operator's namespace, which is made if need be.
    pub fn token_of(&self, account: &str) -> String {
        let metadata = json!({"name": account, "namespace": NAMESPACE});
        self.admin.apply(&json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata}));
        let request = json!({"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"audiences": []}});
        let path = kinds::core(NAMESPACE, "serviceaccounts", account);
        let answer = self.admin.post(&format!("{path}/token"), &request);
        answer["status"]["token"].as_str().expect("the API server issues tokens").to_owned()
    }

    /// Starts another operator, in a pod of its own, which has to wait for its turn.
    pub fn launch_another(&mut self) {
        let operator = self.launcher.launch_in(&self.admin, &format!("{ACCOUNT}-another"));
        self.operators.push(operator);
    }

    /// Ends the operator that was started first as a crash would.
    pub fn kill_operator(&mut self) {
        let log = self.operators.remove(0).kill();
        self.past_log.push_str(&log);
    }

    /// Ends the operator that was started first in good order.
    pub fn stop_operator(&mut self) {
        let log = self.operators.remove(0).terminate();
        self.past_log.push_str(&log);
    }

    /// Keeps the log of an operator that is not the stage's any more.
    pub fn keep(&mut self, operator: Operator) {
        self.past_log.push_str(&operator.log());
    }

    /// Runs must-gather.sh as the administrator, and returns what it says.
    pub fn gather(&self, output: &Path) -> String {
        let script = format!("{}/must-gather.sh", manifest::OPERATOR);
        let kubectl = self.tools.join("kubectl").display().to_string();
        let (program, output) = (PathBuf::from("sh"), output.display().to_string());
        Tool { program, directory: &self.directory }
            .run(&[&script, "--output", &output, "--kubectl", &kubectl])
            .expect_good()
    }

    /// Starts an operator and has it install the driver.
    pub fn install(&mut self) {
        self.start_operator();
        self.ask_for(&json!({"managementState": "Managed"}));
        self.is_installed();
    }

    /// Makes the object that the operator reads, or makes it as given.
    pub fn ask_for(&self, spec: &Value) {
        match self.driver() {
            None => drop(self.admin.post(DRIVERS, &object(spec))),
            Some(_) => {
                // Whole, since a merge would keep what is left out; as often as somebody else is quicker.
                until("the object is changed", || {
                    let mut now = self.driver().expect("it is there");
                    now["spec"] = spec.clone();
                    match self.admin.ask("PUT", DRIVER, Some(&now)) {
                        Ok(_) => true,
                        Err(refusal) if refusal.code == 409 => false,
                        Err(refusal) => panic!("{refusal}"),
                    }
                });
            }
        }
    }

    /// The object that the operator reads, if there is one.
    pub fn driver(&self) -> Option<Value> {
        self.admin.get(DRIVER)
    }

    /// The status of a condition of that object, with its reason and message.
    pub fn condition(&self, name: &str) -> Option<[String; 3]> {
        let driver = self.driver()?;
        let found =
            driver["status"]["conditions"].as_array()?.iter().find(|each| each["type"] == name)?.clone();
        Some(
            ["status", "reason", "message"].map(|field| found[field].as_str().unwrap_or_default().to_owned()),
        )
    }

    /// Waits until a condition has that status.
    pub fn is(&self, name: &str, status: &str) {
        until(&format!("{name} is {status}"), || {
            self.condition(name).is_some_and(|[found, ..]| found == status)
        });
    }

    /// The DaemonSet, once there is one.
    pub fn daemon_set(&self) -> Value {
        until_some("there is a DaemonSet", || self.admin.get(&operand::daemon_set()))
    }

    /// The CSIDriver, once there is one.
    pub fn csi_driver(&self) -> Value {
        until_some("there is a CSIDriver", || self.admin.get(CSI_DRIVER))
    }

    /// Waits until the driver's arguments about rotation, and what kubelet is told about it, are these.
    pub fn rotates(&self, is_on: bool, interval: &str) {
        until(&format!("rotation is {is_on}, every {interval}"), || {
            let Some(daemon_set) = self.admin.get(&operand::daemon_set()) else { return false };
            let argument = |name: &str| operand::argument(&daemon_set, name);
            argument("--enable-secret-rotation=") == Some(is_on.to_string())
                && argument("--rotation-poll-interval=").as_deref() == Some(interval)
                && self
                    .admin
                    .get(CSI_DRIVER)
                    .is_some_and(|driver| driver["spec"]["requiresRepublish"] == is_on)
        });
    }

    /// Waits until every object of the driver is there and the roll-out is over.
    pub fn is_installed(&self) {
        for piece in operand::pieces() {
            until(&format!("{} is there", piece.kind), || self.admin.get(&piece.path).is_some());
        }
        self.is("SecretsStoreDriverNodeServiceControllerAvailable", "True");
        self.is("SecretsStoreDriverNodeServiceControllerProgressing", "False");
    }

    /// Waits until no object of the driver is there.
    pub fn is_uninstalled(&self) {
        for piece in operand::pieces() {
            until(&format!("{} is gone", piece.kind), || self.admin.get(&piece.path).is_none());
        }
    }

    /// `<node> <name>` of the driver's pods that are ready.
    pub fn ready_pods(&self) -> Vec<String> {
        let pods =
            self.admin.list(&format!("/api/v1/namespaces/{NAMESPACE}/pods?labelSelector=app%3D{DAEMON_SET}"));
        let is_ready = |pod: &&Value| pod["status"]["phase"] == "Running";
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut pods: Vec<String> = pods
            .iter()
            .filter(is_ready)
            .map(|pod| format!("{} {}", text(&pod["spec"]["nodeName"]), text(&pod["metadata"]["name"])))
            .collect();
        pods.sort();
        pods
    }

    /// Waits until one pod of the driver is ready on each node, and returns them.
    pub fn is_on_every_node(&self) -> Vec<String> {
        until_some("the driver's pods are ready on every node", || {
            let pods = self.ready_pods();
            let nodes = pods.iter().filter_map(|pod| pod.split(' ').next());
            nodes.eq(NAMES).then_some(pods)
        })
    }

    /// Deletes the object, and waits until it is gone.
    pub fn delete_driver(&self) {
        self.admin.delete(DRIVER);
        until("the object is gone", || self.driver().is_none());
    }

    /// Keeps what the operators have logged.
    pub fn keep_log(&self, logs: &Path) {
        let file = logs.join("operator.log");
        std::fs::write(&file, self.log()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }
}

impl CaseStage for Stage {
    fn log(&self) -> String {
        let running = self.operators.iter().map(Operator::log);
        [self.past_log.clone()].into_iter().chain(running).collect()
    }

    fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    fn tidy(&mut self) {
        self.control_plane.api_server.start_again();
        self.control_plane.expect_running();
        while !self.operators.is_empty() {
            self.kill_operator();
        }
        for definition in manifest::definitions() {
            self.admin.apply(&definition);
        }
        until("the kind is served", || self.admin.get(DRIVERS).is_some());
        if self.driver().is_some() {
            self.admin.patch(DRIVER, &json!({"metadata": {"finalizers": null}}));
            self.delete_driver();
        }
        for piece in operand::pieces().iter().chain(&operand::extras()) {
            self.admin.delete(&piece.path);
        }
        for (group, plural, _) in manifest::OPENSHIFT {
            self.admin
                .delete(&format!("/apis/apiextensions.k8s.io/v1/customresourcedefinitions/{plural}.{group}"));
            let path = format!("/apis/{group}/v1/{plural}");
            until(&format!("{plural} are not served"), || self.admin.get(&path).is_none());
        }
        self.admin.delete(&format!("/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases/{LEASE}"));
        self.is_uninstalled();
        until("no pod of the driver is left", || self.ready_pods().is_empty());
    }
}

/// The object that the operator reads, with that spec.
pub fn object(spec: &Value) -> Value {
    json!({
        "apiVersion": "operator.openshift.io/v1",
        "kind": "ClusterCSIDriver",
        "metadata": {"name": "secrets-store.csi.k8s.io"},
        "spec": spec,
    })
}

fn write_kubeconfig(directory: &Path, control_plane: &ControlPlane) {
    let credentials = &control_plane.credentials;
    let cluster = json!({
        "server": control_plane.api_server.url,
        "certificate-authority": credentials.path(AUTHORITY),
    });
    let content = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [{"name": "c", "cluster": cluster}],
        "users": [{"name": "u", "user": {"token": credentials.administrator}}],
        "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u"}}],
        "current-context": "x",
    });
    let file = directory.join(KUBECONFIG);
    std::fs::write(&file, content.to_string()).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
}

/// Where the objects that the operator reads are.
pub const DRIVERS: &str = "/apis/operator.openshift.io/v1/clustercsidrivers";
/// Where the one that counts is.
pub const DRIVER: &str = "/apis/operator.openshift.io/v1/clustercsidrivers/secrets-store.csi.k8s.io";
/// Which operator works.
pub const LEASE: &str = "secrets-store-csi-driver-operator-lock";
/// How long something is watched that must not happen: far longer than the operator takes to notice a change.
pub const A_WHILE: Duration = Duration::from_secs(4);
