//! One of kubelet's threads, with the pods that it looks after.

use std::thread;
use std::time::Duration;

use crate::chance::{between, place};
use crate::mounted::{Ended, Mounted};
use crate::stage::Stage;
use crate::tide::Tide;
use kit::random::Random;

/// The thread.
pub struct Lane {
    number: usize,
    random: Random,
    pub pods: Vec<Mounted>,
    made: u64,
}

impl Lane {
    pub fn new(number: usize, random: Random) -> Lane {
        Lane { number, random, pods: Vec::new(), made: 0 }
    }

    /// Pods come and go with the tide, and are called about in between. It ends early where there is a fault.
    pub fn storm(&mut self, stage: &Stage, tide: &Tide) {
        while let Some(wanted) = tide.now() {
            if stage.ledger.is_stopped() || self.step(stage, wanted).is_err() {
                return;
            }
            thread::sleep(between(&mut self.random, Duration::ZERO, tide.pause));
        }
    }

    /// Publishes or unpublishes until there are exactly so many pods.
    pub fn gather(&mut self, stage: &Stage, count: usize) -> Result<(), Ended> {
        while self.pods.len() < count {
            self.add(stage)?;
        }
        while self.pods.len() > count {
            self.remove(stage)?;
        }
        Ok(())
    }

    fn step(&mut self, stage: &Stage, wanted: usize) -> Result<(), Ended> {
        if self.pods.len() < wanted && self.random.once_in(2) {
            return self.add(stage);
        }
        if self.pods.is_empty() {
            return Ok(());
        }
        // Some end before their time.
        if (self.pods.len() > wanted && self.random.once_in(2)) || self.random.once_in(EARLY_ONCE_IN) {
            return self.remove(stage);
        }
        let chosen = place(&mut self.random, self.pods.len());
        if self.random.once_in(QUESTION_ONCE_IN) {
            return self.pods[chosen].ask(stage);
        }
        self.pods[chosen].refresh(stage)
    }

    /// A new pod, which kubelet tries to start until it is deleted.
    fn add(&mut self, stage: &Stage) -> Result<(), Ended> {
        self.made += 1;
        let name = format!("pod-{}-{}", self.number, self.made);
        let mut pod = Mounted::new(stage, &name, &mut self.random);
        while !pod.publish(stage)? {
            if self.random.once_in(4) {
                stage.ledger.given_up.add();
                return pod.end(stage);
            }
            thread::sleep(RETRY);
        }
        self.pods.push(pod);
        Ok(())
    }

    fn remove(&mut self, stage: &Stage) -> Result<(), Ended> {
        let chosen = place(&mut self.random, self.pods.len());
        self.pods.swap_remove(chosen).end(stage)
    }
}

/// Kubelet's own grows from half a second on.
const RETRY: Duration = Duration::from_millis(300);
const EARLY_ONCE_IN: u64 = 8;
const QUESTION_ONCE_IN: u64 = 8;
