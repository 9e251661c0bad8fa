//! How the cost grows with the number of volumes.

use std::thread;

use crate::load::Latencies;
use crate::process::{self, Snapshot};
use crate::report::{Aim, Curve, Report, mebibytes, millis};
use crate::support::world::Pod;

use super::{SETTLING_STEP, Stage, make_due};

impl Stage {
    /// From 10 to 3,000 volumes of one driver.
    pub fn growth(&mut self, report: &mut Report) {
        self.restart("from 10 to 3,000 volumes");
        report.section("growth");
        let pods = self.pods("grown", LARGEST);
        let mut sights = Vec::new();
        let mut live = 0;
        for count in COUNTS {
            let mut publish = Latencies::default();
            for pod in pods.iter().take(count).skip(live) {
                publish.time(|| self.world.kubelet.publish(pod)).expect("it publishes");
            }
            live = count;
            self.say(&format!("{count} volumes"));
            sights.push(self.look(&pods[..count], &publish));
        }
        for name in ["memory: resident", "memory: anonymous"] {
            let curve = curve(name, "MiB", &sights);
            let fitted = curve.slope() * 1024.0;
            report.figure(format!("{name}, of each further volume, fitted"), fitted, "KiB", None);
            report.curve(curve);
        }
        for name in ["p99: first publish", "p99: refresh without news", "p99: republish not due"] {
            report.curve(curve(name, "ms", &sights));
        }
        for name in ["p50: refresh without news", "p50: republish not due"] {
            let curve = curve(name, "ms", &sights);
            report.figure(format!("{name}, 3,000 to 10 volumes"), curve.growth(), "", Some(Aim::AtMost(1.5)));
            report.curve(curve);
        }
        let processor = curve("processor time: refresh without news", "us", &sights);
        let aim = Some(Aim::AtMost(1.5));
        report.figure("processor time of a refresh, 3,000 to 10 volumes", processor.growth(), "", aim);
        report.curve(processor);
        self.unpublish_all(&pods);
    }

    /// What that many volumes cost.
    fn look(&self, pods: &[Pod], publish: &Latencies) -> Sight {
        // The workers that one caller has woken are few: nothing else has to come to rest.
        thread::sleep(4 * SETTLING_STEP);
        let seen = Snapshot::of(self.driver());
        // Evenly spread, and every one of them for small numbers.
        let sample: Vec<&Pod> = pods.iter().step_by(pods.len().div_ceil(SAMPLE)).collect();
        let mut not_due = Latencies::default();
        for pod in sample.iter().cycle().take(CALLS) {
            not_due.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        let mut refresh = Latencies::default();
        let before = process::processor_time(self.driver());
        for pod in sample.iter().cycle().take(CALLS) {
            make_due(pod);
            refresh.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        let used = process::processor_time(self.driver()) - before;
        let calls = f64::from(u32::try_from(CALLS).unwrap_or(u32::MAX));
        Sight {
            volumes: f64::from(u32::try_from(pods.len()).unwrap_or(u32::MAX)),
            values: vec![
                ("memory: resident", mebibytes(seen.resident)),
                ("memory: anonymous", mebibytes(seen.anonymous)),
                ("p99: first publish", millis(publish.percentile(99))),
                ("p99: refresh without news", millis(refresh.percentile(99))),
                ("p99: republish not due", millis(not_due.percentile(99))),
                ("p50: refresh without news", millis(refresh.percentile(50))),
                ("p50: republish not due", millis(not_due.percentile(50))),
                ("processor time: refresh without news", used.as_secs_f64() * 1e6 / calls),
            ],
        }
    }
}

/// What was seen with so many volumes.
struct Sight {
    volumes: f64,
    values: Vec<(&'static str, f64)>,
}

fn curve(name: &'static str, unit: &'static str, sights: &[Sight]) -> Curve {
    let value = |sight: &Sight| {
        let value = sight.values.iter().find(|(found, _)| *found == name);
        value.expect("each look sees everything").1
    };
    Curve { name, unit, points: sights.iter().map(|sight| (sight.volumes, value(sight))).collect() }
}

const COUNTS: [usize; 6] = [10, 30, 100, 300, 1000, LARGEST];
const LARGEST: usize = 3000;
/// Calls of each kind at each number of volumes, and the most volumes they go to.
const CALLS: usize = 600;
const SAMPLE: usize = 300;
