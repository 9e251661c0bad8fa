//! Kubelet: threads that each publish a pod's volume, call again and again about it, take it down, and begin anew.
//!
//! A call that fails because the driver was killed is made again when the driver is back, as kubelet does. One that
//! fails although nobody killed the driver is a fault.

use std::sync::PoisonError;
use std::time::{Duration, Instant};

use rpc::status::Status;

use crate::board::{Board, Call, Event, Slot, Tally, locked};
use crate::stage::Stage;
use crash::volume;
use kit::kubelet::Kubelet;
use kit::random::Random;
use kit::world::Pod;

/// One of kubelet's threads.
pub struct PodWorker<'a> {
    pub stage: &'a Stage,
    pub board: &'a Board,
    /// Number of the slot, and of the class of its pods.
    pub place: usize,
    pub random: Random,
}

/// The scene ends: somebody has found a fault, or all is done.
pub struct Ended;

impl PodWorker<'_> {
    /// One pod after another until the scene ends. The last pod's volume stays published.
    pub fn run(mut self) {
        for number in 1.. {
            if self.pod(number).is_err() {
                return;
            }
        }
    }

    fn pod(&mut self, number: u64) -> Result<(), Ended> {
        let pod = self.stage.pod(self.place, number);
        *locked(&self.slot().pod) = Some(pod.clone());
        if self.publish(&pod)? {
            *self.slot().published.write().unwrap_or_else(PoisonError::into_inner) = Some(pod.clone());
            for _ in 0..self.random.below(MOST_REFRESHES) {
                self.go_on()?;
                self.refresh(&pod)?;
            }
            self.go_on()?;
            // Readers end their look first.
            *self.slot().published.write().unwrap_or_else(PoisonError::into_inner) = None;
        }
        self.unpublish(&pod)?;
        self.stage.delete_pod(&pod).map_err(|left| self.fault(&pod, "after its unpublish", &left))?;
        *locked(&self.slot().pod) = None;
        Ok(())
    }

    /// Publishes until it succeeds; false when the pod was deleted before that.
    fn publish(&mut self, pod: &Pod) -> Result<bool, Ended> {
        loop {
            self.go_on()?;
            if self.call(Event::Publish, pod, |kubelet| kubelet.publish_within(pod, TIMEOUT))? {
                Tally::add(&self.board.tally.publishes);
                return match pod.mount_count() {
                    1 => Ok(true),
                    count => {
                        Err(self.fault(pod, "after its publish", &format!("{count} mounts on one another")))
                    }
                };
            }
            if self.random.once_in(4) {
                Tally::add(&self.board.tally.given_up);
                return Ok(false);
            }
        }
    }

    /// Calls again about a live volume, until it succeeds or the scene ends.
    fn refresh(&mut self, pod: &Pod) -> Result<(), Ended> {
        let before = pod.generation();
        while !self.call(Event::Refresh, pod, |kubelet| kubelet.publish_within(pod, TIMEOUT))? {
            self.go_on()?;
        }
        Tally::add(&self.board.tally.refreshes);
        match volume::leftovers(pod) {
            Ok(left) if left.is_empty() => {}
            Ok(left) => {
                return Err(self.fault(pod, "after a refresh", &format!("leftovers in the root: {left:?}")));
            }
            Err(why) => return Err(self.fault(pod, "after a refresh", &why)),
        }
        if pod.generation() != before {
            Tally::add(&self.board.tally.rotations);
        }
        Ok(())
    }

    /// Takes the volume down: there is no way back, and no end of the scene before it is done.
    fn unpublish(&mut self, pod: &Pod) -> Result<(), Ended> {
        while !self.call(Event::Unpublish, pod, |kubelet| kubelet.unpublish(pod))? {}
        Tally::add(&self.board.tally.unpublishes);
        Ok(())
    }

    /// One call; false when the driver was killed under it.
    fn call(
        &self,
        kind: Event,
        pod: &Pod,
        run: impl Fn(&Kubelet) -> Result<(), Status>,
    ) -> Result<bool, Ended> {
        let life = self.board.life().ok_or(Ended)?;
        let before = std::fs::read_link(pod.target.join("..data")).ok();
        *locked(&self.slot().call) = Some(Call { kind, pod: pod.clone(), begun: Instant::now(), before });
        self.board.happens(kind);
        match run(&self.stage.kubelet()) {
            Ok(()) => {
                *locked(&self.slot().call) = None;
                Ok(true)
            }
            Err(status) => {
                if self.board.is_alive(life) {
                    return Err(self.fault(pod, &format!("{kind:?} failed"), &status.to_string()));
                }
                Tally::add(&self.board.tally.unanswered);
                self.board.wait_for_end(life);
                self.check_open_is_whole(pod)?;
                Ok(false)
            }
        }
    }

    /// Whatever kubelet heard: a root that is open has everything in it.
    fn check_open_is_whole(&self, pod: &Pod) -> Result<(), Ended> {
        if !volume::is_mounted(&pod.target) || volume::root_mode(&pod.target) != Some(0o755) {
            return Ok(());
        }
        match volume::is_whole(pod) {
            // A driver that was started meanwhile works on no volume before kubelet calls.
            Err(fault) => Err(self.fault(pod, "open, and not whole after the driver's end", &fault)),
            Ok(()) => Ok(()),
        }
    }

    fn slot(&self) -> &Slot {
        &self.board.slots[self.place]
    }

    fn go_on(&self) -> Result<(), Ended> {
        if self.board.is_stopped() { Err(Ended) } else { Ok(()) }
    }

    fn fault(&self, pod: &Pod, when: &str, what: &str) -> Ended {
        self.board.fault(format!("{}: {when}: {what}", pod.name));
        Ended
    }
}

const MOST_REFRESHES: u64 = 8;
/// Far more than any call takes whose driver lives.
const TIMEOUT: Duration = Duration::from_secs(20);
