//! The node: the driver and the reference provider, each the real program in a process of its own.

use std::path::{Path, PathBuf};
use std::process::Command;

use rpc::Environment;
use serde_json::Value;

use crate::workloads::{NODE, PROVIDER};
use e2e::control_plane::ENDS_WITH_PARENT;
use e2e::web::Web;
use kit::driver::{DriverProcess, program};
use kit::kubelet::Kubelet;
use kit::{shell, umask_lock};

/// The node's processes and directories.
pub struct Node {
    driver: Option<DriverProcess>,
    provider: DriverProcess,
    /// The same program, whose secrets are files.
    _files: DriverProcess,
    directory: PathBuf,
    flags: Vec<String>,
    web: Web,
    /// What drivers before this one have logged.
    past_log: String,
}

impl Node {
    /// A node in `directory` whose provider runs and whose driver will run with further flags.
    pub fn start(directory: &Path, flags: Vec<String>) -> Node {
        for name in ["pods", "providers", FILES] {
            std::fs::create_dir_all(directory.join(name)).expect("a directory takes another");
        }
        // As kubelet's directory is in the driver's container.
        shell::bind(&directory.join("pods"), &directory.join("pods"));
        shell::share(&directory.join("pods"));
        let start_provider = |name: &str, flags: &[String]| {
            let socket = directory.join(format!("providers/{name}.sock"));
            let endpoint = format!("--endpoint=unix://{}", socket.display());
            let provider = spawn(PROVIDER, [&[endpoint], flags].concat());
            provider.wait_for_log("serving secrets for tests");
            provider
        };
        let provider = start_provider(PROVIDER, &["--control-addr=127.0.0.1:0".to_owned()]);
        let secrets = format!("--secrets-dir={}", directory.join(FILES).display());
        let files = start_provider(FILES, &["--control-addr=0".to_owned(), secrets]);
        let (directory, web) = (directory.to_owned(), Web::plain());
        Node { driver: None, provider, _files: files, directory, flags, web, past_log: String::new() }
    }

    /// Makes a file a secret of the provider [`FILES`].
    pub fn write_file(&self, name: &str, content: &str) {
        let file = self.directory.join(FILES).join(name);
        std::fs::write(&file, content).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
    }

    /// A client of the driver's socket, whichever driver listens there.
    pub fn kubelet(&self, environment: &Environment) -> Kubelet {
        Kubelet::new(environment, &self.directory.join("csi/csi.sock"))
    }

    /// Kubelet's directory of pods.
    pub fn pods_directory(&self) -> PathBuf {
        self.directory.join("pods")
    }

    /// Starts the driver, or starts it again after a stop as kubelet does it.
    pub fn start_driver(&mut self) {
        self.stop_driver();
        let path = |name: &str| self.directory.join(name).display().to_string();
        let mut arguments = vec![
            format!("--endpoint=unix://{}", path("csi/csi.sock")),
            format!("--nodeid={NODE}"),
            format!("--provider-volume={}", path("providers")),
            "--additional-provider-volume-paths=".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            format!("--kubelet-pods-dir={}", path("pods")),
            "--enable-secret-rotation=true".to_owned(),
            "--rotation-poll-interval=1s".to_owned(),
            "-v=5".to_owned(),
        ];
        arguments.extend(self.flags.iter().cloned());
        let driver = self.driver.insert(spawn("secrets-store-csi-driver", arguments));
        driver.wait_for_log("ready");
    }

    /// Stops the driver, if it runs; it has to end cleanly.
    pub fn stop_driver(&mut self) {
        if let Some(driver) = self.driver.take() {
            let log = driver.terminate();
            self.past_log.push_str(&log);
        }
    }

    /// The log of all drivers so far.
    pub fn driver_log(&self) -> String {
        let running = self.driver.as_ref().map(DriverProcess::log).unwrap_or_default();
        format!("{}{running}", self.past_log)
    }

    /// The log of the provider.
    pub fn provider_log(&self) -> String {
        self.provider.log()
    }

    /// Turns a switch of the provider.
    pub fn tell_provider(&self, switch: &str) -> String {
        let address = address(&self.provider, "serving switches");
        self.web.page(&format!("http://{address}{switch}"))
    }

    /// From now on the provider has this content for the object.
    pub fn set_content(&self, object: &str, content: &str) {
        let encoded = |text: &str| text.bytes().map(|byte| format!("%{byte:02X}")).collect::<String>();
        self.tell_provider(&format!("/contents?object={}&value={}", encoded(object), encoded(content)));
    }

    /// Where providers put their sockets.
    pub fn providers_directory(&self) -> PathBuf {
        self.directory.join("providers")
    }

    /// The driver's process.
    pub fn driver_id(&self) -> u32 {
        self.driver.as_ref().expect("the driver runs").id()
    }

    /// Where the driver serves metrics.
    pub fn metrics_address(&self) -> String {
        address(self.driver.as_ref().expect("the driver runs"), "serving metrics and health")
    }

    /// The driver's metrics, as Prometheus scrapes them.
    pub fn metrics(&self) -> String {
        self.web.page(&format!("http://{}/metrics", self.metrics_address()))
    }

    /// What the doctor says beside the driver, with the driver's flags and these.
    pub fn examine(&self, flags: &[&str]) -> Value {
        let driver = self.driver.as_ref().expect("the driver runs");
        let umask = umask_lock();
        let doctor = Command::new(program("secrets-store-csi-driver"))
            .args(["doctor", "--output=json"])
            .arg(format!("--pid={}", driver.id()))
            .arg(format!("--metrics-addr={}", address(driver, "serving metrics and health")))
            .args(flags)
            .output();
        drop(umask);
        let output = doctor.expect("the doctor can be started");
        let told = String::from_utf8_lossy(&output.stderr);
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {told}"))
    }

    /// The sum of the series that begin with the name and contain the text.
    pub fn metric(&self, name: &str, containing: &str) -> f64 {
        let page = self.metrics();
        let lines = page.lines().filter(|line| {
            line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']))
                && line.contains(containing)
        });
        lines
            .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
            .fold(0.0, |sum, value| sum + value)
    }
}

/// Name of the provider whose secrets are files: for contents of more than one line.
pub const FILES: &str = "files";

/// The reference provider, with its socket in a directory of provider sockets.
pub fn start_provider(sockets: &Path) -> DriverProcess {
    let endpoint = format!("--endpoint=unix://{}", sockets.join(format!("{PROVIDER}.sock")).display());
    let provider = spawn(PROVIDER, vec![endpoint, "--control-addr=0".to_owned()]);
    provider.wait_for_log("serving secrets for tests");
    provider
}

/// A program of this package that ends with this one.
fn spawn(name: &str, arguments: Vec<String>) -> DriverProcess {
    let [launcher, options @ ..] = ENDS_WITH_PARENT;
    let mut all: Vec<String> = options.map(str::to_owned).into();
    all.push(program(name).display().to_string());
    all.extend(arguments);
    DriverProcess::spawn(Path::new(launcher), &all)
}

/// The address that the process says it listens on.
fn address(process: &DriverProcess, saying: &str) -> String {
    process.wait_for_log(saying);
    let log = process.log();
    let line = log.lines().find(|line| line.contains(saying)).unwrap_or_default();
    let address = line.split_once("address=\"").and_then(|(_, rest)| rest.split('"').next());
    address.expect("the log names the address").to_owned()
}
