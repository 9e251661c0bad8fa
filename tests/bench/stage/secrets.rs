//! What mirroring into Kubernetes Secrets costs: one Secret for each pod, rotated all at once, and then left alone.

use std::time::Instant;

use crate::load::Latencies;
use crate::parts;
use crate::report::{Aim, Report, millis};
use kit::world::Pod;

use super::{PODS, Refreshing, Stage};

impl Stage {
    /// 300 pods with a class and a Secret each; 110 of them first, which is a full node.
    pub fn secrets(&mut self, report: &mut Report) {
        self.restart_refreshing(Refreshing::AtEveryCall, "300 pods with a Kubernetes Secret each");
        report.section("Kubernetes Secrets");
        let pods = self.mirrored_pods(MIRRORED);
        let (node, rest) = pods.split_at(PODS);
        self.api.ask("forget");
        let mut publish = Latencies::default();
        for pod in node {
            publish.time(|| self.world.kubelet.publish(pod)).expect("it publishes");
        }
        report.latency("publish with one new Secret, 1 caller", &publish);
        let name = "API requests a publish with one new Secret";
        self.requests_a_call(name, "count", publish.count(), None, report);
        // Every publish has answered: what is missing now would have been missed by a starting pod.
        let there = self.count("secrets there");
        report.figure(
            "of 110 Secrets, there when their publish answered",
            there,
            "",
            Some(Aim::AtLeast(110.0)),
        );
        let settled = self.settled();
        report.snapshot("110 volumes and 110 Secrets", settled, Some(Aim::AtMost(16.0)));
        for pod in rest {
            self.world.kubelet.publish(pod).expect("it publishes");
        }

        self.say("a rotation of all 300");
        self.provider.ask("rotate");
        self.api.ask("forget");
        let begun = Instant::now();
        self.refresh(&pods);
        self.api.ask(&format!("wait for {MIRRORED} patches"));
        report.figure(
            "300 rotated volumes, until the last Secret is new",
            millis(begun.elapsed()),
            "ms",
            None,
        );
        let writes = self.count("secret writes") / f64::from(u32::try_from(MIRRORED).unwrap_or(u32::MAX));
        report.figure("writes a changed Secret", writes, "", Some(Aim::AtMost(1.0)));
        let reads = self.count("secret reads");
        report.figure("reads of Secrets in that rotation", reads, "", Some(Aim::AtMost(0.0)));

        self.say("five refreshes of each without news, as ten minutes bring");
        self.api.ask("forget");
        for _ in 0..ROUNDS {
            self.refresh(&pods);
        }
        let writes = self.count("writes");
        report.figure("API writes in ten minutes without news", writes, "", Some(Aim::AtMost(0.0)));
        let reads = self.count("reads");
        report.figure("API reads in ten minutes without news", reads, "", Some(Aim::AtMost(0.0)));
        let settled = self.settled();
        report.snapshot("300 volumes and 300 Secrets", settled, None);
        self.unpublish_all(&pods);
    }

    fn refresh(&self, pods: &[Pod]) {
        for pod in pods {
            self.world.kubelet.publish(pod).expect("it is live");
        }
    }

    /// Pods that the API server knows, since it is asked who owns them.
    fn mirrored_pods(&mut self, count: usize) -> Vec<Pod> {
        let uids = self.api.ask(&format!("mirror {count}"));
        let named = uids.split(' ').enumerate().map(|(number, uid)| {
            let name = parts::mirrored(number);
            let mut pod = self.world.pod(&name, &name);
            uid.clone_into(&mut pod.uid);
            pod
        });
        named.collect()
    }

    fn count(&mut self, what: &str) -> f64 {
        let count: u32 = self.api.ask(what).parse().expect("a count is a number");
        f64::from(count)
    }
}

const MIRRORED: usize = 300;
/// Ten minutes of the default interval.
const ROUNDS: usize = 5;
