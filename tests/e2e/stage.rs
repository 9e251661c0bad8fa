//! Everything that a case can act on: a cluster with our manifests applied, a node that runs the driver, kubelet.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use rpc::Environment;
use serde_json::{Value, json};

use crate::access::{self, SERVICE_ACCOUNT};
use crate::kubelet::{KubeletPlayer, REPUBLISH_EVERY, Seen};
use crate::manifest;
use crate::node::Node;
use crate::site::Site;
use crate::token::DriverToken;
use crate::workloads::{DRIVER, NODE, content};
use e2e::admin::Admin;
use e2e::control_plane::{AUTHORITY, ControlPlane};
use e2e::kinds;
use e2e::patience::{until, until_none, until_some};
use e2e::runner::CaseStage;
use e2e::web::Web;

/// Where the programs in Go are.
#[derive(Clone)]
pub struct Programs {
    /// Those of the control plane.
    pub cluster: PathBuf,
    /// Those that install.
    pub tools: PathBuf,
}

impl Programs {
    /// The provider in Go that the documents quote.
    pub fn go_provider(&self) -> PathBuf {
        self.tools.with_file_name("go-provider")
    }
}

/// The stage. What is declared first ends first.
pub struct Stage {
    /// Plays kubelet.
    pub kubelet: KubeletPlayer,
    /// Runs the driver and the provider.
    pub node: Node,
    /// etcd, API server and controllers.
    pub control_plane: ControlPlane,
    /// Acts as a user.
    pub admin: Admin,
    /// The driver's token.
    pub token: DriverToken,
    site: Option<Site>,
    /// Where the programs in Go are.
    pub programs: Programs,
    directories: [PathBuf; 2],
    namespaces: Vec<String>,
    remarks: Vec<String>,
    _environment: Environment,
}

impl Stage {
    /// Starts everything. `state` is for what nobody needs afterwards, `logs` for what explains a failure.
    pub fn set(programs: &Programs, state: &Path, logs: &Path) -> Stage {
        let [namespace, account] = SERVICE_ACCOUNT;
        let driver_user = format!("system:serviceaccount:{namespace}:{account}");
        let mut control_plane = ControlPlane::start(&programs.cluster, state, logs, &driver_user);
        let credentials = &control_plane.credentials;
        let web = Web::trusting(&credentials.authority);
        let admin = Admin::new(web, &control_plane.api_server.url, &credentials.administrator);
        apply_manifests(&admin);
        let mut token = DriverToken::in_file(state.join("token"));
        token.renew(&admin);
        let flags = vec![
            format!("--kube-api-server={}", control_plane.api_server.url),
            format!("--kube-ca-file={}", credentials.path(AUTHORITY)),
            format!("--kube-token-file={}", token.file().display()),
        ];
        // After the custom resources, so that the garbage collector knows them from the start.
        control_plane.start_controllers();
        let environment = Environment::start();
        let mut node = Node::start(&state.join("node"), flags);
        node.start_driver();
        let csi = node.kubelet(&environment);
        let kubelet = KubeletPlayer::start(admin.clone(), csi, node.pods_directory());
        let (namespaces, remarks) = (Vec::new(), Vec::new());
        let mut stage = Stage {
            kubelet,
            node,
            control_plane,
            admin,
            token,
            site: None,
            programs: programs.clone(),
            directories: [state, logs].map(Path::to_owned),
            namespaces,
            remarks,
            _environment: environment,
        };
        stage.tidy();
        stage
    }

    /// Another cluster, in which nothing was ever installed. The first case that asks waits until it runs.
    pub fn site(&mut self) -> &Site {
        let [state, logs] = &self.directories;
        self.site.get_or_insert_with(|| Site::open(&self.programs, state, logs))
    }

    /// Something worth knowing about the case, told with its sentence.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }

    /// A namespace that no case has used before, removed after this one.
    pub fn namespace(&mut self, purpose: &str) -> String {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{purpose}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.admin.create_namespace(&name);
        self.namespaces.push(name.clone());
        name
    }

    /// Waits until the pod runs.
    pub fn running(&self, namespace: &str, name: &str) -> Seen {
        until_some(&format!("pod {namespace}/{name} runs{}", self.why_not(namespace, name)), || {
            self.kubelet.pod(namespace, name).filter(|pod| pod.is_running)
        })
    }

    /// Waits until as many pods of a namespace run, whose names begin so.
    pub fn all_running(&self, namespace: &str, beginning: &str, count: usize) -> Vec<Seen> {
        until_some(&format!("{count} pods {namespace}/{beginning}* run"), || {
            let pods = self.kubelet.pods(namespace, beginning);
            (pods.iter().filter(|pod| pod.is_running).count() == count).then_some(pods)
        })
    }

    /// Waits until the pod is gone, from the API and from the node.
    pub fn gone(&self, namespace: &str, name: &str) {
        until(&format!("pod {namespace}/{name} is gone"), || {
            self.kubelet.pod(namespace, name).is_none()
                && self.admin.get(&kinds::core(namespace, "pods", name)).is_none()
        });
    }

    /// The driver's requests so far.
    pub fn requests(&self) -> Vec<access::Request> {
        access::requests(&self.control_plane.api_server.audit_log)
    }

    /// The Secret of that name, if there is one.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Value> {
        self.admin.get(&kinds::core(namespace, "secrets", name))
    }

    /// The content of a key of a Secret, if both are there.
    pub fn secret_value(&self, namespace: &str, name: &str, key: &str) -> Option<String> {
        content(&self.secret(namespace, name)?, key)
    }

    /// The owners of a Secret as `<kind>/<name>`, sorted; none where there is no Secret.
    pub fn secret_owners(&self, namespace: &str, name: &str) -> Vec<String> {
        let secret = self.secret(namespace, name).unwrap_or_default();
        let owners = secret["metadata"]["ownerReferences"].as_array().into_iter().flatten();
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let mut owners: Vec<String> =
            owners.map(|owner| format!("{}/{}", text(&owner["kind"]), text(&owner["name"]))).collect();
        owners.sort();
        owners
    }

    /// Waits until an event about the object contains each of the texts, in this order.
    pub fn told(&self, namespace: &str, name: &str, texts: &[&str]) {
        let follows =
            |event: &str| texts.iter().try_fold(event, |rest, text| Some(rest.split_once(text)?.1)).is_some();
        until(&format!("an event on {name} says {}", texts.join(" ... ")), || {
            self.admin.events(namespace, name).iter().any(|event| follows(event))
        });
    }

    /// Waits until every volume of the pods shows this content of an object.
    pub fn all_read(&self, pods: &[Seen], object: &str, content: &str) {
        let volumes = || pods.iter().flat_map(|pod| &pod.volumes);
        until(&format!("every pod reads {content:?} in {object}"), || {
            volumes().all(|(_, volume)| {
                std::fs::read_to_string(volume.target.join(object)).is_ok_and(|found| found == content)
            })
        });
    }

    /// Installs everything as it was at the start, whatever was uninstalled since.
    pub fn install(&self) {
        apply_manifests(&self.admin);
    }

    /// Lets the API server treat the driver as usual again.
    pub fn lift_throttle(&self) {
        for kind in ["flowschemas", "prioritylevelconfigurations"] {
            self.admin.delete(&format!("/apis/flowcontrol.apiserver.k8s.io/v1/{kind}/{THROTTLE}"));
        }
    }

    /// Applies one of the shipped files again.
    pub fn apply_shipped(&self, file: &str) {
        for object in manifest::shipped_in(file) {
            self.admin.apply(&object);
        }
    }

    /// Keeps what the node's programs have logged.
    pub fn save_logs(&self, logs: &Path) -> Vec<PathBuf> {
        let texts = [("driver", self.node.driver_log()), ("provider", self.node.provider_log())];
        let files = texts.map(|(name, text)| {
            let file = logs.join(format!("{name}.log"));
            std::fs::write(&file, text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
            file
        });
        files.into()
    }

    fn why_not(&self, namespace: &str, name: &str) -> String {
        let failures = self.kubelet.pod(namespace, name).map(|pod| pod.failures).unwrap_or_default();
        if failures.is_empty() { String::new() } else { format!(" (so far: {})", failures.join("; ")) }
    }
}

impl CaseStage for Stage {
    fn log(&self) -> String {
        self.node.driver_log()
    }

    fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    fn tidy(&mut self) {
        self.control_plane.api_server.start_again();
        self.control_plane.expect_running();
        self.node.tell_provider("/rotation?rotated=false");
        self.node.tell_provider("/delay?ms=0");
        self.node.tell_provider("/fail?code=UNKNOWN&times=0");
        self.node.tell_provider(&format!("/validate-token-requests?audience={}", AUDIENCES.join(",")));
        for object in ["foo", "fookey", "db/password"] {
            self.node.tell_provider(&format!("/contents?object={object}"));
        }
        self.kubelet.republish_every(REPUBLISH_EVERY);
        self.lift_throttle();
        if !self.token.current().is_some_and(|current| self.admin.accepts(&current.token)) {
            self.token.renew(&self.admin);
        }
        for file in ROLES {
            self.apply_shipped(file);
        }
        for namespace in std::mem::take(&mut self.namespaces) {
            // Deployments before their pods; what remains goes with the namespace, and nobody waits for that.
            self.admin.delete(&format!("/apis/apps/v1/namespaces/{namespace}/deployments"));
            self.admin.delete(&format!("/apis/apps/v1/namespaces/{namespace}/replicasets"));
            self.admin.delete(&format!("/api/v1/namespaces/{namespace}/pods"));
            self.admin.delete(&format!("/api/v1/namespaces/{namespace}"));
        }
        if let Some(site) = &self.site {
            site.clear();
        }
        until_none("pods", || self.kubelet.names());
    }
}

/// deploy/ as it is, and what a chart would add to it by its values.
fn apply_manifests(admin: &Admin) {
    // The driver runs as a process of the test's.
    for object in manifest::shipped().iter().filter(|object| object["kind"] != "DaemonSet") {
        admin.apply(object);
    }
    let requests = AUDIENCES.map(|audience| json!({"audience": audience}));
    let change = json!({"spec": {"tokenRequests": requests, "serviceAccountTokenInSecrets": true}});
    admin.patch(&format!("/apis/storage.k8s.io/v1/csidrivers/{DRIVER}"), &change);
    admin.apply(&json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE}}));
    for plural in ["secretproviderclasses", "secretproviderclasspodstatuses"] {
        let path = format!("/apis/secrets-store.csi.x-k8s.io/v1/{plural}");
        until(&format!("{plural} are served"), || admin.get(&path).is_some());
    }
}

/// What the provider insists on.
const AUDIENCES: [&str; 2] = ["aud1", "aud2"];
/// The files without which the driver may do less.
pub const ROLES: [&str; 2] = ["rbac-secretproviderclass.yaml", "rbac-secretprovidersyncing.yaml"];
/// Name of the objects by which a case has the API server throttle the driver.
pub const THROTTLE: &str = "throttle-the-driver";
/// How long something is watched that must not happen: several turns of kubelet and of the driver.
pub const A_WHILE: Duration = Duration::from_secs(5);
