//! Runs the commands of a document, in their order, as somebody who follows it would, and compares what they
//! print with what the document says.
//!
//! What is real: the API server, etcd, the controllers, kubectl, helm, the driver and its providers. What is played:
//! kubelet (`../kubelet`), the scheduler (every pod comes to the one node), what needs a running container (see
//! `kubectl.sh`), and a port that is forwarded. Each document has a namespace of its own, which is its kubectl's
//! default.
//!
//! A block that only looks (`kubectl get`, `curl`, …) is run again for a while when it shows something else, since the
//! cluster works in its own time. Commands of make are not run, CI itself runs them; that they exist is checked by
//! `make test`. A comment `<!-- play: … -->` is what happens elsewhere meanwhile, see [`Play::act`].

mod container;
pub mod demonstration;
mod operator;
mod port;
mod upstream;

use std::os::unix::fs::PermissionsExt;
use std::panic::{self, AssertUnwindSafe};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::manifest;
use crate::stage::Stage;
use crate::workloads::NODE;
use e2e::control_plane::AUTHORITY;
use e2e::kinds;
use e2e::operator::{NAMESPACE, Operator};
use e2e::patience::{PATIENCE, until};
use kit::driver::{DriverProcess, program};
use port::ForwardedPort;

use ::documents::markdown::{Block, Document, Follows, Piece};
use ::documents::{output, script};
use kit::repository::root;

/// Runs a document from its beginning to its end; panics with the first command that does something else.
pub fn play(stage: &mut Stage, name: &str) {
    let document = Document::read(name);
    let mut play = Play::begin(stage, &document);
    let played = panic::catch_unwind(AssertUnwindSafe(|| play.all(&document)));
    // Whatever a command has done to the cluster, the next case finds it as it was.
    play.end();
    let count = played.unwrap_or_else(|why| panic::resume_unwind(why));
    assert!(count > 0, "{name} has no command");
    stage.remark(format!("{count} blocks of commands"));
}

/// The documents that have commands, by their own say. Those of make are CI's, which a test of the documents holds.
pub fn with_commands() -> Vec<String> {
    let is_played =
        |block: &Block| block.language == "sh" && block.info.is_empty() && !script::is_for_make(&block.text);
    let has = |document: &Document| document.blocks().iter().any(is_played);
    Document::all().into_iter().filter(has).map(|document| document.name).collect()
}

struct Play<'a> {
    stage: &'a mut Stage,
    name: String,
    namespace: String,
    directory: tempfile::TempDir,
    /// Held open.
    _port: Option<ForwardedPort>,
    providers: Vec<DriverProcess>,
    /// Runs once the document has installed it.
    operator: Option<Operator>,
    /// When the driver's token was last looked at.
    token_seen: Instant,
}

impl<'a> Play<'a> {
    fn begin(stage: &'a mut Stage, document: &Document) -> Play<'a> {
        // No audience: what a document installs is not what the other cases want of the provider.
        stage.node.tell_provider("/validate-token-requests?audience=");
        stage.node.set_content("db/password", "winter-was-long");
        let namespace = stage.namespace("document");
        let node =
            json!({"metadata": {"labels": {"kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}}});
        stage.admin.patch(&format!("/api/v1/nodes/{NODE}"), &node);
        let directory =
            tempfile::Builder::new().prefix("documents").tempdir().expect("a temporary directory");
        for object in manifest::shipped().iter().filter(|object| object["kind"] == "DaemonSet") {
            // For commands about its pods; the driver itself runs as a process of the stage.
            stage.admin.apply(object);
        }
        let uses_port = document.blocks().iter().any(|block| block.text.contains("port-forward"));
        let port = uses_port.then(|| ForwardedPort::open(METRICS_PORT, &stage.node.metrics_address()));
        let play = Play {
            stage,
            name: document.name.clone(),
            namespace,
            directory,
            _port: port,
            providers: Vec::new(),
            operator: None,
            token_seen: Instant::now(),
        };
        play.lay_out();
        play
    }

    /// Every piece of the document; how many blocks were run.
    fn all(&mut self, document: &Document) -> u32 {
        let pieces = document.pieces();
        let mut count = 0;
        for (index, piece) in pieces.iter().enumerate() {
            match piece {
                Piece::Play(direction) => self.act(direction),
                Piece::Block(block, _) if block.language == "sh" && block.info.is_empty() => {
                    let expected = match pieces.get(index + 1) {
                        Some(Piece::Block(output, Follows::Block)) if output.language == "text" => {
                            Some(&output.text)
                        }
                        _ => None,
                    };
                    self.run(block, expected.map(String::as_str));
                    count += 1;
                }
                Piece::Block(..) => {}
            }
        }
        count
    }

    /// What the commands find: kubectl, helm, who they are and where the cluster is.
    fn lay_out(&self) {
        let directory = self.directory.path();
        let bin = directory.join("bin");
        std::fs::create_dir(&bin).expect("an empty directory takes another");
        let wrapper = root().join("tests/e2e/documents/kubectl.sh");
        link(&wrapper, &bin.join("kubectl"));
        link(&program("secrets-store-csi-driver"), &directory.join("secrets-store-csi-driver"));
        write(&directory.join("namespace"), &self.namespace);
        write(&directory.join("driver.pid"), &self.stage.node.driver_id().to_string());
        let control_plane = &self.stage.control_plane;
        let config = json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "c", "cluster": {
                "server": control_plane.api_server.url,
                "certificate-authority": control_plane.credentials.path(AUTHORITY),
            }}],
            "users": [{"name": "u", "user": {"token": control_plane.credentials.administrator}}],
            "contexts": [{"name": "x", "context": {"cluster": "c", "user": "u", "namespace": self.namespace}}],
            "current-context": "x",
        });
        let file = directory.join("kubeconfig");
        write(&file, &config.to_string());
        // helm warns about one that others can read.
        let private = std::fs::Permissions::from_mode(0o600);
        std::fs::set_permissions(&file, private).expect("the file is ours");
    }

    /// What happens elsewhere, as a comment of the document says.
    fn act(&mut self, direction: &str) {
        let node = &self.stage.node;
        if let Some((object, content)) =
            direction.strip_prefix("the store has ").and_then(|set| set.split_once('='))
        {
            node.set_content(object, content);
        } else if let Some(code) = direction.strip_prefix("the provider fails with ") {
            node.tell_provider(&format!("/fail?code={code}&times=1000000"));
        } else if direction == "the provider is well again" {
            node.tell_provider("/fail?code=UNKNOWN&times=0");
        } else if direction == "the providers of the documents run" {
            self.start_providers();
        } else if direction == "the cluster is empty" {
            self.empty_cluster();
        } else if direction == "no driver is installed" {
            self.remove_driver();
        } else if direction == "the operator runs" {
            let Stage { control_plane, admin, .. } = &*self.stage;
            self.operator = Some(operator::start(control_plane, admin, self.directory.path()));
        } else if direction == "the upstream driver is installed" {
            self.install_upstream();
        } else if direction == "the upstream chart is installed" {
            self.install_upstream_chart();
        } else {
            panic!("{}: nobody knows how to play {direction:?}", self.name);
        }
    }

    /// Both programs that docs/writing-a-provider.md quotes.
    fn start_providers(&mut self) {
        let store = self.directory.path().join("store");
        std::fs::create_dir(&store).expect("the directory takes another");
        write(&store.join("token"), "made-up-token-4711\n");
        write(&store.join("password"), "winter-was-long\n");
        let sockets = self.stage.node.providers_directory();
        let programs = [
            ("minimal", program("examples/minimal-provider")),
            ("go-provider", self.stage.programs.go_provider()),
        ];
        for (name, program) in programs {
            let socket = sockets.join(format!("{name}.sock"));
            let arguments = [&socket, &store].map(|path| path.display().to_string());
            self.providers.push(DriverProcess::spawn(&program, &arguments));
            until(&format!("{name} listens"), || socket.exists());
        }
    }

    /// Its DaemonSet, applied with kubectl as its instructions say; everything else has the names of ours.
    fn install_upstream(&mut self) {
        let daemon_set = upstream::daemon_set();
        self.remove(&daemon_set);
        write(&self.directory.path().join("upstream.json"), &daemon_set.to_string());
        self.insist("kubectl apply -f \"$PLAYED/upstream.json\"");
    }

    /// A release of a chart that makes the objects of upstream's, see its Chart.yaml.
    fn install_upstream_chart(&mut self) {
        self.empty_cluster();
        for object in manifest::shipped().iter().filter(|object| object["kind"] == "CustomResourceDefinition")
        {
            self.stage.admin.apply(object);
        }
        self.insist("helm install csi-secrets-store tests/e2e/install/upstream --namespace kube-system");
    }

    /// As a cluster is that never had the driver, but for the kinds of its objects, which the garbage collector knows.
    fn remove_driver(&mut self) {
        self.take_down();
        let is_kind = |object: &&Value| object["kind"] == "CustomResourceDefinition";
        manifest::shipped().iter().filter(|object| !is_kind(object)).for_each(|object| self.remove(object));
    }

    /// As a cluster is before the first command of docs/installing.md.
    fn empty_cluster(&mut self) {
        self.take_down();
        for object in manifest::shipped() {
            self.remove(&object);
        }
    }

    /// Takes away what was installed to run, and its pods, for which the garbage collector might take its time.
    fn take_down(&mut self) {
        self.insist("helm list --namespace kube-system --short | xargs --no-run-if-empty helm uninstall --namespace kube-system");
        for object in manifest::shipped().iter().filter(|object| object["kind"] == "DaemonSet") {
            self.remove(object);
        }
        self.stage.admin.delete("/api/v1/namespaces/kube-system/pods");
    }

    /// Deletes the object, and waits until it is gone.
    fn remove(&self, object: &Value) {
        let path = kinds::path_of(object);
        self.stage.admin.delete(&path);
        until(&format!("{path} is gone"), || self.stage.admin.get(&path).is_none());
    }

    fn insist(&mut self, script: &str) {
        self.try_run(script, None).unwrap_or_else(|why| panic!("{script}: {why}"));
    }

    /// Runs a block until it prints what it should; a block that changes something, once.
    fn run(&mut self, block: &Block, expected: Option<&str>) {
        if script::is_for_make(&block.text) {
            return;
        }
        let is_a_look = script::only_looks(&block.text);
        let begun = Instant::now();
        loop {
            let Err(why) = self.try_run(&block.text, expected) else { return };
            let place = format!("{}:{}", self.name, block.line);
            assert!(is_a_look && begun.elapsed() < PATIENCE, "{place}:\n{}\n{why}", block.text.trim_end());
            self.wait(Duration::from_millis(250));
        }
    }

    fn try_run(&mut self, script: &str, expected: Option<&str>) -> Result<(), String> {
        let directory = self.directory.path();
        write(&directory.join("driver.log"), &self.stage.node.driver_log());
        let printed = directory.join("printed");
        let out = std::fs::File::create(&printed).expect("the directory takes files");
        let path = std::env::var("PATH").unwrap_or_default();
        let programs = self.stage.programs.tools.clone();
        let path = format!("{}:{}:{path}", directory.join("bin").display(), programs.display());
        let mut shell = Command::new("bash")
            .args(["-euo", "pipefail", "-c", script])
            .current_dir(root())
            .env("PATH", path)
            .env("REAL_KUBECTL", programs.join("kubectl"))
            .env("KUBECONFIG", directory.join("kubeconfig"))
            .env("HOME", directory)
            .env("PLAYED", directory)
            .stdin(Stdio::null())
            .stderr(out.try_clone().expect("a file can be shared"))
            .stdout(out)
            .spawn()
            .expect("there is bash");
        let begun = Instant::now();
        let status = loop {
            if let Some(status) = shell.try_wait().expect("a child can be waited for") {
                break status;
            }
            if begun.elapsed() > LONGEST_BLOCK {
                drop(shell.kill());
                return Err(format!("it does not end, and has printed\n{}", read(&printed)));
            }
            self.tick();
        };
        let printed = read(&printed);
        if !status.success() {
            return Err(format!("it ends with {status}, and has printed\n{printed}"));
        }
        expected.map_or(Ok(()), |expected| output::compare(expected, &printed))
    }

    fn wait(&mut self, time: Duration) {
        let until = Instant::now() + time;
        while Instant::now() < until {
            self.tick();
        }
    }

    /// What the rest of a cluster does all the time.
    fn tick(&mut self) {
        self.schedule();
        self.keep_token();
        container::lay_out(self.stage, &self.directory.path().join("containers"));
        thread::sleep(TICK);
    }

    /// The scheduler's part: there is one node. Not for pods that other cases have left without one.
    fn schedule(&self) {
        let waiting = |namespace: &str| {
            self.stage
                .admin
                .list(&format!("/api/v1/namespaces/{namespace}/pods?fieldSelector=spec.nodeName%3D"))
        };
        let operator = self.operator.as_ref().map(|_| NAMESPACE);
        for pod in ["kube-system", &self.namespace].into_iter().chain(operator).flat_map(waiting) {
            let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
            let (namespace, name) = (text(&pod["metadata"]["namespace"]), text(&pod["metadata"]["name"]));
            let binding = json!({
                "apiVersion": "v1",
                "kind": "Binding",
                "metadata": {"name": name},
                "target": {"apiVersion": "v1", "kind": "Node", "name": NODE},
            });
            let path = format!("{}/binding", kinds::core(&namespace, "pods", &name));
            // Deleted meanwhile, or bound a moment ago.
            drop(self.stage.admin.ask("POST", &path, Some(&binding)));
        }
    }

    /// Kubelet's part: a driver whose service account was made anew has a token of that.
    fn keep_token(&mut self) {
        if self.token_seen.elapsed() < LOOK_AT_TOKEN_EVERY {
            return;
        }
        self.token_seen = Instant::now();
        let Stage { admin, token, .. } = &mut *self.stage;
        let [namespace, account] = crate::access::SERVICE_ACCOUNT;
        let is_good = token.current().is_some_and(|current| admin.accepts(&current.token));
        if !is_good && admin.get(&kinds::core(namespace, "serviceaccounts", account)).is_some() {
            token.renew(admin);
        }
    }

    /// Leaves the stage as the next case wants it. The custom resource definitions stay where they are: after they went
    /// and came back, the garbage collector does nothing for half a minute.
    fn end(mut self) {
        if self.operator.take().is_some() {
            operator::remove(&self.stage.admin);
        }
        self.take_down();
        self.stage.install();
    }
}

fn link(target: &Path, link: &PathBuf) {
    std::os::unix::fs::symlink(target, link).unwrap_or_else(|error| panic!("{}: {error}", link.display()));
}

fn write(path: &Path, text: &str) {
    std::fs::write(path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

const METRICS_PORT: u16 = 8095;
const LONGEST_BLOCK: Duration = Duration::from_secs(120);
const LOOK_AT_TOKEN_EVERY: Duration = Duration::from_secs(1);
const TICK: Duration = Duration::from_millis(50);
