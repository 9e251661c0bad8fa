//! Hours of a node, of which two minutes tell everything: each volume is asked after once a minute, a little more often
//! than kubelet does, and every two minutes each is due and has no news.

use std::thread;
use std::time::{Duration, Instant};

use crate::process::{Cost, Snapshot};
use crate::report::{Aim, Report, number};
use kit::world::Pod;

use super::{PODS, Stage};

impl Stage {
    /// Two nodes at once, one with 110 volumes and one with 1,000: neither has enough to do to disturb the other.
    pub fn steady(&mut self, report: &mut Report) {
        self.say("two nodes of 110 and of 1,000 volumes in peace: this takes four minutes and a half");
        let mut second = Stage::set(self.plain_http);
        let aims =
            [(Some(self.build.full_node()), Some(Aim::AtMost(1.0))), (Some(self.build.thousand()), None)];
        let mut nodes = [Node::of(self, PODS), Node::of(&mut second, MANY)];
        // The first time each volume is published, so that the times to refresh them are spread evenly.
        ask_after_all(&nodes);
        for node in &mut nodes {
            node.begin();
        }
        ask_after_all(&nodes);
        report.section("in peace");
        for (node, (memory, processor)) in nodes.iter_mut().zip(aims) {
            node.report(memory, processor, report);
        }
    }
}

/// A node with volumes whose times to be refreshed are spread evenly, as they are after a while.
struct Node<'a> {
    stage: &'a mut Stage,
    pods: Vec<Pod>,
    before: Cost,
}

impl<'a> Node<'a> {
    fn of(stage: &'a mut Stage, count: usize) -> Node<'a> {
        stage.restart(&format!("{count} volumes"));
        let pods = stage.pods("steady", count);
        let before = Cost::of(stage.driver());
        Node { stage, pods, before }
    }

    fn begin(&mut self) {
        self.stage.api.ask("forget");
        self.before = Cost::of(self.stage.driver());
    }

    fn report(&mut self, memory: Option<Aim>, processor: Option<Aim>, report: &mut Report) {
        let used = Cost::of(self.stage.driver()).since(self.before);
        let seen = Snapshot::of(self.stage.driver());
        let count = self.pods.len();
        let seconds = INTERVAL.as_secs_f64();
        let name = |what: &str| format!("{what}, {count} volumes in peace");
        report.figure(name("millicores"), used.processor.as_secs_f64() * 1000.0 / seconds, "", processor);
        report.figure(name("context switches a second"), number(used.switches) / seconds, "", None);
        let requests: u32 = self.stage.api.ask("count").parse().expect("a count is a number");
        report.figure(name("API requests a minute"), f64::from(requests) * 60.0 / seconds, "", None);
        let written = number(used.written / 1024);
        report.figure(name("written to storage, in two minutes"), written, "KiB", Some(Aim::AtMost(0.0)));
        report.snapshot(&format!("{count} volumes in peace"), seen, memory);
        self.stage.unpublish_all(&self.pods);
    }
}

/// Kubelet, for two minutes: each volume of each node once a minute, evenly.
fn ask_after_all(nodes: &[Node<'_>]) {
    let begun = Instant::now();
    let mut calls: Vec<(Duration, &Node<'_>, &Pod)> = Vec::new();
    for node in nodes {
        let count = u32::try_from(node.pods.len()).expect("few");
        for (number, pod) in (0..).zip(&node.pods) {
            let first = KUBELETS_PACE * number / count;
            calls
                .extend((0..INTERVAL.as_secs() / KUBELETS_PACE.as_secs()).map(|turn| {
                    (first + KUBELETS_PACE * u32::try_from(turn).unwrap_or_default(), node, pod)
                }));
        }
    }
    calls.sort_by_key(|(when, _, _)| *when);
    for (when, node, pod) in calls {
        thread::sleep(when.saturating_sub(begun.elapsed()));
        node.stage.world.kubelet.publish(pod).expect("it is live");
    }
    thread::sleep(INTERVAL.saturating_sub(begun.elapsed()));
}

/// The default of --rotation-poll-interval.
const INTERVAL: Duration = Duration::from_secs(120);
/// How often kubelet calls for a volume of a driver that asks for it: about so often.
const KUBELETS_PACE: Duration = Duration::from_secs(60);
const MANY: usize = 1000;
