//! A node with its pods: what it costs to have them, and to look after them.

use crate::load::Latencies;
use crate::report::{Aim, Report, millis};
use kit::world::Pod;

use super::{PODS, Refreshing, Stage};

impl Stage {
    /// An idle driver; then 110 pods, one after another, that are then looked after.
    pub fn one_after_another(&mut self, report: &mut Report) {
        self.restart_refreshing(Refreshing::AtEveryCall, "110 volumes, one after another");
        report.section("at rest");
        let idle = self.settled();
        report.snapshot("idle", idle, Some(self.build.idle()));

        let pods = self.pods("live", PODS);
        self.api.ask("forget");
        let mut publish = Latencies::default();
        for pod in &pods {
            publish.time(|| self.world.kubelet.publish(pod)).expect("it publishes");
        }
        self.requests_a_call("API requests a first publish", "count", publish.count(), None, report);
        let one = Some(Aim::AtMost(1.0));
        self.requests_a_call("API writes a first publish", "writes", publish.count(), one, report);
        let live = self.settled();
        report.snapshot("110 volumes live", live, Some(self.build.full_node()));

        self.say("refreshing without news and with, republishing what is not due");
        report.section("looking after what is live");
        self.api.ask("forget");
        let refresh = self.refresh_in_turn(&pods, REFRESHES, |_| ());
        report.latency("refresh that is due and finds nothing new", &refresh);
        let none = Some(Aim::AtMost(0.0));
        self.requests_a_call("API requests a refresh without news", "count", refresh.count(), none, report);

        self.api.ask("forget");
        let refresh = self.refresh_in_turn(&pods, ROTATIONS, |stage| drop(stage.provider.ask("rotate")));
        report.latency("refresh that is due and finds new content", &refresh);
        self.requests_a_call("API requests a refresh with news", "count", refresh.count(), None, report);

        self.restart_refreshing(Refreshing::WhenDue, "the same volumes, when they are not due");
        // The first call after a start looks whether the volume has its pod status.
        for pod in &pods {
            self.world.kubelet.publish(pod).expect("it is live");
        }
        let mut not_due = Latencies::default();
        for pod in pods.iter().cycle().take(REPUBLISHES) {
            not_due.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        report.latency("republish that is not due", &not_due);
        let slowest = millis(not_due.percentile(99));
        report.figure("republish that is not due, p99", slowest, "ms", Some(Aim::AtMost(0.5)));
        self.unpublish_all(&pods);
    }

    /// Refreshes so many volumes, one after another, with something done before each.
    fn refresh_in_turn(&mut self, pods: &[Pod], count: usize, before: impl Fn(&mut Stage)) -> Latencies {
        let mut refresh = Latencies::default();
        for pod in pods.iter().cycle().take(count) {
            before(self);
            refresh.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        refresh
    }
}

const REPUBLISHES: usize = 2200;
const REFRESHES: usize = 1100;
const ROTATIONS: usize = 550;
