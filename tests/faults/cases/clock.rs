//! Clocks that jump. The driver's own wall clock is set by a library that stands between it and the C library; its
//! monotonic clock, as on a real machine, is left alone.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

use rpc::status::Code;
use tempfile::TempDir;

use crate::hold::Hold;
use crate::node::{Node, Setup, new, old};
use crate::runner::{Case, Lane, case};
use crate::sheet::Sheet;
use kit::eventually;
use kit::world::{Pod, http_get};

/// In the order of the table.
pub const CASES: [Case; 5] = [
    case("clock: set back by a day", set_back),
    case("clock: set ahead by a day, and back", set_ahead),
    Case {
        name: "clock: set back by an hour in the middle of a call",
        lane: Lane::Long,
        play: set_back_in_a_call,
    },
    case("clock: set ahead by an hour in the middle of a call", set_ahead_in_a_call),
    case("clock: right, but a volume comes from the future", volume_from_the_future),
];

/// A node whose driver goes by a clock of its own, and refreshes hourly.
struct Clock {
    node: Node,
    file: PathBuf,
    _directory: TempDir,
}

impl Clock {
    fn start() -> Clock {
        let library = LIBRARIES.into_iter().find(|library| Path::new(library).is_file());
        let library = library.expect("libfaketime is not installed");
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("offset");
        std::fs::write(&file, "+0").unwrap();
        let through = [
            "env",
            &format!("LD_PRELOAD={library}"),
            &format!("FAKETIME_TIMESTAMP_FILE={}", file.display()),
            "FAKETIME_NO_CACHE=1",
            "FAKETIME_DONT_FAKE_MONOTONIC=1",
            "DONT_FAKE_MONOTONIC=1",
            "NO_FAKE_STAT=1",
        ];
        let flags = ["--rotation-poll-interval=1h"];
        let node = Node::with(Setup { flags: &flags, through: &through, ..Setup::default() });
        Clock { node, file, _directory: directory }
    }

    /// The driver's clock is so many seconds off.
    fn set(&self, offset: i64) {
        let fresh = self.file.with_extension("fresh");
        std::fs::write(&fresh, format!("{offset:+}")).unwrap();
        std::fs::rename(&fresh, &self.file).unwrap();
    }
}

fn set_back() -> Sheet {
    jump(-DAY, "set back")
}

fn set_ahead() -> Sheet {
    jump(DAY, "set ahead")
}

fn jump(offset: i64, what: &str) -> Sheet {
    let mut clock = Clock::start();
    let live = clock.node.live_pod();
    not_due(&mut clock.node, &live);
    clock.set(offset);
    due(&mut clock.node, &live, offset, what);
    // Back to what it was: now the volume is from the future, or long past.
    clock.set(0);
    due(&mut clock.node, &live, 0, "right again");
    clock.node.idle_while(|_| std::thread::sleep(Duration::from_secs(4)));
    clock.node.rose(&[]);
    clock.node.end()
}

/// The volume was refreshed an instant ago: kubelet's next call does nothing.
fn not_due(node: &mut Node, pod: &Pod) {
    let calls = node.provider.calls();
    node.refreshed(pod, &pod.read("password"));
    assert_eq!(node.provider.calls(), calls, "not due");
}

/// The volume is refreshed once, and then it is not due.
fn due(node: &mut Node, pod: &Pod, offset: i64, what: &str) {
    let content = format!("{what} {offset}");
    node.answer_with(crate::node::holding(&content, content.as_bytes()));
    let calls = node.provider.calls();
    node.refreshed(pod, &content);
    assert_eq!(node.provider.calls(), calls + 1, "due");
    not_due(node, pod);
    let age = stalest(node);
    assert!((0.0..60.0).contains(&age), "the stalest volume is {age} s old");
    node.sheet.pod(format!("clock {what}: due once, then not due"));
}

/// The age of the stalest refresh, as the metrics have it.
fn stalest(node: &Node) -> f64 {
    gauge(node, "secrets_store_csi_stalest_refresh_age_seconds ")
}

fn in_flight(node: &Node) -> f64 {
    gauge(node, "secrets_store_csi_calls_in_flight ")
}

fn gauge(node: &Node, name: &str) -> f64 {
    let (_, page) = http_get(&node.metrics_address(), "/metrics");
    let line = page.lines().find(|line| line.starts_with(name));
    line.and_then(|line| line.rsplit(' ').next()?.parse().ok()).expect("the gauge is there")
}

fn set_back_in_a_call() -> Sheet {
    let mut clock = Clock::start();
    let pod = clock.node.pod("web");
    let hold = Hold::of(&clock.node.provider, old());
    let begun = Instant::now();
    let answered = call_while(&clock, &pod, -HOUR);
    assert!(begun.elapsed() < PATIENCE * 2, "kubelet waited {:?}", begun.elapsed());
    assert_eq!(answered.unwrap_err().code, Code::DeadlineExceeded);
    clock.node.sheet.pod("first publish: DeadlineExceeded".to_owned());
    clock.node.sheet.pod(format!("kubelet had its answer after {:.1} s", begun.elapsed().as_secs_f64()));
    // The driver knows kubelet's patience by the wall clock alone, so only its own limit, which is as long as what
    // kubelet gives, ends the call. Until then the volume is taken.
    let aborted = clock.node.world.kubelet.publish(&pod).unwrap_err();
    assert_eq!(aborted.code, Code::Aborted, "{aborted}");
    while begun.elapsed() < LONGEST_CALL + PATIENCE && in_flight(&clock.node) > 0.0 {
        std::thread::sleep(Duration::from_millis(100));
    }
    clock.node.quiet();
    let took = begun.elapsed().as_secs();
    clock.node.sheet.pod(format!("further calls: Aborted, until the driver gave up after {took} s"));
    clock.node.rose_at_least(&[
        "node_publish_error_total{error_type=FailedToMount,provider=} +1",
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +1",
        "provider_call_duration_seconds_count{code=DeadlineExceeded,provider=test} +1",
    ]);
    drop(hold);
    clock.node.recovers(&[&pod]);
    clock.node.end()
}

fn set_ahead_in_a_call() -> Sheet {
    let mut clock = Clock::start();
    let pod = clock.node.pod("web");
    let hold = Hold::of(&clock.node.provider, old());
    let answered = call_while(&clock, &pod, HOUR);
    clock.node.was_refused(&pod, answered, Code::DeadlineExceeded, "");
    clock.node.quiet();
    clock.node.rose_at_least(&[
        "node_publish_error_total{error_type=GRPCProviderError,provider=test} +1",
        "provider_call_duration_seconds_count{code=DeadlineExceeded,provider=test} +1",
    ]);
    drop(hold);
    clock.node.recovers(&[&pod]);
    clock.node.end()
}

/// A first publish behind a provider that hangs, while the clock jumps.
fn call_while(clock: &Clock, pod: &Pod, offset: i64) -> Result<(), rpc::status::Status> {
    let node = &clock.node;
    let (asked, kubelet) = (node.provider.calls(), &node.world.kubelet);
    std::thread::scope(|scope| {
        let call = scope.spawn(|| kubelet.publish_within(pod, PATIENCE));
        eventually("the provider is asked", || node.provider.calls() > asked);
        clock.set(offset);
        call.join().unwrap()
    })
}

fn volume_from_the_future() -> Sheet {
    let mut node = Node::with_flags(&["--rotation-poll-interval=1h"]);
    let pod = node.live_pod();
    not_due(&mut node, &pod);
    pod.set_changed(SystemTime::now() + Duration::from_secs(86_400));
    // A driver that is killed has kept no times: the next one goes by the volume.
    node.restart();
    assert!(stalest(&node) >= 0.0);
    node.answer_with(new());
    let calls = node.provider.calls();
    node.refreshed(&pod, "new");
    assert_eq!(node.provider.calls(), calls + 1, "due");
    not_due(&mut node, &pod);
    assert!(stalest(&node) < 60.0, "its time is right again");
    // The pod status is there already, which a driver that has just started does not know.
    node.rose(&["api_requests_total{code=409,verb=create} +1"]);
    node.end()
}

/// Where Debian has it on the two architectures, and other distributions.
const LIBRARIES: [&str; 4] = [
    "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib/aarch64-linux-gnu/faketime/libfaketimeMT.so.1",
    "/usr/lib64/faketime/libfaketimeMT.so.1",
    "/usr/lib/faketime/libfaketimeMT.so.1",
];
/// A call is given up after this, whatever its caller's deadline.
const LONGEST_CALL: Duration = Duration::from_secs(120);
const HOUR: i64 = 3600;
const DAY: i64 = 86_400;
const PATIENCE: Duration = Duration::from_secs(4);
