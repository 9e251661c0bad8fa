//! The soak itself: wave after wave of pods that come and go, and a sample at rest after each.
//!
//! A sample says something only beside others that were taken in the same state. So each wave ends like the others:
//! kubelet's threads come down to a fixed number of volumes and stop, nothing changes in the stores any more, every
//! volume and every Secret is brought up to date and compared, and then nobody calls for longer than idle workers of
//! the driver stay. Only then is looked at what it holds.

use std::collections::BTreeMap;
use std::thread;
use std::time::{Duration, Instant};

use crate::lane::Lane;
use crate::mounted::{Ended, Mounted};
use crate::report::Progress;
use crate::secrets;
use crate::series::Sample;
use crate::stage::{ALL_ARE_DUE, Stage};
use crate::tide::{AT_REST, LANES, Tide};
use crate::weather;
use kit::random::Random;
use kit::world::http_get;

/// The waves, and what was seen between them.
pub struct Waves<'a> {
    stage: &'a Stage,
    lanes: Vec<Lane>,
    random: Random,
    progress: Progress,
    pub samples: Vec<Sample>,
}

impl<'a> Waves<'a> {
    pub fn new(stage: &'a Stage, random: &mut Random) -> Waves<'a> {
        let lanes = (0..LANES).map(|number| Lane::new(number, random.fork())).collect();
        Waves { stage, lanes, random: random.fork(), progress: Progress::start(), samples: Vec::new() }
    }

    /// As many waves as fit into that time, unless there is a fault before.
    pub fn run(&mut self, time: Duration) {
        let begun = Instant::now();
        self.warm_up((time / WARM_UP_PART).min(LONGEST_WARM_UP));
        let storm = (time / STORM_PART).clamp(SHORTEST_STORM, LONGEST_STORM);
        while begun.elapsed() + storm + ALL_ARE_DUE + SETTLING < time {
            if self.wave(storm).is_err() || self.stage.ledger.is_stopped() {
                return;
            }
        }
    }

    /// All pods end. Those of a thread that found a fault may be in any state, and stay as they are.
    pub fn end(mut self) -> Vec<Sample> {
        if self.stage.ledger.is_stopped() {
            return self.samples;
        }
        let _fault_is_noted = self.gather(0);
        self.samples
    }

    /// Brings heaps and pools to the size that they keep, by more calls at a time than come later.
    fn warm_up(&mut self, time: Duration) {
        let begun = Instant::now();
        while begun.elapsed() < time && !self.stage.ledger.is_stopped() {
            self.storm(&Tide::flood(LONGEST_STORM.min(time)));
        }
    }

    fn wave(&mut self, length: Duration) -> Result<(), Ended> {
        let (begun, calls) = (self.processor_time(), self.stage.ledger.calls());
        let tide = Tide::begin(length, &mut self.random);
        self.storm(&tide);
        if self.stage.ledger.is_stopped() {
            return Err(Ended);
        }
        self.gather(AT_REST)?;
        let used = self.processor_time().saturating_sub(begun);
        let calls = self.stage.ledger.calls() - calls;
        self.progress.wait(self.stage, ALL_ARE_DUE);
        self.come_up_to_date()?;
        let (begun, since) = (self.processor_time(), Instant::now());
        self.progress.wait(self.stage, SETTLING);
        let at_rest =
            self.processor_time().saturating_sub(begun).as_secs_f64() / since.elapsed().as_secs_f64();
        self.sample(used.as_secs_f64() / calls as f64, at_rest)
    }

    fn storm(&mut self, tide: &Tide) {
        let Waves { stage, lanes, random, progress, .. } = self;
        thread::scope(|scope| {
            let stage = *stage;
            let (changes, restarts) = (random.fork(), random.fork());
            scope.spawn(move || weather::changes(stage, changes, tide.end()));
            scope.spawn(move || weather::restarts(stage, restarts, tide.end()));
            for lane in lanes {
                scope.spawn(move || lane.storm(stage, tide));
            }
            progress.wait(stage, tide.end().saturating_duration_since(Instant::now()));
        });
    }

    fn gather(&mut self, count: usize) -> Result<(), Ended> {
        let stage = self.stage;
        thread::scope(|scope| {
            let gathering = |lane: &mut Lane| lane.gather(stage, count);
            let lanes: Vec<_> =
                self.lanes.iter_mut().map(|lane| scope.spawn(move || gathering(lane))).collect();
            lanes.into_iter().try_for_each(|lane| lane.join().expect("a lane says what it finds"))
        })
    }

    /// Every volume and every Secret shows what the store holds.
    fn come_up_to_date(&mut self) -> Result<(), Ended> {
        let stage = self.stage;
        for pod in self.lanes.iter_mut().flat_map(|lane| &mut lane.pods) {
            pod.come_up_to_date(stage)?;
        }
        let classes: BTreeMap<&str, _> =
            self.pods().map(|pod| (pod.class.name.as_str(), &pod.class)).collect();
        for class in classes.values() {
            secrets::is_up_to_date(stage, class)?;
        }
        secrets::forget_events(stage)?;
        // As Prometheus does.
        match http_get(&stage.metrics, "/metrics") {
            (200, _) => Ok(()),
            (code, page) => {
                stage.ledger.fault(format!("the metrics page: {code} {page}"));
                Err(Ended)
            }
        }
    }

    fn sample(&mut self, processor_a_call: f64, processor_at_rest: f64) -> Result<(), Ended> {
        let stage = self.stage;
        let (Some(driver), Some(mounter)) = (stage.driver.holding(), stage.mounter.holding()) else {
            stage.ledger.fault("the driver or its mounter has ended");
            return Err(Ended);
        };
        let (mounts, pods) = (stage.mirror.world.mounts().len(), self.pods().count());
        if mounts != pods {
            stage.ledger.fault(format!("{mounts} mounts, where {pods} volumes are live"));
            return Err(Ended);
        }
        let at = self.progress.passed();
        let mounts = mounts as u64;
        let sample = Sample { at, driver, mounter, mounts, processor_a_call, processor_at_rest };
        self.progress.say(&format!("sample {}: {sample}", self.samples.len() + 1));
        self.samples.push(sample);
        Ok(())
    }

    fn pods(&self) -> impl Iterator<Item = &Mounted> {
        self.lanes.iter().flat_map(|lane| &lane.pods)
    }

    fn processor_time(&self) -> Duration {
        self.stage.driver.processor_time() + self.stage.mounter.processor_time()
    }
}

/// Parts of the whole time that go to warm up, within a limit.
const WARM_UP_PART: u32 = 3;
const LONGEST_WARM_UP: Duration = Duration::from_secs(120);
/// Parts of the whole time that a storm takes, within limits: enough waves for a verdict, and storms that are worth it.
const STORM_PART: u32 = 60;
const SHORTEST_STORM: Duration = Duration::from_secs(5);
const LONGEST_STORM: Duration = Duration::from_secs(20);
/// Longer than an idle worker of the driver stays.
const SETTLING: Duration = Duration::from_secs(11);
