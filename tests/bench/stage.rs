//! The scenes of the benchmark, in the order in which they are played.

mod secrets;

use std::fs::File;
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Barrier;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use secrets_store_csi_driver::rpc::channel::Channel;
use secrets_store_csi_driver::rpc::deadline::Deadline;
use secrets_store_csi_driver::rpc::pb::provider as pb;
use tempfile::TempDir;

use crate::build::Build;
use crate::load::{self, Latencies, Pairs};
use crate::parts::{self, Part};
use crate::process::{self, Snapshot};
use crate::report::{Aim, Report, millis, number};
use crate::support::driver::{DriverProcess, program};
use crate::support::kubelet::Kubelet;
use crate::support::world::{Pod, World};
use crate::support::{PATIENCE, eventually};

/// A node with its three processes.
pub struct Stage {
    /// The driver that is measured.
    pub build: Build,
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
        let mut flags =
            vec![format!("--kube-api-server={}", api.greeting), "--enable-secret-rotation=true".to_owned()];
        if !plain_http {
            let file = |name: &str| api_files.path().join(name).display().to_string();
            flags.push(format!("--kube-ca-file={}", file(parts::CA_FILE)));
            flags.push(format!("--kube-token-file={}", file(parts::TOKEN_FILE)));
        }
        let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
        let world = World::without_driver(&flags);
        let provider = Part::start(parts::PROVIDER, &world.providers());
        let socket = world.providers().join(format!("{}.sock", parts::PROVIDER));
        let direct = Channel::to_socket(&world.environment, &socket, 4 << 20);
        let build = Build::of(&program("secrets-store-csi-driver"));
        Stage { build, world, api, provider, direct, begun, _api_files: api_files }
    }

    /// From starting the process to the first answer on its socket.
    pub fn starts(&mut self, report: &mut Report) {
        self.say("starting the driver ten times");
        let mut times = Latencies::default();
        for _ in 0..STARTS {
            // A leftover could be taken for the new one.
            drop(std::fs::remove_file(self.socket()));
            let driver = times.time(|| self.start_and_probe());
            driver.kill();
        }
        let median = millis(times.percentile(50));
        report.figure("start to ready, median of 10", median, "ms", Some(Aim::AtMost(50.0)));
    }

    /// An idle driver; then 110 pods, one after another, that are then looked after.
    pub fn one_after_another(&mut self, report: &mut Report) {
        self.restart("110 volumes, one after another");
        let idle = self.settled();
        report.snapshot("idle", idle, Some(self.build.idle()));

        let pods = self.pods("live", PODS);
        self.api.ask("forget");
        let mut publish = Latencies::default();
        for pod in &pods {
            publish.time(|| self.world.kubelet.publish(pod)).expect("it publishes");
        }
        self.report_requests("API requests a first publish", publish.count(), report);
        let live = self.settled();
        report.snapshot("110 volumes live", live, Some(self.build.full_node()));

        self.say("republishing what is not due, refreshing what is");
        let mut not_due = Latencies::default();
        for pod in pods.iter().cycle().take(REPUBLISHES) {
            not_due.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        report.latency("republish that is not due", &not_due);
        self.api.ask("forget");
        let mut refresh = Latencies::default();
        for pod in pods.iter().cycle().take(REFRESHES) {
            age(pod);
            refresh.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        report.latency("refresh that is due and finds nothing new", &refresh);
        self.report_requests("API requests a refresh without news", refresh.count(), report);
        self.unpublish_all(&pods);
    }

    /// One caller, with the provider's own time measured in between, by the same kind of client.
    pub fn one_caller(&mut self, report: &mut Report) {
        self.restart("one caller");
        let place = self.pods("one", 1).remove(0);
        load::pairs_until(Instant::now() + WARM_UP, &self.world.kubelet, &place);
        let (mut pairs, mut provider) = (Pairs::default(), Latencies::default());
        let question = question(&place);
        let mut pod = place.clone();
        let end = Instant::now() + ONE_CALLER;
        while Instant::now() < end {
            pod.name = format!("single-{}", pairs.publish.count());
            let kubelet = &self.world.kubelet;
            pairs.publish.time(|| kubelet.publish(&pod)).expect("it publishes");
            provider.time(|| self.ask_provider(&question));
            pairs.unpublish.time(|| kubelet.unpublish(&pod)).expect("it unpublishes");
        }
        report.latency("publish, 1 caller", &pairs.publish);
        report.latency("unpublish, 1 caller", &pairs.unpublish);
        report.latency("the provider alone, 1 caller", &provider);
        let own = millis(pairs.publish.percentile(99)) - millis(provider.percentile(99));
        report.figure("publish minus provider, p99, 1 caller", own, "ms", Some(Aim::AtMost(2.0)));
        let busy = millis(pairs.publish.sum()) + millis(pairs.unpublish.sum());
        let rate = number(pairs.publish.count().try_into().unwrap_or(u64::MAX)) * 1000.0 / busy;
        report.figure("pairs a second, 1 caller", rate, "", None);
        self.connections_of_their_own(&place, report);
    }

    /// Kubelet connects anew for every call.
    fn connections_of_their_own(&self, place: &Pod, report: &mut Report) {
        let (mut pairs, mut pod) = (Pairs::default(), place.clone());
        for turn in 0..NEW_CONNECTIONS {
            pod.name = format!("anew-{turn}");
            let connect = || Kubelet::new(&self.world.environment, &self.socket());
            pairs.publish.time(|| connect().publish(&pod)).expect("it publishes");
            pairs.unpublish.time(|| connect().unpublish(&pod)).expect("it unpublishes");
        }
        report.latency("publish, each on a connection of its own", &pairs.publish);
        report.latency("unpublish, each on a connection of its own", &pairs.unpublish);
    }

    /// Sixteen callers, as fast as they get answers.
    pub fn many_callers(&mut self, report: &mut Report) {
        self.restart("sixteen callers");
        let places = self.pods("many", CALLERS);
        self.run_callers(&places, "warm", WARM_UP);
        self.api.ask("forget");
        let before = self.processor_times();
        let begun = Instant::now();
        let pairs = self.run_callers(&places, "load", MANY_CALLERS);
        let seconds = begun.elapsed().as_secs_f64();
        let after = self.processor_times();

        let count = number(pairs.publish.count().try_into().unwrap_or(u64::MAX));
        report.figure("pairs a second, 16 callers", count / seconds, "", Some(Aim::AtLeast(2000.0)));
        self.report_requests("API requests a publish, 16 callers", pairs.publish.count(), report);
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            let used = after.saturating_sub(*before).as_secs_f64();
            report.figure(format!("processor time a pair, {name}"), used * 1e6 / count, "us", None);
        }
        report.latency("publish, 16 callers", &pairs.publish);
        report.latency("unpublish, 16 callers", &pairs.unpublish);
        let settled = self.settled();
        report.snapshot("after the load", settled, None);
    }

    /// A node that comes back with all of its pods.
    pub fn burst(&mut self, report: &mut Report) {
        self.restart("110 pods at once");
        let pods = self.pods("burst", PODS);
        let together = Barrier::new(PODS + 1);
        let (kubelet, together) = (&self.world.kubelet, &together);
        let took = thread::scope(|scope| {
            let callers: Vec<_> = pods
                .iter()
                .map(|pod| {
                    scope.spawn(move || {
                        together.wait();
                        kubelet.publish(pod).expect("it publishes");
                    })
                })
                .collect();
            together.wait();
            let begun = Instant::now();
            for caller in callers {
                caller.join().expect("the caller had its answer");
            }
            begun.elapsed()
        });
        report.figure("110 pods at once, until the last is ready", millis(took), "ms", None);
        let right_after = Snapshot::of(self.driver());
        let settled = self.settled();
        report.snapshot("right after the burst", right_after, None);
        report.snapshot("110 volumes live after the burst", settled, Some(self.build.full_node()));
        self.unpublish_all(&pods);
        self.say("done");
    }

    fn run_callers(&self, places: &[Pod], run: &str, time: Duration) -> Pairs {
        let end = Instant::now() + time;
        thread::scope(|scope| {
            let callers: Vec<_> = places
                .iter()
                .map(|place| {
                    let mut place = place.clone();
                    place.name = format!("{run}-{}", place.name);
                    scope.spawn(move || {
                        let kubelet = Kubelet::new(&self.world.environment, &self.socket());
                        load::pairs_until(end, &kubelet, &place)
                    })
                })
                .collect();
            let mut all = Pairs::default();
            for caller in callers {
                let pairs = caller.join().expect("the driver answers every caller");
                all.publish.append(pairs.publish);
                all.unpublish.append(pairs.unpublish);
            }
            all
        })
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

    fn ask_provider(&self, question: &pb::MountRequest) {
        let deadline = Deadline::after(PATIENCE);
        let answer: pb::MountResponse = self
            .direct
            .call("/v1alpha1.CSIDriverProvider/Mount", question, deadline)
            .expect("the provider answers");
        assert_eq!(answer.files.len(), parts::FILES.len());
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

    fn report_requests(&mut self, name: &str, calls: usize, report: &mut Report) {
        let requests: u32 = self.api.ask("count").parse().expect("a count is a number");
        let calls = u32::try_from(calls).expect("calls are counted in thousands");
        report.figure(name, f64::from(requests) / f64::from(calls), "", None);
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

    /// A driver that no scene before has left its mark on.
    fn restart(&mut self, scene: &str) {
        self.world.start_driver();
        self.say(&format!("{scene} (the driver is process {})", self.driver()));
    }

    fn say(&self, what: &str) {
        eprintln!("[{:5.1} s] {what}", self.begun.elapsed().as_secs_f64());
    }
}

/// Makes a volume due, by the time that says when it was last refreshed.
fn age(pod: &Pod) {
    let root = File::open(&pod.target).expect("the volume is open");
    let long_ago = SystemTime::now() - Duration::from_secs(3600);
    root.set_modified(long_ago).expect("its time can be set");
}

/// What the driver asks the provider for a pod, more or less.
fn question(pod: &Pod) -> pb::MountRequest {
    let attributes = format!(
        r#"{{"objects":"array:\n  - |\n    objectName: {}\n","csi.storage.k8s.io/pod.name":"{}","csi.storage.k8s.io/pod.namespace":"{}","csi.storage.k8s.io/pod.uid":"{}"}}"#,
        parts::FILES[0],
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

const STARTS: usize = 10;
/// As many as kubelet allows on a node by default.
const PODS: usize = 110;
const REPUBLISHES: usize = 2200;
const REFRESHES: usize = 1100;
const NEW_CONNECTIONS: usize = 500;
const CALLERS: usize = 16;
const WARM_UP: Duration = Duration::from_secs(1);
const ONE_CALLER: Duration = Duration::from_secs(6);
const MANY_CALLERS: Duration = Duration::from_secs(8);
const CONNECT_PAUSE: Duration = Duration::from_micros(200);
/// Longer than an idle worker stays.
const SETTLING: Duration = Duration::from_secs(13);
const SETTLING_STEP: Duration = Duration::from_millis(500);
/// No more than this means that no worker but the first is left.
const QUIET_THREADS: u64 = 14;
