//! Hostile peers: providers, pods, API servers and whoever reaches the metrics port. Whatever they send, nothing
//! outside of the volume is touched, a live volume keeps its content, and the driver goes on.

mod api_server;
mod callers;
mod classes;
mod floods;
mod messages;
mod metrics_port;
mod pod_statuses;
mod pods;
mod provider_frames;
mod providers;
mod race;
mod sizes;
mod tls;
mod volumes;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rpc::pb::{csi, provider as pb};
use rpc::status::{Code, Status};

use kit::kubelet::publish_request;
use kit::objects::objects;
use kit::provider::{ScriptedProvider, answer};
use kit::world::{Pod, World};

/// A node with the class `db`, whose provider `test` answers with [`GOOD`] for now.
fn node(flags: &[&str]) -> (World, ScriptedProvider) {
    let world = World::start(flags);
    let provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| Ok(good()));
    world.class("db", "test", objects(&["password"]));
    (world, provider)
}

/// A live volume that is due for a refresh at every call.
fn live_node() -> (World, ScriptedProvider, Pod) {
    let (world, provider) = node(&ALWAYS_DUE);
    let pod = world.pod("live", "db");
    world.kubelet.publish(&pod).unwrap();
    assert_is_good(&pod, "first");
    (world, provider, pod)
}

fn good() -> pb::MountResponse {
    answer("v1", &[("password", 0, b"hunter2"), ("tls/key", 0o400, b"key")])
}

#[track_caller]
fn assert_is_good(pod: &Pod, why: &str) {
    assert!(pod.is_mounted(), "{why}");
    assert_eq!(pod.visible(), ["password", "tls"], "{why}");
    assert_eq!(
        (pod.read("password"), pod.read("tls/key")),
        ("hunter2".to_owned(), "key".to_owned()),
        "{why}"
    );
}

/// Publishes what must be refused, and returns the answer as it was sent: the client that the other tests use makes
/// what it hears presentable.
#[track_caller]
fn refusal(world: &World, pod: &Pod) -> Status {
    use grpcio::{CallOption, ChannelBuilder, Client, EnvBuilder, Error, Marshaller, Method, MethodType};
    let environment = std::sync::Arc::new(EnvBuilder::new().cq_count(1).build());
    let channel = ChannelBuilder::new(environment).default_authority("localhost");
    let channel = channel.connect(&format!("unix:{}", world.path("csi/csi.sock").display()));
    let method: Method<csi::NodePublishVolumeRequest, csi::NodePublishVolumeResponse> = Method {
        ty: MethodType::Unary,
        name: "/csi.v1.Node/NodePublishVolume",
        req_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
        resp_mar: Marshaller { ser: grpcio::pb_ser, de: grpcio::pb_de },
    };
    let option = CallOption::default().timeout(std::time::Duration::from_secs(30));
    match Client::new(channel).unary_call(&method, &publish_request(pod), option) {
        Err(Error::RpcFailure(status)) => {
            Status::new(Code::from_wire(status.code().into()), status.message().to_owned())
        }
        other => panic!("not refused, but {}", if other.is_ok() { "published" } else { "broken" }),
    }
}

/// Nothing is left of a publish that failed.
#[track_caller]
fn assert_is_gone(pod: &Pod, why: &str) {
    assert!(!pod.is_mounted(), "{why}: mounted");
    assert!(!pod.target.exists(), "{why}: the target is left");
}

/// What kubelet puts into an event and a log must be short and stay on its line.
#[track_caller]
fn assert_is_presentable(status: &Status, why: &str) {
    assert!(status.message.len() < 2048, "{why}: {} bytes", status.message.len());
    assert_is_printable(&status.message, why);
}

#[track_caller]
fn assert_is_printable(text: &str, why: &str) {
    let hostile = |c: char| c.is_control() || ('\u{202a}'..='\u{202e}').contains(&c);
    assert!(!text.contains(hostile), "{why}: {}", text.escape_debug());
}

/// Every line of the log begins as its own records do, so that nobody has forged one.
#[track_caller]
fn assert_log_is_whole(world: &World) {
    for line in world.driver().log().lines() {
        let is_record = line.starts_with(['I', 'W', 'E', 'D']) && line.as_bytes()[1].is_ascii_digit();
        let shown: String = line.chars().take(300).collect();
        assert!(is_record, "not a record: {shown:?}");
        assert!(line.len() < 8192, "{} bytes: {shown:?}", line.len());
        assert_is_printable(line, "log");
    }
}

/// The messages of the events about a pod, checked to be fit for people.
fn events(world: &World, pod: &Pod) -> Vec<String> {
    let events = world.api.events_for(&pod.name);
    let messages = events.iter().map(|event| event["message"].as_str().expect("a message").to_owned());
    let messages: Vec<String> = messages.collect();
    for message in &messages {
        assert!(message.len() <= 1024, "{} bytes", message.len());
        assert_is_printable(message, "event");
    }
    messages
}

/// A directory that no hostile name or link may reach.
struct Victim {
    path: PathBuf,
    before: BTreeMap<PathBuf, String>,
}

impl Victim {
    /// Makes a directory beside the pods directory, laid out as what is below a pod's directory.
    fn new(world: &World) -> Victim {
        let path = world.path("victim");
        let inside = path.join("volumes/kubernetes.io~csi/secrets/mount");
        std::fs::create_dir_all(&inside).unwrap();
        for file in [path.join("precious"), inside.join("password"), inside.join("..data")] {
            std::fs::write(file, "precious").unwrap();
        }
        Victim { before: traces(&path), path }
    }

    #[track_caller]
    fn assert_is_untouched(&self, world: &World, why: &str) {
        let mounts = world.mounts();
        assert!(!mounts.iter().any(|mount| mount.starts_with(&self.path)), "{why}: {mounts:?}");
        assert_eq!(traces(&self.path), self.before, "{why}");
    }
}

/// Kind, owner, mode, size and times of everything below a directory.
fn traces(directory: &Path) -> BTreeMap<PathBuf, String> {
    use std::os::unix::fs::MetadataExt;
    let mut found = BTreeMap::new();
    let mut pending = vec![directory.to_owned()];
    while let Some(path) = pending.pop() {
        let metadata = std::fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            pending.extend(std::fs::read_dir(&path).unwrap().map(|entry| entry.unwrap().path()));
        }
        let (owner, mode) = ((metadata.uid(), metadata.gid()), metadata.mode());
        let times = (metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec());
        found.insert(path, format!("{} {owner:?} {mode:o} {} {times:?}", metadata.ino(), metadata.size()));
    }
    found
}

const ALWAYS_DUE: [&str; 2] = ["--enable-secret-rotation=true", "--rotation-poll-interval=0s"];
