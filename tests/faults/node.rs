//! The node that a fault is injected into: the real driver with the doubles of its surroundings, one class `db`, and a
//! sheet on which everything that is asserted is written down at once.

use std::path::Path;
use std::sync::atomic::{AtomicU16, Ordering};
use std::time::{Duration, Instant};

use rpc::pb::provider as pb;
use rpc::status::{Code, Status};
use serde_json::json;

use crate::census::{Census, processor_millis};
use crate::series::{Series, is_met, matches};
use crate::sheet::Sheet;
use api_server::ApiServer;
use kit::driver::{DriverProcess, program};
use kit::eventually;
use kit::provider::{ScriptedProvider, answer};
use kit::world::{Pod, World, http_get};

/// The node.
pub struct Node {
    // Before the world, so that nothing serves into a directory that is being removed.
    pub provider: ScriptedProvider,
    pub world: World,
    pub sheet: Sheet,
    /// Further providers of the case.
    pub others: Vec<ScriptedProvider>,
    /// Where the metrics are; the log, which says so too, may be what is broken.
    address: String,
    pods: Vec<Pod>,
    mark: Series,
    before: Census,
    /// Most that the memory may have grown, in MiB.
    growth: usize,
}

/// How a node is set up.
#[derive(Default)]
pub struct Setup<'a> {
    /// Flags of the driver beyond [`ALWAYS`].
    pub flags: &'a [&'a str],
    /// The API server double, where the usual one does not do.
    pub api: Option<ApiServer>,
    /// A command that becomes the driver, such as `prlimit --nofile=40`.
    pub through: &'a [&'a str],
}

impl Node {
    /// A node as most faults find it: every call of kubelet's is a refresh.
    pub fn start() -> Node {
        Node::with(Setup::default())
    }

    /// The same with further flags.
    pub fn with_flags(flags: &[&str]) -> Node {
        Node::with(Setup { flags, ..Setup::default() })
    }

    /// A node set up as told, which has published, refreshed and unpublished a volume already, so that whatever comes
    /// with the first use is there.
    pub fn with(setup: Setup<'_>) -> Node {
        let port = free_port();
        let metrics = format!("--metrics-addr=127.0.0.1:{port}");
        let flags: Vec<&str> = ALWAYS.iter().chain([&metrics.as_str()]).chain(setup.flags).copied().collect();
        let mut world = World::without_driver(&flags);
        if let Some(api) = setup.api {
            world.api = api.into();
        }
        let driver = program("secrets-store-csi-driver").display().to_string();
        let mut command: Vec<String> = setup.through.iter().map(|word| (*word).to_owned()).collect();
        command.push(driver);
        command.extend(world.arguments());
        world.start_driver_as(DriverProcess::spawn(Path::new(&command[0]), &command[1..]));
        let provider = world.provider("test", |_| Ok(old()));
        world.class("db", "test", json!({"objects": "some"}));
        let address = format!("127.0.0.1:{port}");
        let mut node = Node {
            provider,
            world,
            sheet: Sheet::default(),
            others: Vec::new(),
            address,
            pods: Vec::new(),
            mark: Series::default(),
            before: Census::default(),
            growth: USUAL_GROWTH,
        };
        // The CSI socket, which answers by now, comes first.
        eventually("the metrics are served", || std::net::TcpStream::connect(&node.address).is_ok());
        eventually("the driver is ready", || http_get(&node.address, "/readyz").0 == 200);
        node.warm_up("first");
        node
    }

    /// Publishes, refreshes and unpublishes a volume, so that whatever comes with the first use is there.
    fn warm_up(&mut self, name: &str) {
        let pod = self.pod(name);
        self.must(&pod, "the first publish of a healthy node");
        self.must(&pod, "the first refresh of a healthy node");
        self.unpublish(&pod);
        self.is_as_it_should_be();
    }

    /// Kills the driver and starts it again: what follows is compared with the new one.
    pub fn restart(&mut self) {
        self.world.take_driver().kill();
        self.world.start_driver();
        eventually("the driver is ready", || {
            std::net::TcpStream::connect(&self.address).is_ok() && http_get(&self.address, "/readyz").0 == 200
        });
        self.warm_up("again");
    }

    /// Where the metrics are.
    pub fn metrics_address(&self) -> String {
        self.address.clone()
    }

    /// A pod of the class `db`.
    pub fn pod(&mut self, name: &str) -> Pod {
        self.pod_of(name, "db")
    }

    /// A pod of a class.
    pub fn pod_of(&mut self, name: &str, class: &str) -> Pod {
        self.keep(self.world.pod(name, class))
    }

    /// A pod that the case has made itself.
    pub fn keep(&mut self, pod: Pod) -> Pod {
        self.pods.push(pod.clone());
        pod
    }

    /// A pod whose volume is live with the content `old`, before anything goes wrong.
    pub fn live_pod(&mut self) -> Pod {
        let pod = self.pod("live");
        self.must(&pod, "the first publish before the fault");
        assert_eq!(pod.read("password"), "old");
        self.mark();
        pod
    }

    /// What there is now is what there should be: the fault comes next.
    pub fn is_as_it_should_be(&mut self) {
        self.quiet();
        self.before = Census::take(&self.world);
        self.mark();
    }

    /// From now on the provider answers with this response.
    pub fn answer_with(&self, response: pb::MountResponse) {
        self.provider.script(move |_| Ok(response.clone()));
    }

    /// What rose before now is no part of the fault.
    pub fn mark(&mut self) {
        self.mark = Series::read(&self.address);
    }

    /// Exactly these series have risen since the last mark.
    #[track_caller]
    pub fn rose(&mut self, expected: &[&str]) {
        let mut risen = Vec::new();
        let until = Instant::now() + SETTLING;
        // What a call leaves behind, such as an event that is not sent, is counted a little later.
        loop {
            let now = Series::read(&self.address);
            risen.clone_from(&self.mark.risen(&now));
            if is_met(expected, &risen) || Instant::now() > until {
                self.mark = now;
                break;
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        assert!(
            is_met(expected, &risen),
            "these series rose: {risen:?}, expected: {expected:?}{}",
            self.log()
        );
        self.sheet.metrics.extend(risen);
    }

    /// These series have risen since the last mark, and no others but requests to the API server: how many the driver
    /// has made meanwhile, for its watches and events too, is not the same each time. One that ends with `+` stands for
    /// all that begin so, whatever the number.
    #[track_caller]
    pub fn rose_at_least(&mut self, expected: &[&str]) {
        let now = Series::read(&self.address);
        let risen = self.mark.risen(&now);
        self.mark = now;
        let is_there = |expected: &&str| risen.iter().any(|risen| matches(expected, risen));
        let missing: Vec<_> = expected.iter().filter(|expected| !is_there(expected)).collect();
        let others = risen.iter().filter(|risen| {
            !risen.starts_with("api_requests_total{")
                && !risen.starts_with("events_dropped_total")
                && !expected.iter().any(|expected| matches(expected, risen))
        });
        let others: Vec<_> = others.collect();
        let is_so = missing.is_empty() && others.is_empty();
        assert!(is_so, "missing: {missing:?}, unexpected: {others:?}, rose: {risen:?}{}", self.log());
        self.sheet.metrics.extend(risen);
    }

    /// Kubelet's first call for a volume fails like this, and nothing is there.
    #[track_caller]
    pub fn refused(&mut self, pod: &Pod, code: Code, words: &str) {
        self.refused_within(pod, KUBELETS_PATIENCE, code, words);
    }

    /// The same of a kubelet that waits no longer than this.
    #[track_caller]
    pub fn refused_within(&mut self, pod: &Pod, patience: Duration, code: Code, words: &str) {
        let answered = self.world.kubelet.publish_within(pod, patience);
        self.was_refused(pod, answered, code, words);
    }

    /// That answer to a first publish is a failure like this, and nothing is there.
    #[track_caller]
    pub fn was_refused(&mut self, pod: &Pod, answered: Result<(), Status>, code: Code, words: &str) {
        let Err(status) = answered else { panic!("{} was published{}", pod.name, self.log()) };
        let is_so = status.code == code && status.message.contains(words);
        assert!(is_so, "not {code} with {words:?}: {status}{}", self.log());
        eventually("nothing is there", || !pod.is_mounted() && pod.target.symlink_metadata().is_err());
        self.sheet.pod(format!("first publish: {code}{}, no volume", quoted(words)));
    }

    /// Kubelet's first call succeeds, and the pod sees that.
    #[track_caller]
    pub fn published(&mut self, pod: &Pod, content: &str) {
        self.must(pod, "the publish");
        self.shows(pod, content);
        self.sheet.pod(format!("first publish: OK, {}", shown(content)));
    }

    /// A refresh fails: kubelet hears OK, the pod keeps that content, and the volume's condition says these words.
    #[track_caller]
    pub fn kept(&mut self, pod: &Pod, content: &str, words: &str) {
        let generation = pod.generation();
        self.must(pod, "a refresh of a live volume");
        self.shows(pod, content);
        assert_eq!(pod.generation(), generation, "nothing was written");
        self.is_failing(pod, words);
        self.sheet.pod(format!("refresh: OK, {} stays, condition \"{words}\"", shown(content)));
    }

    /// The same once the driver has learnt of the fault: what it follows, it knows for good until it is told.
    #[track_caller]
    pub fn comes_to_keep(&mut self, pod: &Pod, content: &str, words: &str) {
        eventually("a refresh fails", || {
            self.must(pod, "a refresh of a live volume");
            self.world.kubelet.condition(pod).0
        });
        self.shows(pod, content);
        self.is_failing(pod, words);
        self.sheet.pod(format!("refresh: OK, {} stays, condition \"{words}\"", shown(content)));
    }

    /// The volume's condition says these words.
    #[track_caller]
    pub fn is_failing(&self, pod: &Pod, words: &str) {
        let (is_abnormal, condition) = self.world.kubelet.condition(pod);
        assert!(is_abnormal && condition.contains(words), "no {words:?}: {condition}{}", self.log());
    }

    /// A refresh succeeds, and the pod sees that.
    #[track_caller]
    pub fn refreshed(&mut self, pod: &Pod, content: &str) {
        self.must(pod, "a refresh");
        self.shows(pod, content);
        let condition = self.world.kubelet.condition(pod);
        assert!(!condition.0, "the volume is not well: {condition:?}{}", self.log());
        self.sheet.pod(format!("refresh: OK, {}", shown(content)));
    }

    /// The fault is over: with the next good answer both pods, live or not, see the new content.
    #[track_caller]
    pub fn recovers(&mut self, pods: &[&Pod]) {
        self.answer_with(new());
        self.sheet.pod("afterwards:".to_owned());
        for pod in pods {
            // A call before may not have ended yet, and connections come back by and by.
            eventually("the volume is fresh", || {
                self.world.kubelet.publish(pod).is_ok() && !self.world.kubelet.condition(pod).0
            });
            self.shows(pod, "new");
        }
        self.sheet.pod(format!("OK, {}", shown("new")));
        self.mark();
    }

    /// The pod sees exactly that, and no temporary name is beside it.
    #[track_caller]
    pub fn shows(&self, pod: &Pod, content: &str) {
        let found = pod.read("password");
        assert!(found == content, "not {} but {}{}", shown(content), shown(&found), self.log());
        assert_eq!(pod.visible(), ["password"]);
        assert_eq!(pod.mount_count(), 1);
        let names = std::fs::read_dir(&pod.target).expect("the volume can be listed");
        let hidden = names.filter(|name| {
            name.as_ref().is_ok_and(|name| name.file_name().as_encoded_bytes().starts_with(b".."))
        });
        assert_eq!(hidden.count(), 2, "the switch and one generation");
    }

    /// The volume is gone when kubelet says so.
    #[track_caller]
    pub fn unpublish(&self, pod: &Pod) {
        let outcome = self.world.kubelet.unpublish(pod);
        outcome.unwrap_or_else(|status| panic!("unpublish: {status}{}", self.log()));
        assert!(!pod.is_mounted() && pod.target.symlink_metadata().is_err(), "{} is there", pod.name);
    }

    /// No call of kubelet's is in hand.
    pub fn quiet(&self) {
        eventually("no call is in hand", || {
            let (_, page) = http_get(&self.address, "/metrics");
            page.lines().any(|line| line == "secrets_store_csi_calls_in_flight 0")
        });
    }

    /// Memory may grow by so many MiB: the fault is about large things.
    pub fn may_grow(&mut self, mebibytes: usize) {
        self.growth = mebibytes;
    }

    /// Runs something that mostly waits; the driver must not be busy meanwhile.
    pub fn idle_while<T>(&mut self, run: impl FnOnce(&mut Node) -> T) -> T {
        let (begun, before) = (Instant::now(), processor_millis(self.world.driver().id()));
        let value = run(self);
        let used = processor_millis(self.world.driver().id()).saturating_sub(before);
        let passed = u64::try_from(begun.elapsed().as_millis()).unwrap_or(u64::MAX);
        assert!(used <= BUSY_FLOOR_MILLIS + passed / 5, "busy: {used} ms of processor time in {passed} ms");
        self.sheet.left(format!("{used} ms of CPU in {:.1} s", begun.elapsed().as_secs_f64()));
        value
    }

    /// Ends the pods; then nothing may be left that was not there before.
    pub fn end(mut self) -> Sheet {
        for pod in std::mem::take(&mut self.pods) {
            self.unpublish(&pod);
            // As kubelet does: it removes empty directories only.
            let pods = self.world.path("pods");
            for directory in pod.target.ancestors().skip(1).take_while(|directory| **directory != pods) {
                let removed = std::fs::remove_dir(directory);
                removed
                    .unwrap_or_else(|error| panic!("something is left in {}: {error}", directory.display()));
            }
        }
        let mut more = Vec::new();
        let mut now = Census::default();
        let until = Instant::now() + WORKERS_LEAVE_IN;
        loop {
            now.clone_from(&Census::take(&self.world));
            more.clone_from(&now.more_than(&self.before));
            if more.is_empty() || Instant::now() > until {
                break;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        assert!(more.is_empty(), "left: {more:?}{}", self.log());
        let log = self.world.driver().log();
        assert!(!log.contains("panicked") && !log.contains("this is a bug"), "log:\n{log}");
        let grown = now.peak.saturating_sub(self.before.peak).div_ceil(1024);
        assert!(grown <= self.growth, "memory has grown by {grown} MiB, at most {}", self.growth);
        self.sheet.left.insert(0, "nothing".to_owned());
        self.sheet.left(format!("peak memory +{grown} MiB"));
        self.sheet
    }

    /// Kubelet comes back, and the volume is published.
    #[track_caller]
    pub fn must_publish(&self, pod: &Pod) {
        self.must(pod, "a publish after a fault");
    }

    #[track_caller]
    fn must(&self, pod: &Pod, what: &str) {
        let outcome = self.world.kubelet.publish(pod);
        outcome.unwrap_or_else(|status| panic!("{what}: {status}{}", self.log()));
    }

    fn log(&self) -> String {
        format!("; log of the driver:\n{}", self.world.driver().log())
    }
}

/// What the provider answers at first.
pub fn old() -> pb::MountResponse {
    holding("v1", b"old")
}

/// What it answers when the secret has changed.
pub fn new() -> pb::MountResponse {
    holding("v2", b"new")
}

/// An answer with one file `password`.
pub fn holding(version: &str, content: &[u8]) -> pb::MountResponse {
    answer(version, &[("password", 0, content)])
}

/// What is to be read in a message, where that matters.
pub fn quoted(words: &str) -> String {
    if words.is_empty() { String::new() } else { format!(" \"{words}\"") }
}

fn shown(content: &str) -> String {
    if content.len() <= LONGEST_SHOWN {
        format!("password={content}")
    } else {
        format!("password of {} bytes", content.len())
    }
}

/// A port that nobody listens on, outside of those that the kernel gives away by itself.
fn free_port() -> u16 {
    static NEXT: AtomicU16 = AtomicU16::new(0);
    let base = FIRST_PORT + u16::try_from(std::process::id() % 64).unwrap_or(0) * 128;
    loop {
        let port = base + NEXT.fetch_add(1, Ordering::Relaxed);
        if std::net::TcpListener::bind(("127.0.0.1", port)).is_ok() {
            return port;
        }
    }
}

/// Every call of kubelet's is a refresh.
const ALWAYS: [&str; 2] = ["--enable-secret-rotation", "--rotation-poll-interval=-1m"];
const FIRST_PORT: u16 = 20_000;
/// What kubelet gives a CSI call.
const KUBELETS_PATIENCE: Duration = Duration::from_secs(120);
/// Until what a call leaves behind is counted.
const SETTLING: Duration = Duration::from_secs(10);
/// Longer than an idle worker stays.
const WORKERS_LEAVE_IN: Duration = Duration::from_secs(40);
/// A mistake that counts doubles it; what a few calls need is less.
const USUAL_GROWTH: usize = 24;
/// Processor time of a few calls on a slow machine.
const BUSY_FLOOR_MILLIS: u64 = 400;
const LONGEST_SHOWN: usize = 24;
