//! How the cost grows with the number of volumes.

use std::thread;

use crate::load::Latencies;
use crate::process::{self, Snapshot};
use crate::report::{Aim, Curve, Report, mebibytes, millis};
use kit::world::Pod;

use super::{Refreshing, SETTLING_STEP, Stage};

impl Stage {
    /// From 10 to 3,000 volumes of one driver.
    pub fn growth(&mut self, report: &mut Report) {
        report.section("growth");
        self.restart("from 10 to 3,000 volumes that are not due");
        let at_rest = self.grow(Stage::look_at_rest);
        self.restart_refreshing(Refreshing::AtEveryCall, "from 10 to 3,000 volumes that are refreshed");
        let refreshed = self.grow(Stage::look_refreshing);
        let both = |(mut one, other): (Sight, Sight)| {
            one.values.extend(other.values);
            one
        };
        let sights: Vec<Sight> = at_rest.into_iter().zip(refreshed).map(both).collect();
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
    }

    /// Publishes more and more volumes, has a look at each number of them, and takes them down.
    fn grow(&self, look: impl Fn(&Stage, &[Pod], &Latencies) -> Sight) -> Vec<Sight> {
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
            sights.push(look(self, &pods[..count], &publish));
        }
        self.unpublish_all(&pods);
        sights
    }

    /// What that many volumes cost that need nothing.
    fn look_at_rest(&self, pods: &[Pod], publish: &Latencies) -> Sight {
        // The workers that one caller has woken are few: nothing else has to come to rest.
        thread::sleep(4 * SETTLING_STEP);
        let seen = Snapshot::of(self.driver());
        let not_due = self.call(&sample(pods));
        Sight {
            volumes: number(pods.len()),
            values: vec![
                ("memory: resident", mebibytes(seen.resident)),
                ("memory: anonymous", mebibytes(seen.anonymous)),
                ("p99: first publish", millis(publish.percentile(99))),
                ("p99: republish not due", millis(not_due.percentile(99))),
                ("p50: republish not due", millis(not_due.percentile(50))),
            ],
        }
    }

    /// What it costs to refresh some of that many.
    fn look_refreshing(&self, pods: &[Pod], _: &Latencies) -> Sight {
        let before = process::processor_time(self.driver());
        let refresh = self.call(&sample(pods));
        let used = process::processor_time(self.driver()) - before;
        Sight {
            volumes: number(pods.len()),
            values: vec![
                ("p99: refresh without news", millis(refresh.percentile(99))),
                ("p50: refresh without news", millis(refresh.percentile(50))),
                ("processor time: refresh without news", used.as_secs_f64() * 1e6 / number(CALLS)),
            ],
        }
    }

    fn call(&self, pods: &[&Pod]) -> Latencies {
        let mut call = Latencies::default();
        for pod in pods.iter().cycle().take(CALLS) {
            call.time(|| self.world.kubelet.publish(pod)).expect("it is live");
        }
        call
    }
}

/// Evenly spread, and every one of them for small numbers.
fn sample(pods: &[Pod]) -> Vec<&Pod> {
    pods.iter().step_by(pods.len().div_ceil(SAMPLE)).collect()
}

fn number(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
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
