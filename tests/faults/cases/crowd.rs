//! Two hundred pods behind a provider that hangs, and the others.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rpc::status::Code;
use serde_json::json;

use crate::census::processor_millis;
use crate::hold::Hold;
use crate::node::{Node, old};
use crate::runner::{Case, Lane};
use crate::sheet::Sheet;
use kit::eventually;
use kit::kubelet::Kubelet;
use kit::wire::{self, WireProvider, frame};
use kit::world::Pod;

/// In the order of the table.
pub const CASES: [Case; 2] = [
    Case { name: "200 pods behind a provider that hangs", lane: Lane::Alone, play: crowd },
    Case { name: "a provider that floods its connection", lane: Lane::Alone, play: flood },
];

fn crowd() -> Sheet {
    let mut node = Node::start();
    node.may_grow(MANY_WORKERS);
    let healthy = healthy_pod(&mut node);
    let pods: Vec<Pod> = (0..PODS).map(|number| node.pod(&format!("web-{number}"))).collect();
    let before = Times::of(&node.world.kubelet, &healthy, CALLS);
    node.is_as_it_should_be();
    let asked = node.provider.calls();
    let hold = Hold::of(&node.provider, old());
    let (turned_away, published) = (AtomicUsize::new(0), AtomicUsize::new(0));
    let mut idle = 0;
    let during = thread::scope(|scope| {
        let (kubelet, turned_away, published) = (&node.world.kubelet, &turned_away, &published);
        for pod in &pods {
            let call = move || {
                let mut pause = FIRST_PAUSE;
                while let Err(status) = kubelet.publish(pod) {
                    assert_eq!(status.code, Code::Unavailable, "{status}");
                    assert!(status.message.contains("--max-provider-calls allows"), "{status}");
                    turned_away.fetch_add(1, Ordering::SeqCst);
                    thread::sleep(pause);
                    pause = (pause * 2).min(LAST_PAUSE);
                }
                published.fetch_add(1, Ordering::SeqCst);
            };
            thread::Builder::new().stack_size(256 * 1024).spawn_scoped(scope, call).unwrap();
        }
        eventually("the class has its share", || node.provider.calls() - asked == SHARE);
        eventually("the others are turned away", || {
            turned_away.load(Ordering::SeqCst) >= PODS - PROVIDERS_FILL
        });
        let (begun, used) = (Instant::now(), processor_millis(node.world.driver().id()));
        while begun.elapsed() < WAITING {
            thread::sleep(WAITING / 4);
        }
        idle = (processor_millis(node.world.driver().id()) - used) / WAITING.as_secs();
        let during = Times::of(kubelet, &healthy, CALLS);
        assert_eq!(published.load(Ordering::SeqCst), 0, "the provider still hangs");
        assert_eq!(node.provider.calls() - asked, SHARE, "and takes no more");
        // The table says how it went; nobody waits for a case that has failed.
        drop(hold);
        during
    });
    assert_eq!(published.into_inner(), PODS);
    pods.iter().for_each(|pod| node.shows(pod, "old"));
    let turned_away = turned_away.into_inner();
    node.sheet.pod(format!("{PROVIDERS_FILL} of {PODS} first publishes wait; the others: Unavailable \"--max-provider-calls allows\" at once"));
    compare(&mut node, &before, &during, MOST_RATIO);
    node.sheet
        .pod(format!("afterwards: all {PODS} OK, password=old, {turned_away} calls turned away in all"));
    node.sheet.left(format!("{idle} ms of CPU a second while {PROVIDERS_FILL} wait"));
    node.rose_at_least(&[
        "api_requests_total{code=409,verb=create} +",
        &format!("node_publish_error_total{{error_type=GRPCProviderError,provider=test}} +{turned_away}"),
    ]);
    node.end()
}

fn flood() -> Sheet {
    let mut node = Node::start();
    node.may_grow(A_BURST);
    let healthy = healthy_pod(&mut node);
    let live = node.live_pod();
    let before = Times::of(&node.world.kubelet, &healthy, CALLS_IN_A_FLOOD);
    node.is_as_it_should_be();
    let is_flooding = std::sync::Arc::new(AtomicBool::new(false));
    let seen = std::sync::Arc::clone(&is_flooding);
    let provider = WireProvider::instead_of(node.provider.socket(), move |wire| {
        wire.greet()?;
        wire.request()?;
        seen.store(true, Ordering::SeqCst);
        wire.write_on_and_on(&frame(wire::PING, wire::ACK, 0, &[7; 8]).repeat(1000))
    });
    let is_over = AtomicBool::new(false);
    let during = thread::scope(|scope| {
        let (kubelet, live, is_over) = (&node.world.kubelet, &live, &is_over);
        // A call that the flood ends is followed by the next, so that it goes on all the time.
        let calls = scope.spawn(move || {
            while !is_over.load(Ordering::SeqCst) {
                drop(kubelet.publish_within(live, Duration::from_secs(110)));
            }
        });
        eventually("the provider floods", || is_flooding.load(Ordering::SeqCst));
        let during = Times::of(kubelet, &healthy, CALLS_IN_A_FLOOD);
        is_over.store(true, Ordering::SeqCst);
        drop(provider);
        calls.join().unwrap();
        during
    });
    node.shows(&live, "old");
    node.sheet.pod("its own pods: refresh fails, password=old stays".to_owned());
    compare(&mut node, &before, &during, MOST_RATIO_IN_A_FLOOD);
    node.quiet();
    node.mark();
    node.recovers(&[&live]);
    node.end()
}

/// A pod of another provider's.
fn healthy_pod(node: &mut Node) -> Pod {
    let fast = node.world.provider("fast", |_| Ok(old()));
    node.world.class("healthy", "fast", json!({"objects": "some"}));
    node.others.push(fast);
    node.pod_of("healthy", "healthy")
}

/// How long publishes of one caller took, one after another.
struct Times(Vec<Duration>);

impl Times {
    fn of(kubelet: &Kubelet, pod: &Pod, calls: usize) -> Times {
        let publish = |_| {
            let begun = Instant::now();
            kubelet.publish(pod).expect("a healthy provider's pod is published");
            let took = begun.elapsed();
            assert_eq!(pod.read("password"), "old");
            kubelet.unpublish(pod).expect("and unpublished");
            took
        };
        // The first ones warm up.
        Times((0..calls + calls / 8).map(publish).skip(calls / 8).collect())
    }

    /// Of the quietest part of the time: what else the machine does comes and goes, a fault stays.
    fn percentile(&self, percent: usize) -> f64 {
        let of_part = |part: &[Duration]| {
            let mut part = part.to_vec();
            part.sort_unstable();
            let rank = (part.len() * percent).div_ceil(100).max(1);
            part[rank - 1].as_secs_f64() * 1000.0
        };
        self.0.chunks_exact(PART).map(of_part).fold(f64::INFINITY, f64::min)
    }
}

/// The speed of the healthy before and during the fault; within bounds.
fn compare(node: &mut Node, before_times: &Times, during_times: &Times, most: [f64; 2]) {
    for (percent, most) in [50, 99].into_iter().zip(most) {
        let (before, during) = (before_times.percentile(percent), during_times.percentile(percent));
        let ratio = during / before.max(FLOOR_MILLIS);
        node.sheet.pod(format!(
            "another provider's pod, p{percent} of the quietest {PART} of {} publishes: {before:.2} ms before, {during:.2} ms during (ratio {:.2}, at most {most})",
            before_times.0.len(),
            during / before
        ));
        assert!(ratio <= most, "p{percent}: {before:.2} ms before, {during:.2} ms during");
    }
}

const PODS: usize = 200;
const WAITING: Duration = Duration::from_secs(2);
const CALLS_IN_A_FLOOD: usize = 100;
/// The default of --max-provider-calls: the class's share of the calls, and those that wait for a place in it.
const PROVIDERS_FILL: usize = 128;
/// Three quarters of it.
const SHARE: usize = 96;
const CALLS: usize = 400;
const PART: usize = 50;
/// Of p50 and of p99, with room for a machine that does something else as well: without what keeps the calls apart,
/// the healthy would wait as long as the others.
const MOST_RATIO: [f64; 2] = [4.0, 8.0];
const MOST_RATIO_IN_A_FLOOD: [f64; 2] = [30.0, 300.0];
/// In MiB: gRPC's buffer for the longest burst, once for each thread of an ordinary build.
const A_BURST: usize = 1024;
/// Of what is quicker than this, the noise is compared.
const FLOOR_MILLIS: f64 = 1.0;
/// As kubelet's pauses, but shorter.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
const LAST_PAUSE: Duration = Duration::from_secs(4);
/// In MiB: of two hundred workers and their calls.
const MANY_WORKERS: usize = 96;
