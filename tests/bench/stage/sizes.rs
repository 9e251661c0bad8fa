//! First publishes of volumes of different sizes, and where their time goes.

use std::collections::BTreeMap;
use std::time::Duration;

use publish::TOOK;
use publish::phases::Phase;

use crate::load::{Latencies, Pairs};
use crate::report::{Aim, Report, millis};
use crate::shape::{SHAPES, Shape};
use kit::eventually;

use super::{Stage, question};

impl Stage {
    /// Each size by itself. The driver's own log says what each step took.
    pub fn sizes(&mut self, report: &mut Report) {
        report.section("first publish by size");
        self.world.add_flags(&["--v=2"]);
        for shape in SHAPES {
            self.size(shape, report);
        }
        self.world.add_flags(&["--v=0"]);
    }

    fn size(&mut self, shape: Shape, report: &mut Report) {
        self.restart(&format!("first publishes of {shape}"));
        let mut pod = self.world.pod("sized", &shape.class());
        let question = question(&pod, shape);
        let turns = if shape.bytes > LARGE { FEW_TURNS } else { TURNS };
        let (mut pairs, mut provider) = (Pairs::default(), Latencies::default());
        for turn in 0..WARM_UP + turns {
            pod.name = format!("sized-{turn}");
            if turn == WARM_UP {
                (pairs, provider) = Default::default();
            }
            pairs.publish.time(|| self.world.kubelet.publish(&pod)).expect("it publishes");
            provider.time(|| self.ask_provider(&question, shape));
            pairs.unpublish.time(|| self.world.kubelet.unpublish(&pod)).expect("it unpublishes");
        }
        report.latency(format!("first publish, {shape}"), &pairs.publish);
        for (phase, times) in self.phases(turns) {
            report.latency(format!("  {phase}, {shape}"), &times);
        }
        report.latency(format!("the provider alone, {shape}"), &provider);
        report.latency(format!("unpublish, {shape}"), &pairs.unpublish);
        let own = millis(pairs.publish.percentile(99)) - millis(provider.percentile(99));
        let aim = Some(Aim::AtMost(2.0));
        report.figure(format!("publish minus provider, p99, {shape}"), own, "ms", aim);
    }

    /// What the driver says of its last `count` publishes, phases in their order.
    fn phases(&self, count: usize) -> Vec<(&'static str, Latencies)> {
        eventually("the driver has said what each publish took", || {
            self.world.driver().count_log(TOOK) == WARM_UP + count
        });
        let log = self.world.driver().log();
        let mut phases: BTreeMap<&str, Latencies> = BTreeMap::new();
        for line in log.lines().filter(|line| line.contains(TOOK)).skip(WARM_UP) {
            for (phase, time) in phases_of(line) {
                phases.entry(phase).or_default().add(time);
            }
        }
        let in_order = Phase::ALL.into_iter().map(Phase::name);
        in_order.filter_map(|name| Some((name, phases.remove(name)?))).collect()
    }
}

/// The phases in a line of the log: `milliseconds="class=0.021 mount=0.142"`.
fn phases_of(line: &str) -> impl Iterator<Item = (&str, Duration)> {
    let (_, rest) = line.split_once("milliseconds=\"").expect("the line says what each phase took");
    let phases = rest.split('"').next().unwrap_or_default();
    phases.split(' ').map(|phase| {
        let (name, millis) = phase.split_once('=').expect("a phase and its time");
        let millis: f64 = millis.parse().expect("a time is a number");
        (name, Duration::from_secs_f64(millis / 1000.0))
    })
}

const TURNS: usize = 1000;
const FEW_TURNS: usize = 200;
const WARM_UP: usize = 50;
/// In bytes: from here on a publish takes long enough for fewer of them.
const LARGE: usize = 100 * 1024;
