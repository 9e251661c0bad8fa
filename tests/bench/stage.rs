//! The stage: a node whose driver is measured, and what every scene needs of it.

mod burst;
mod callers;
mod growth;
mod live;
mod operator;
mod secrets;
mod sizes;
mod starts;
mod steady;

use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::thread;
use std::time::{Duration, Instant};

use rpc::channel::Channel;
use rpc::deadline::Deadline;
use rpc::pb::provider as pb;
use tempfile::TempDir;

use crate::build::Build;
use crate::parts::{self, Part};
use crate::process::{self, Snapshot};
use crate::report::{Aim, Report};
use crate::shape::{self, Shape};
use kit::driver::{DriverProcess, program};
use kit::kubelet::Kubelet;
use kit::world::{Pod, World};
use kit::{PATIENCE, eventually};

/// A node with its three processes.
pub struct Stage {
    /// The driver that is measured.
    pub build: Build,
    plain_http: bool,
    world: World,
    api: Part,
    provider: Part,
    /// A connection to the provider that bypasses the driver.
    direct: Channel,
    begun: Instant,
    /// Authority and token, for the driver.
    _api_files: TempDir,
}

impl Stage {
    /// Starts the API server double and the provider.
    pub fn set(plain_http: bool) -> Stage {
        let begun = Instant::now();
        let api_files = tempfile::tempdir().expect("a temporary directory");
        let role = if plain_http { parts::API_SERVER_WITHOUT_TLS } else { parts::API_SERVER };
        let api = Part::start(role, api_files.path());
        // The double of the world itself stays without work: of a repeated flag the last value counts.
        let mut flags = vec![
            format!("--kube-api-server={}", api.greeting),
            "--enable-secret-rotation=true".to_owned(),
            format!("--max-call-recv-msg-size={LARGEST_ANSWER}"),
        ];
        if !plain_http {
            let file = |name: &str| api_files.path().join(name).display().to_string();
            flags.push(format!("--kube-ca-file={}", file(parts::CA_FILE)));
            flags.push(format!("--kube-token-file={}", file(parts::TOKEN_FILE)));
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let world = World::without_driver(&flags);
        let provider = Part::start(parts::PROVIDER, &world.providers());
        let socket = world.providers().join(format!("{}.sock", parts::PROVIDER));
        let direct = Channel::to_socket(&world.environment, &socket, LARGEST_ANSWER);
        let build = Build::of(&program("secrets-store-csi-driver"));
        Stage { build, plain_http, world, api, provider, direct, begun, _api_files: api_files }
    }

    fn start_and_probe(&self) -> DriverProcess {
        let driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &self.world.arguments());
        let until = Instant::now() + PATIENCE;
        // The library's own attempts to connect are a tenth of a second apart: too coarse to measure with.
        while UnixStream::connect(self.socket()).is_err() {
            assert!(Instant::now() < until, "the driver does not listen:\n{}", driver.log());
            thread::sleep(CONNECT_PAUSE);
        }
        let ready = Kubelet::new(&self.world.environment, &self.socket()).probe();
        assert!(matches!(ready, Ok(true)), "probe: {ready:?}");
        driver
    }

    /// The driver when the workers of a burst are gone: what a node pays for hours, not for moments.
    fn settled(&self) -> Snapshot {
        let until = Instant::now() + SETTLING;
        let mut last = Snapshot::of(self.driver());
        loop {
            thread::sleep(SETTLING_STEP);
            let now = Snapshot::of(self.driver());
            if now.threads == last.threads && (now.threads <= QUIET_THREADS || Instant::now() >= until) {
                return now;
            }
            last = now;
        }
    }

    fn ask_provider(&self, question: &pb::MountRequest, shape: Shape) {
        let deadline = Deadline::after(PATIENCE);
        let answer: pb::MountResponse = self
            .direct
            .call("/v1alpha1.CSIDriverProvider/Mount", question, deadline)
            .expect("the provider answers");
        assert_eq!(answer.files.len(), shape.files);
    }

    fn pods(&self, kind: &str, count: usize) -> Vec<Pod> {
        (0..count).map(|number| self.world.pod(&format!("{kind}-{number}"), parts::CLASS)).collect()
    }

    fn unpublish_all(&self, pods: &[Pod]) {
        for pod in pods {
            self.world.kubelet.unpublish(pod).expect("it unpublishes");
        }
        eventually("every volume is gone", || self.world.mounts().is_empty());
    }

    /// How many requests of a kind the API server had for each of so many calls.
    fn requests_a_call(
        &mut self,
        name: &str,
        kind: &str,
        calls: usize,
        aim: Option<Aim>,
        report: &mut Report,
    ) {
        let requests: u32 = self.api.ask(kind).parse().expect("a count is a number");
        let calls = u32::try_from(calls).expect("calls are counted in thousands");
        report.figure(name, f64::from(requests) / f64::from(calls), "", aim);
    }

    fn processor_times(&self) -> [(&'static str, Duration); 4] {
        [
            ("driver", self.driver()),
            ("API server double", self.api.id()),
            ("provider", self.provider.id()),
            ("callers", std::process::id()),
        ]
        .map(|(name, pid)| (name, process::processor_time(pid)))
    }

    fn driver(&self) -> u32 {
        self.world.driver().id()
    }

    fn socket(&self) -> PathBuf {
        self.world.path("csi/csi.sock")
    }

    /// No driver, until the next one is started.
    fn stop(&mut self) {
        drop(self.world.take_driver());
        // A leftover could be taken for the new one.
        drop(std::fs::remove_file(self.socket()));
    }

    /// A driver that no scene before has left its mark on, and that refreshes a volume after two minutes.
    fn restart(&mut self, scene: &str) {
        self.restart_refreshing(Refreshing::WhenDue, scene);
    }

    /// The same, with an interval of the scene's own.
    fn restart_refreshing(&mut self, refreshing: Refreshing, scene: &str) {
        let interval = match refreshing {
            Refreshing::AtEveryCall => "--rotation-poll-interval=0",
            Refreshing::WhenDue => "--rotation-poll-interval=2m",
        };
        self.world.add_flags(&[interval]);
        self.world.start_driver();
        self.say(&format!("{scene} (the driver is process {})", self.driver()));
    }

    fn say(&self, what: &str) {
        eprintln!("[{:5.1} s] {what}", self.begun.elapsed().as_secs_f64());
    }
}

/// Which of kubelet's calls about a live volume refresh it.
#[derive(Clone, Copy)]
enum Refreshing {
    /// All of them.
    AtEveryCall,
    /// The first after two minutes, which is the default.
    WhenDue,
}

/// What the driver asks the provider for a pod, more or less.
fn question(pod: &Pod, shape: Shape) -> pb::MountRequest {
    let attributes = format!(
        r#"{{"{}":"{}","csi.storage.k8s.io/pod.name":"{}","csi.storage.k8s.io/pod.namespace":"{}","csi.storage.k8s.io/pod.uid":"{}"}}"#,
        shape::PARAMETER,
        shape.parameter(),
        pod.name,
        pod.namespace,
        pod.uid
    );
    pb::MountRequest {
        attributes,
        secrets: "null".to_owned(),
        target_path: pod.target.display().to_string(),
        permission: "420".to_owned(),
        ..Default::default()
    }
}

/// As many as kubelet allows on a node by default.
const PODS: usize = 110;
/// In bytes: room for the largest volume that is measured.
const LARGEST_ANSWER: i32 = 8 << 20;
const CONNECT_PAUSE: Duration = Duration::from_micros(200);
/// Longer than an idle worker stays.
const SETTLING: Duration = Duration::from_secs(13);
const SETTLING_STEP: Duration = Duration::from_millis(500);
/// No more than this means that no worker but the first is left.
const QUIET_THREADS: u64 = 14;
