//! The driver's container of a pod, with its arguments, variables and mounts as the pod says, and with the files of a
//! node that is a directory of the test's.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::workloads::NODE;
use e2e::control_plane::ENDS_WITH_PARENT;
use kit::driver::{DriverProcess, program};

/// The running container.
pub struct Container(DriverProcess);

impl Container {
    /// Starts the container of that name. `node` takes the place of the node's root, `account` holds the files of the
    /// pod's service account, `root` is an empty directory.
    pub fn start(
        pod: &Value,
        name: &str,
        node: &Path,
        account: &Path,
        root: &Path,
        cluster: Vec<(String, String)>,
    ) -> Container {
        let spec = &pod["spec"];
        let container = spec["containers"].as_array().expect("a pod has containers").iter();
        let container = container.clone().find(|container| container["name"] == name).expect("it is there");
        let variables = [variables(container), cluster].concat();
        let mut words: Vec<String> = ENDS_WITH_PARENT[1..].iter().map(|word| (*word).to_owned()).collect();
        words.extend(["unshare", "--mount", "--propagation", "unchanged", "--"].map(str::to_owned));
        words.extend([SCRIPT.to_owned(), text(root), text(&program("secrets-store-csi-driver"))]);
        for mount in container["volumeMounts"].as_array().into_iter().flatten() {
            let source = source(&spec["volumes"], &mount["name"], node, account);
            let target = mount["mountPath"].as_str().expect("a mount has a path").to_owned();
            let kind = if mount["mountPropagation"].is_null() { "--bind" } else { "--rbind" };
            words.extend([kind.to_owned(), text(&source), target]);
        }
        words.push("--".to_owned());
        words.extend(variables.iter().map(|(name, value)| format!("{name}={value}")));
        words.push("/secrets-store-csi-driver".to_owned());
        words.extend(arguments(container).iter().map(|argument| substituted(argument, &variables)));
        Container(DriverProcess::spawn(Path::new(ENDS_WITH_PARENT[0]), &words))
    }

    /// Everything that it has logged so far.
    pub fn log(&self) -> String {
        self.0.log()
    }

    /// Waits until it says so.
    pub fn wait_for_log(&self, text: &str) {
        self.0.wait_for_log(text);
    }

    /// Stops it as kubelet does, and expects that it ends well.
    pub fn stop(self) {
        self.0.terminate();
    }
}

/// The arguments of a container as they are written.
pub fn arguments(container: &Value) -> Vec<String> {
    let arguments = container["args"].as_array().into_iter().flatten();
    arguments.map(|argument| argument.as_str().expect("arguments are texts").to_owned()).collect()
}

fn variables(container: &Value) -> Vec<(String, String)> {
    let variables = container["env"].as_array().into_iter().flatten();
    let value = |variable: &Value| match variable["valueFrom"]["fieldRef"]["fieldPath"].as_str() {
        Some("spec.nodeName") => NODE.to_owned(),
        Some(other) => panic!("nobody knows the value of {other} here"),
        None => variable["value"].as_str().unwrap_or_default().to_owned(),
    };
    variables
        .map(|variable| (variable["name"].as_str().expect("a name").to_owned(), value(variable)))
        .collect()
}

fn substituted(argument: &str, variables: &[(String, String)]) -> String {
    variables
        .iter()
        .fold(argument.to_owned(), |argument, (name, value)| argument.replace(&format!("$({name})"), value))
}

/// The directory behind a volume; what its type says is made is made.
fn source(volumes: &Value, name: &Value, node: &Path, account: &Path) -> PathBuf {
    let mut volumes = volumes.as_array().expect("a pod has volumes").iter();
    let volume = volumes.find(|volume| volume["name"] == *name).expect("a mount is of a volume");
    let Some(path) = volume["hostPath"]["path"].as_str() else {
        assert!(!volume["projected"].is_null(), "a kind of volume that nobody knows here: {volume}");
        return account.to_owned();
    };
    let directory = node.join(path.trim_start_matches('/'));
    match volume["hostPath"]["type"].as_str() {
        Some("DirectoryOrCreate") => std::fs::create_dir_all(&directory).expect("it can be made"),
        Some("Directory") => assert!(directory.is_dir(), "kubelet would have {path}"),
        other => panic!("a type that nobody knows here: {other:?}"),
    }
    directory
}

fn text(path: &Path) -> String {
    path.to_str().expect("paths of tests are texts").to_owned()
}

const SCRIPT: &str = kit::in_repository!("/tests/e2e/site/container.sh");
