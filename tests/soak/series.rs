//! The samples, and the series that are made of them: each is judged by itself.

use std::fmt;
use std::time::Duration;

use crate::process::Holding;
use crate::trend::{Trend, Verdict};

/// What was there at rest after one wave.
pub struct Sample {
    /// Since the beginning.
    pub at: Duration,
    pub driver: Holding,
    pub mounter: Holding,
    /// Of the soak's own directory.
    pub mounts: u64,
    /// Seconds for each call of the wave before, of both processes.
    pub processor_a_call: f64,
    /// Seconds a second while nobody called.
    pub processor_at_rest: f64,
}

impl fmt::Display for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Sample { driver, mounter, mounts, .. } = self;
        let (resident, anonymous) = (driver.resident, driver.anonymous);
        let (descriptors, threads) = (driver.descriptors, driver.threads);
        write!(
            f,
            "resident {resident} KiB, of it anonymous {anonymous}, mounter {}, descriptors {descriptors}, \
             threads {threads}, mounts {mounts}",
            mounter.resident
        )
    }
}

/// One number of every sample.
pub struct Series {
    pub name: &'static str,
    pub unit: &'static str,
    value: fn(&Sample) -> f64,
    /// None where growth says nothing.
    limits: Option<Limits>,
}

/// What growth of a series means, in its own unit.
#[derive(Clone, Copy)]
struct Limits {
    /// Up to this it does not matter.
    floor: f64,
    /// Beyond this it must not go unseen.
    ceiling: f64,
}

/// A series that was judged.
pub struct Judged {
    pub name: &'static str,
    pub unit: &'static str,
    pub values: Vec<f64>,
    /// None of too few samples.
    pub trend: Option<Trend>,
    /// Growth up to this does not matter.
    pub floor: Option<f64>,
    /// None of what is shown and not judged.
    pub verdict: Option<Verdict>,
}

/// Judges all series.
pub fn judge(samples: &[Sample]) -> Vec<Judged> {
    let judge = |series: &Series| {
        let values: Vec<f64> = samples.iter().map(series.value).collect();
        let times = samples.iter().map(|sample| sample.at.as_secs_f64());
        let points: Vec<(f64, f64)> = times.zip(values.iter().copied()).collect();
        let trend = Trend::of(&points);
        let of_trend = |trend: Trend, limits: Limits| trend.verdict(limits.floor, limits.ceiling);
        let verdict =
            series.limits.map(|limits| trend.map_or(Verdict::Unclear, |trend| of_trend(trend, limits)));
        let floor = series.limits.map(|limits| limits.floor);
        Judged { name: series.name, unit: series.unit, values, trend, floor, verdict }
    };
    ALL.iter().map(judge).collect()
}

/// Of memory. What leaks fills first what the heap has free, about a MiB after the flood; then twenty bytes a call are
/// seen within half an hour. The heap itself moves by less than the floor, and what grows in steps or in bends, of which
/// a line has a large error, is not called flat beyond the ceiling.
const MEMORY: Option<Limits> = Some(Limits { floor: 256.0, ceiling: 1024.0 });
/// Of descriptors and threads. The gRPC library keeps, by design, as many to be woken by as ever waited at once, and
/// another one of these comes ever more seldom.
const COUNTS: Option<Limits> = Some(Limits { floor: 2.0, ceiling: 8.0 });
const MOUNTS: Option<Limits> = Some(Limits { floor: 0.0, ceiling: 0.0 });
/// Of the processor time of calls, which other programs of the machine make dearer and cheaper.
const WORK: Option<Limits> = None;
/// Of that at rest, in milliseconds a second.
const REST: Option<Limits> = Some(Limits { floor: 5.0, ceiling: 50.0 });

const ALL: [Series; 11] = [
    series("driver, resident", "KiB", MEMORY, |sample| sample.driver.resident as f64),
    series("driver, of it anonymous", "KiB", MEMORY, |sample| sample.driver.anonymous as f64),
    series("driver, descriptors", "", COUNTS, |sample| sample.driver.descriptors as f64),
    series("driver, threads", "", COUNTS, |sample| sample.driver.threads as f64),
    series("mounter, resident", "KiB", MEMORY, |sample| sample.mounter.resident as f64),
    series("mounter, of it anonymous", "KiB", MEMORY, |sample| sample.mounter.anonymous as f64),
    series("mounter, descriptors", "", COUNTS, |sample| sample.mounter.descriptors as f64),
    series("mounter, threads", "", COUNTS, |sample| sample.mounter.threads as f64),
    series("mounts", "", MOUNTS, |sample| sample.mounts as f64),
    series("processor time a call", "us", WORK, |sample| sample.processor_a_call * 1e6),
    series("processor time at rest", "ms/s", REST, |sample| sample.processor_at_rest * 1e3),
];

const fn series(
    name: &'static str,
    unit: &'static str,
    limits: Option<Limits>,
    value: fn(&Sample) -> f64,
) -> Series {
    Series { name, unit, value, limits }
}
