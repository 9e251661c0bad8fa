//! Callers in a closed loop: a pod comes and goes, again and again.

use std::thread;
use std::time::{Duration, Instant};

use crate::load::{self, Latencies, Pairs};
use crate::report::{Aim, Report, millis, number};
use crate::shape::Shape;
use kit::kubelet::Kubelet;
use kit::world::Pod;

use super::{Stage, question};

impl Stage {
    /// One caller, with the provider's own time measured in between, by the same kind of client.
    pub fn one_caller(&mut self, report: &mut Report) {
        self.restart("one caller");
        report.section("one caller");
        let place = self.pods("one", 1).remove(0);
        load::pairs_until(Instant::now() + WARM_UP, &self.world.kubelet, &place);
        let (mut pairs, mut provider) = (Pairs::default(), Latencies::default());
        let question = question(&place, Shape::USUAL);
        let mut pod = place.clone();
        let end = Instant::now() + ONE_CALLER;
        while Instant::now() < end {
            pod.name = format!("single-{}", pairs.publish.count());
            let kubelet = &self.world.kubelet;
            pairs.publish.time(|| kubelet.publish(&pod)).expect("it publishes");
            provider.time(|| self.ask_provider(&question, Shape::USUAL));
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
    pub fn sixteen_callers(&mut self, report: &mut Report) {
        self.many_callers(16, Some(Aim::AtLeast(2000.0)), report);
    }

    /// Sixty-four of them.
    pub fn sixty_four_callers(&mut self, report: &mut Report) {
        self.many_callers(64, None, report);
    }

    fn many_callers(&mut self, callers: usize, aim: Option<Aim>, report: &mut Report) {
        self.restart(&format!("{callers} callers"));
        report.section("many callers");
        let places = self.pods("many", callers);
        self.run_callers(&places, "warm", WARM_UP);
        self.api.ask("forget");
        let before = self.processor_times();
        let begun = Instant::now();
        let pairs = self.run_callers(&places, "load", MANY_CALLERS);
        let seconds = begun.elapsed().as_secs_f64();
        let after = self.processor_times();

        let count = number(pairs.publish.count().try_into().unwrap_or(u64::MAX));
        report.figure(format!("pairs a second, {callers} callers"), count / seconds, "", aim);
        let name = format!("API requests a publish, {callers} callers");
        self.requests_a_call(&name, "count", pairs.publish.count(), None, report);
        for ((name, before), (_, after)) in before.iter().zip(&after) {
            let used = after.saturating_sub(*before).as_secs_f64();
            let name = format!("processor time a pair, {callers} callers, {name}");
            report.figure(name, used * 1e6 / count, "us", None);
        }
        report.latency(format!("publish, {callers} callers"), &pairs.publish);
        report.latency(format!("unpublish, {callers} callers"), &pairs.unpublish);
        let settled = self.settled();
        report.snapshot(&format!("after {callers} callers"), settled, None);
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
}

const NEW_CONNECTIONS: usize = 500;
const WARM_UP: Duration = Duration::from_secs(1);
const ONE_CALLER: Duration = Duration::from_secs(6);
const MANY_CALLERS: Duration = Duration::from_secs(8);
