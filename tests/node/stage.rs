//! Everything that a case can act on: a node with the driver and a provider.

use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use serde_json::Value;

use crate::driver::{Driver, Installed};
use crate::kubectl::Told;
use crate::kubelet::Pace;
use crate::node::{Node, Programs};
use crate::objects;
use crate::provider::Provider;
use e2e::patience::{until, within};
use e2e::runner::CaseStage;

/// The stage.
pub struct Stage {
    /// The driver in the cluster.
    pub driver: Driver,
    /// Whose secrets there are.
    pub provider: Provider,
    /// The cluster.
    pub node: Node,
    namespaces: Vec<String>,
    remarks: Vec<String>,
}

impl Stage {
    /// Starts everything on that disk, and installs the driver and the provider.
    pub fn set(programs: &Programs, pace: Pace, disk: &Path, logs: &Path) -> Stage {
        let node = Node::start(programs, pace, disk, logs);
        let provider = Provider::new(&node.kubectl, &disk.join("store"));
        let install = disk.join("install");
        std::fs::create_dir(&install).unwrap_or_else(|error| panic!("{}: {error}", install.display()));
        let driver = Driver::new(&node.kubectl, &install, programs.node.join("upstream-manifests"));
        let mut stage = Stage { driver, provider, node, namespaces: Vec::new(), remarks: Vec::new() };
        stage.tidy();
        stage
    }

    /// A namespace that no case has used before, removed after this one.
    pub fn namespace(&mut self, purpose: &str) -> Namespace {
        static COUNT: AtomicU32 = AtomicU32::new(1);
        let name = format!("{purpose}-{}", COUNT.fetch_add(1, Ordering::Relaxed));
        self.node.kubectl.good(&["create", "namespace", &name]);
        // A pod is refused until its account is there.
        until("the namespace has an account", || {
            self.node.kubectl.get(&["serviceaccount", "default", "--namespace", &name]).is_some()
        });
        self.namespaces.push(name.clone());
        Namespace { name, kubectl: self.node.kubectl.clone() }
    }

    /// Ends everything on the machine at once and starts it again with what is on its disk.
    pub fn fail_power(&mut self, namespace: &mut Namespace) {
        self.node.fail_power();
        self.driver.ask_by(&self.node.kubectl);
        self.provider.ask_by(&self.node.kubectl);
        namespace.kubectl = self.node.kubectl.clone();
    }

    /// Something worth knowing about the case, told with its sentence.
    pub fn remark(&mut self, text: String) {
        self.remarks.push(text);
    }
}

/// Where a case has its objects.
pub struct Namespace {
    name: String,
    kubectl: crate::kubectl::Kubectl,
}

impl CaseStage for Stage {
    /// The remarks since the last call.
    fn take_remarks(&mut self) -> Vec<String> {
        std::mem::take(&mut self.remarks)
    }

    /// What the driver has logged.
    fn log(&self) -> String {
        self.driver.log()
    }

    /// Puts everything right for the next case, whatever this one did and however it ended.
    fn tidy(&mut self) {
        self.node.expect_running();
        self.node.kubelet.start_again(&self.node.machine);
        for (object, contents) in CONTENTS {
            self.provider.put(object, contents);
        }
        self.driver.install(Installed::Manifests);
        self.provider.start();
        for namespace in std::mem::take(&mut self.namespaces) {
            self.node.kubectl.good(&["delete", "namespace", &namespace, "--timeout=300s"]);
        }
        until("no volume is left on the node", || !self.node.mounts().contains("kubernetes.io~csi"));
    }
}

impl Namespace {
    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Runs kubectl here.
    pub fn kubectl(&self, arguments: &[&str]) -> Told {
        self.kubectl.run(&[&["--namespace", &self.name], arguments].concat())
    }

    /// The same; panics when it does not end well.
    pub fn good(&self, arguments: &[&str]) -> String {
        self.kubectl(arguments).expect_good()
    }

    /// Makes these objects.
    pub fn apply(&self, objects: &[Value]) {
        for object in objects {
            let mut object = object.clone();
            object["metadata"]["namespace"] = self.name.clone().into();
            self.kubectl.apply(&object);
        }
    }

    /// Makes a pod, and waits until it is ready.
    pub fn run(&self, pod: &Value) {
        self.apply(std::slice::from_ref(pod));
        self.ready(pod["metadata"]["name"].as_str().expect("a pod has a name"));
    }

    /// Waits until the pod is ready.
    pub fn ready(&self, pod: &str) {
        self.ready_within(A_POD, &[pod]);
    }

    /// Waits until the pods are ready, no longer than that.
    pub fn ready_within(&self, time: Duration, pods: &[&str]) {
        let timeout = format!("--timeout={}s", time.as_secs());
        let pods: Vec<String> = pods.iter().map(|pod| format!("pod/{pod}")).collect();
        let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
        let told = self.kubectl(&[&["wait", "--for=condition=Ready", &timeout], &pods[..]].concat());
        if !told.is_good {
            let events: Vec<String> = pods.iter().flat_map(|pod| self.events(&pod[4..])).collect();
            panic!("{}its events:\n{}", told.error, events.join("\n"));
        }
    }

    /// The object of that kind and name, if there is one.
    pub fn get(&self, kind: &str, name: &str) -> Option<Value> {
        self.kubectl.get(&[kind, name, "--namespace", &self.name])
    }

    /// The pod.
    pub fn pod(&self, name: &str) -> Value {
        self.get("pod", name).unwrap_or_else(|| panic!("there is a pod {name}"))
    }

    /// The identity of a pod.
    pub fn uid(&self, pod: &str) -> String {
        self.pod(pod)["metadata"]["uid"].as_str().expect("a pod has one").to_owned()
    }

    /// What the command prints in the first container of a pod.
    pub fn exec(&self, pod: &str, command: &[&str]) -> String {
        self.good(&[&["exec", pod, "--"], command].concat())
    }

    /// Both outputs of a line of shell there, however it ends.
    pub fn shell(&self, pod: &str, line: &str) -> String {
        let told = self.kubectl(&["exec", pod, "--", "sh", "-c", line]);
        format!("{}{}", told.out, told.error)
    }

    /// A file of the pod's volume as the pod reads it.
    pub fn read(&self, pod: &str, file: &str) -> String {
        self.exec(pod, &["cat", &format!("{}/{file}", objects::MOUNT)])
    }

    /// What the pod has printed.
    pub fn log(&self, pod: &str) -> String {
        self.good(&["logs", pod])
    }

    /// Waits until a reader has seen that content.
    pub fn saw(&self, reader: &str, content: &str) {
        within(A_REFRESH, &format!("{reader} sees {content}"), || {
            // A kubelet that has just started does not know its pods yet, and answers that there is none.
            self.kubectl(&["logs", reader]).out.lines().any(|line| line == format!("saw {content}"))
        });
    }

    /// Panics if the reader could not read its file for a moment.
    pub fn never_lost(&self, reader: &str) {
        let lost: Vec<String> =
            self.log(reader).lines().filter(|line| line.starts_with("LOST")).map(str::to_owned).collect();
        assert!(lost.is_empty(), "{reader} could not read: {lost:?}");
        let pod = self.pod(reader);
        assert_eq!(pod["status"]["containerStatuses"][0]["restartCount"], 0, "{reader} was started once");
    }

    /// The events about an object, as `reason: message`.
    pub fn events(&self, object: &str) -> Vec<String> {
        let selector = format!("involvedObject.name={object}");
        let found = self.kubectl.get(&["events", "--namespace", &self.name, "--field-selector", &selector]);
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let items = found.expect("a list")["items"].as_array().cloned().unwrap_or_default();
        items.iter().map(|event| format!("{}: {}", text(&event["reason"]), text(&event["message"]))).collect()
    }

    /// Waits until an event about the object contains that.
    pub fn told(&self, object: &str, text: &str) {
        within(A_REFRESH, &format!("an event on {object} says {text}"), || {
            self.events(object).iter().any(|event| event.contains(text))
        });
    }

    /// Deletes a pod without waiting for its end.
    pub fn delete(&self, pod: &str) {
        self.good(&["delete", "pod", pod, "--wait=false"]);
    }

    /// Waits until nothing is left of a pod that had that identity: neither objects nor mounts nor directories.
    pub fn nothing_left(&self, stage: &Stage, pod: &str, uid: &str) {
        within(A_REFRESH, &format!("pod {pod} is gone"), || self.get("pod", pod).is_none());
        within(A_REFRESH, &format!("the mounts of pod {pod} are gone"), || {
            !stage.node.mounts().contains(uid)
        });
        within(A_REFRESH, &format!("the directory of pod {pod} is gone"), || {
            !stage.node.has(&format!("/var/lib/kubelet/pods/{uid}"))
        });
    }
}

/// What the provider has, unless a case says otherwise.
const CONTENTS: [(&str, &str); 3] = [("foo", "one"), ("bar", "other"), ("baz", "third")];
/// In which a pod becomes ready.
pub const A_POD: Duration = Duration::from_secs(60);
/// In which kubelet calls for a refresh at least once, by its defaults, and in which it retries what failed.
pub const A_REFRESH: Duration = Duration::from_secs(180);
