//! One node in a directory of its own: API server double, provider directories, pods directory, driver.

use std::collections::HashMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use rpc::Environment;
use rpc::pb::csi;
use rpc::pb::provider as pb;
use rpc::status::{Code, Status};
use serde_json::Value;

use super::driver::{DriverProcess, program};
use super::kubelet::Kubelet;
use super::objects;
use super::provider::ScriptedProvider;
use super::umask_lock;
use api_server::ApiServer;

/// The node. Dropping it kills the driver, unmounts what is left and removes the directory.
pub struct World {
    directory: tempfile::TempDir,
    /// The API server double, which nodes of one cluster share.
    pub api: Arc<ApiServer>,
    /// Name of the node.
    pub node: String,
    /// Threads of the gRPC library for clients and providers in this process.
    pub environment: Environment,
    driver: Option<DriverProcess>,
    flags: Vec<String>,
    /// Names of default flags that are left out.
    left_out: Vec<String>,
    /// Calls the driver.
    pub kubelet: Kubelet,
}

/// A pod with one volume, as kubelet knows it.
#[derive(Clone)]
pub struct Pod {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// Its uid.
    pub uid: String,
    /// The SecretProviderClass of its volume.
    pub class: String,
    /// What kubelet calls the volume.
    pub volume_id: String,
    /// Where the volume is to be mounted.
    pub target: PathBuf,
    /// The group of its files, of a pod that has one.
    pub group: Option<u32>,
    /// What the pod says of the volume.
    pub attributes: HashMap<String, String>,
    /// The Secret that goes to the provider.
    pub secrets: HashMap<String, String>,
}

impl World {
    /// A node whose driver runs with further flags.
    pub fn start(flags: &[&str]) -> World {
        let mut world = World::without_driver(flags);
        world.start_driver();
        world
    }

    /// A node whose driver is not started yet.
    pub fn without_driver(flags: &[&str]) -> World {
        let directory = tempfile::Builder::new().prefix("csi").tempdir().expect("a temporary directory");
        let umask = umask_lock();
        for name in ["pods", "providers"] {
            std::fs::create_dir(directory.path().join(name)).expect("an empty directory takes another");
        }
        drop(umask);
        let environment = Environment::start();
        let kubelet = Kubelet::new(&environment, &directory.path().join("csi/csi.sock"));
        let flags = flags.iter().map(|flag| (*flag).to_owned()).collect();
        World {
            directory,
            api: Arc::new(ApiServer::start()),
            node: "node-1".to_owned(),
            environment,
            driver: None,
            flags,
            left_out: Vec::new(),
            kubelet,
        }
    }

    /// Another node of the same cluster, whose driver is not started yet.
    pub fn neighbour(&self, node: &str, flags: &[&str]) -> World {
        let mut neighbour = World::without_driver(flags);
        neighbour.api = Arc::clone(&self.api);
        neighbour.node = node.to_owned();
        neighbour
    }

    /// Starts the driver, or starts it again, and waits until it serves.
    pub fn start_driver(&mut self) {
        // First, so that two of them never work on the same volumes.
        self.driver = None;
        let driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &self.arguments());
        self.start_driver_as(driver);
    }

    /// Takes a driver that was started in a way of the test's own, and waits until it serves.
    pub fn start_driver_as(&mut self, driver: DriverProcess) {
        self.driver = Some(driver);
        let mut ready = self.kubelet.probe();
        // A connection to the driver before this one may break under the call.
        while matches!(&ready, Err(status) if status.code == Code::Unavailable) {
            ready = self.kubelet.probe();
        }
        assert!(matches!(ready, Ok(true)), "probe: {ready:?}, log:\n{}", self.driver().log());
    }

    /// The arguments of the driver: defaults that point into this world, then the test's own.
    pub fn arguments(&self) -> Vec<String> {
        let path = |name: &str| self.path(name).display().to_string();
        let mut arguments = vec![
            format!("--endpoint=unix://{}", path("csi/csi.sock")),
            format!("--nodeid={}", self.node),
            format!("--provider-volume={}", path("providers")),
            "--additional-provider-volume-paths=".to_owned(),
            "--metrics-addr=127.0.0.1:0".to_owned(),
            format!("--kubelet-pods-dir={}", path("pods")),
            format!("--kube-api-server={}", self.api.url()),
        ];
        arguments.retain(|argument| {
            let name = argument.split('=').next().unwrap_or_default();
            !self.left_out.iter().any(|left_out| left_out == name)
        });
        arguments.extend(self.flags.iter().cloned());
        arguments
    }

    /// Starts the driver again, with the last refresh of every volume so much longer ago: it stops in good order, and
    /// the next one finds what it has kept.
    pub fn age(&mut self, by: Duration) {
        self.take_driver().terminate();
        let path = self.path("csi/refresh-times");
        let kept = std::fs::read_to_string(&path).expect("the driver keeps the times of refreshes");
        let aged = |line: &str| {
            let mut words: Vec<&str> = line.splitn(3, ' ').collect();
            let (seconds, nanos) = words[1].split_once('.')?;
            let earlier = format!("{}.{nanos}", seconds.parse::<u64>().ok()? - by.as_secs());
            words[1] = &earlier;
            Some(words.join(" "))
        };
        let lines = kept.lines().map(|line| aged(line).unwrap_or_else(|| line.to_owned()) + "\n");
        std::fs::write(&path, lines.collect::<String>()).expect("the file can be written");
        self.start_driver();
    }

    /// How long ago the volume was refreshed whose last refresh is the oldest.
    pub fn stalest_refresh(&self) -> Duration {
        let seconds = self.metric("secrets_store_csi_stalest_refresh_age_seconds");
        Duration::from_secs_f64(seconds.expect("there is a volume"))
    }

    /// Leaves out a default flag, such as `--kubelet-pods-dir`, when the driver is started the next time.
    pub fn leave_out(&mut self, flag: &str) {
        self.left_out.push(flag.to_owned());
    }

    /// Further flags for when the driver is started the next time; of a repeated flag the last one counts.
    pub fn add_flags(&mut self, flags: &[&str]) {
        self.flags.extend(flags.iter().map(|flag| (*flag).to_owned()));
    }

    /// The running driver.
    pub fn driver(&self) -> &DriverProcess {
        self.driver.as_ref().expect("the driver was started")
    }

    /// Takes the driver out, to end it in a way of the test's own.
    pub fn take_driver(&mut self) -> DriverProcess {
        self.driver.take().expect("the driver was started")
    }

    /// A path in this world.
    pub fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// Where providers put their sockets.
    pub fn providers(&self) -> PathBuf {
        self.path("providers")
    }

    /// A provider in this process, in the directory that the driver searches.
    pub fn provider(
        &self,
        name: &str,
        script: impl Fn(pb::MountRequest) -> Result<pb::MountResponse, Status> + Send + Sync + 'static,
    ) -> ScriptedProvider {
        ScriptedProvider::start(&self.environment, &self.providers(), name, script)
    }

    /// Creates a class in the namespace `default`.
    pub fn class(&self, name: &str, provider: &str, parameters: Value) {
        self.api.put(objects::class("default", name, provider, parameters));
    }

    /// A pod of the namespace `default`; kubelet has made the directory above its volume.
    pub fn pod(&self, name: &str, class: &str) -> Pod {
        self.pod_of_uid(name, class, &format!("uid-{name}"))
    }

    /// The same, of the uid that the API server gave it.
    pub fn pod_of_uid(&self, name: &str, class: &str, uid: &str) -> Pod {
        let above = self.path(&format!("pods/{uid}/volumes/kubernetes.io~csi/secrets"));
        // With a mode that lets the mounter through: root's power over modes is not one of its capabilities.
        let umask = umask_lock();
        std::fs::create_dir_all(&above).expect("kubelet can make directories");
        drop(umask);
        Pod {
            name: name.to_owned(),
            namespace: "default".to_owned(),
            volume_id: format!("csi-{name}"),
            uid: uid.to_owned(),
            class: class.to_owned(),
            target: above.join("mount"),
            group: None,
            attributes: HashMap::new(),
            secrets: HashMap::new(),
        }
    }

    /// What the driver calls itself.
    pub fn plugin_name(&self) -> String {
        let request = csi::GetPluginInfoRequest::default();
        let answer = self.kubelet.call("/csi.v1.Identity/GetPluginInfo", &request);
        let answer: csi::GetPluginInfoResponse =
            answer.unwrap_or_else(|status| panic!("who are you: {status}"));
        answer.name
    }

    /// A page of the driver's HTTP server: status code and body.
    pub fn http_get(&self, page: &str) -> (u16, String) {
        http_get(&self.metrics_address(), page)
    }

    /// Where the driver's HTTP server listens, as its log says in either format.
    pub fn metrics_address(&self) -> String {
        self.address_after("serving metrics and health")
    }

    /// Where its listener for health alone does.
    pub fn health_address(&self) -> String {
        self.address_after("serving health")
    }

    fn address_after(&self, text: &str) -> String {
        self.driver().wait_for_log(text);
        let log = self.driver().log();
        let line = log.lines().find(|line| line.contains(text)).unwrap_or_default();
        let value = line.split("address").nth(1).map(|rest| rest.trim_start_matches(['"', '=', ':']));
        let address = value.and_then(|value| value.split('"').next());
        address.expect("the log names the address").to_owned()
    }

    /// The value of the first series that starts with `name` (labels may be part of it).
    pub fn metric(&self, name: &str) -> Option<f64> {
        let (_, page) = self.http_get("/metrics");
        let line = page.lines().find(|line| line.starts_with(name))?;
        line.rsplit(' ').next()?.parse().ok()
    }

    /// The sum of a family's series that have all of these labels; an empty value also means an absent label.
    pub fn count(&self, family: &str, labels: &[(&str, &str)]) -> f64 {
        let (_, page) = self.http_get("/metrics");
        let has = |series: &str, (name, value): &(&str, &str)| {
            let is_named =
                series.contains(&format!("{{{name}=\"")) || series.contains(&format!(",{name}=\""));
            let quoted = format!("{name}=\"{value}\"");
            let is_there =
                [format!("{{{quoted}"), format!(",{quoted}")].iter().any(|form| series.contains(form));
            is_there || (value.is_empty() && !is_named)
        };
        let series = page.lines().filter(|line| {
            let name = line.split(['{', ' ']).next().unwrap_or_default();
            name == family && labels.iter().all(|label| has(line, label))
        });
        series
            .map(|line| line.rsplit(' ').next().and_then(|value| value.parse().ok()).unwrap_or(f64::NAN))
            // Not `sum`, which begins at -0.
            .fold(0.0, |sum: f64, value| sum + value)
    }

    /// Mounts below this world's directory, as the kernel lists them.
    pub fn mounts(&self) -> Vec<PathBuf> {
        mounts_below(self.directory.path())
    }
}

impl Pod {
    /// Removes the directories that kubelet made for the volume, as it does when that is gone. Whatever is left in them
    /// is told.
    pub fn remove_directories(&self) -> Result<(), String> {
        let mut directory = self.target.clone();
        if std::fs::symlink_metadata(&directory).is_ok() {
            return Err(format!("{} is still there", directory.display()));
        }
        // secrets, kubernetes.io~csi, volumes, the pod's own
        for _ in 0..4 {
            directory.pop();
            std::fs::remove_dir(&directory).map_err(|error| format!("{}: {error}", directory.display()))?;
        }
        Ok(())
    }

    /// What a file of the volume holds.
    pub fn read(&self, file: &str) -> String {
        let path = self.target.join(file);
        std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// True when something is mounted on the target.
    pub fn is_mounted(&self) -> bool {
        self.mount_count() > 0
    }

    /// How many mounts are stacked on the target.
    pub fn mount_count(&self) -> usize {
        mounts_below(&self.target).len()
    }

    /// The kernel's line about the volume's mount.
    pub fn mountinfo(&self) -> String {
        let text = std::fs::read_to_string("/proc/self/mountinfo").expect("the kernel lists mounts");
        let target = self.target.to_str().expect("test paths are UTF-8");
        let line = text.lines().find(|line| line.split(' ').nth(4) == Some(target));
        line.unwrap_or_else(|| panic!("nothing is mounted on {target}")).to_owned()
    }

    /// Mode bits of a file of the volume, links followed; of the root for the empty path.
    pub fn mode(&self, file: &str) -> u32 {
        self.metadata(file).mode() & 0o7777
    }

    /// Group of a file of the volume, links followed; of the root for the empty path.
    pub fn gid(&self, file: &str) -> u32 {
        self.metadata(file).gid()
    }

    /// The directory of the content that is live: where `..data` leads.
    pub fn generation(&self) -> PathBuf {
        std::fs::read_link(self.target.join("..data")).expect("the volume has a content")
    }

    /// When something in the volume's root last changed.
    pub fn changed(&self) -> SystemTime {
        self.metadata("").modified().expect("Linux keeps this time")
    }

    /// Has the root have changed at another time: of a volume that no driver has kept a time of, the last refresh.
    pub fn set_changed(&self, time: SystemTime) {
        let root = std::fs::File::open(&self.target).expect("the volume is there");
        root.set_modified(time).expect("the root may set the time");
    }

    fn metadata(&self, file: &str) -> std::fs::Metadata {
        let path = self.target.join(file);
        std::fs::metadata(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// The names that a user sees in the volume.
    pub fn visible(&self) -> Vec<String> {
        let entries = std::fs::read_dir(&self.target).expect("the volume can be listed");
        let names = entries.map(|entry| entry.expect("an entry can be read").file_name());
        let mut names: Vec<String> = names.map(|name| name.to_string_lossy().into_owned()).collect();
        names.retain(|name| !name.starts_with(".."));
        names.sort();
        names
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.driver = None;
        for mount in self.mounts().into_iter().rev() {
            // The namespace of the test takes what stays.
            drop(std::process::Command::new("umount").arg("-l").arg(mount).status());
        }
    }
}

/// A page of an HTTP server: status code and body.
pub fn http_get(address: &str, page: &str) -> (u16, String) {
    let mut stream = TcpStream::connect(address).expect("it listens");
    write!(stream, "GET {page} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (head, body) = answer.split_once("\r\n\r\n").expect("an answer has a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a head has a code");
    (code, body.to_owned())
}

fn mounts_below(directory: &Path) -> Vec<PathBuf> {
    let text = std::fs::read("/proc/self/mountinfo").expect("the kernel lists mounts");
    let mounts = sys::mountinfo::parse(&text);
    mounts.into_iter().map(|mount| mount.mount_point).filter(|path| path.starts_with(directory)).collect()
}
