//! Callers in a closed loop, and what their calls took.

use std::time::{Duration, Instant};

use kit::kubelet::Kubelet;
use kit::world::Pod;

/// How long calls of one kind took.
#[derive(Default)]
pub struct Latencies(Vec<Duration>);

impl Latencies {
    /// Runs something and keeps the time it took.
    pub fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let begun = Instant::now();
        let value = run();
        self.0.push(begun.elapsed());
        value
    }

    /// Adds a time that somebody else has taken.
    pub fn add(&mut self, took: Duration) {
        self.0.push(took);
    }

    /// Takes over what another caller measured.
    pub fn append(&mut self, other: Latencies) {
        self.0.extend(other.0);
    }

    /// How many calls.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// All of them together.
    pub fn sum(&self) -> Duration {
        self.0.iter().sum()
    }

    /// The time that `percent` of the calls took at most; 100 is the longest.
    pub fn percentile(&self, percent: usize) -> Duration {
        let mut sorted = self.0.clone();
        sorted.sort_unstable();
        let rank = (sorted.len() * percent).div_ceil(100).max(1);
        sorted.get(rank - 1).copied().unwrap_or_default()
    }
}

/// Publishes and unpublishes of some callers.
#[derive(Default)]
pub struct Pairs {
    /// Of each publish.
    pub publish: Latencies,
    /// Of each unpublish.
    pub unpublish: Latencies,
}

/// One caller: a pod in the place of the one before, again and again until `end`.
pub fn pairs_until(end: Instant, kubelet: &Kubelet, place: &Pod) -> Pairs {
    let mut pairs = Pairs::default();
    let mut pod = place.clone();
    while Instant::now() < end {
        // A pod status of its own, as every new pod has.
        pod.name = format!("{}-{}", place.name, pairs.publish.count());
        pairs.publish.time(|| kubelet.publish(&pod)).expect("the driver publishes");
        pairs.unpublish.time(|| kubelet.unpublish(&pod)).expect("the driver unpublishes");
    }
    pairs
}
