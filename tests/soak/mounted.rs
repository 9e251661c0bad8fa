//! One pod with its volume: what kubelet asks of the driver for it, and what has to be there after each answer.
//!
//! A first publish may fail while the provider of its class is away, and then nothing may be there. A call about a live
//! volume never fails. After each success the volume is read as strictly as in the crash test: one state, whole, with
//! its modes and its group, and nothing beside it; and that state is the one that was there before, or one that was
//! current while the call was made.

use std::sync::Arc;
use std::time::{Duration, Instant};

use rpc::status::{Code, Status};

use crate::stage::{Class, Stage};
use crash::volume::{self, Seen};
use kit::PATIENCE;
use kit::random::Random;
use kit::world::Pod;

/// The pod.
pub struct Mounted {
    pub class: Arc<Class>,
    pod: Pod,
    /// The same, under the name that its states have: pods of a class have the same secrets.
    view: Pod,
    /// The state that was read last.
    seen: Option<u64>,
}

/// Somebody has found a fault.
pub struct Ended;

impl Mounted {
    /// A new pod. Its volume is not published yet.
    pub fn new(stage: &Stage, name: &str, random: &mut Random) -> Mounted {
        let class = stage.class_for(name, random);
        let pod = stage.pod(name, &class, random);
        let view = Pod { name: class.name.clone(), ..pod.clone() };
        Mounted { class, pod, view, seen: None }
    }

    /// Publishes for the first time; false when that was refused because the provider is away.
    pub fn publish(&mut self, stage: &Stage) -> Result<bool, Ended> {
        let provider = stage.provider(&self.class);
        let (turns, before) = (provider.turns(), self.current(stage));
        match stage.kubelet().publish_within(&self.pod, TIMEOUT) {
            Ok(()) => {
                stage.ledger.publishes.add();
                self.look(stage, before)?;
                match self.pod.mount_count() {
                    1 => Ok(true),
                    count => self.fault(stage, "its publish", format!("{count} mounts on one another")),
                }
            }
            Err(status) if provider.was_away_since(turns) && is_of_absence(&status) => {
                stage.ledger.refusals.add();
                match self.pod.mount_count() {
                    0 => Ok(false),
                    _ => self.fault(stage, "a refused publish", format!("it is mounted, after {status}")),
                }
            }
            Err(status) => self.fault(stage, "its publish", status),
        }
    }

    /// Calls again about a live volume.
    pub fn refresh(&mut self, stage: &Stage) -> Result<(), Ended> {
        let (before, seen) = (self.current(stage), self.seen);
        let called = stage.kubelet().publish_within(&self.pod, TIMEOUT);
        called.or_else(|status| self.fault(stage, "a call about its live volume", status))?;
        stage.ledger.refreshes.add();
        self.look(stage, before)?;
        if self.seen != seen {
            stage.ledger.rotations.add();
        }
        Ok(())
    }

    /// Calls until the volume shows what the store holds: all are due, all providers serve, and nothing changes.
    pub fn come_up_to_date(&mut self, stage: &Stage) -> Result<(), Ended> {
        let until = Instant::now() + PATIENCE;
        loop {
            self.refresh(stage)?;
            if self.seen == Some(self.current(stage)) {
                break;
            }
            if Instant::now() > until {
                return self.fault(stage, "many calls", "its volume is not up to date");
            }
            std::thread::sleep(PAUSE);
        }
        volume::is_at_rest(&self.view).or_else(|fault| self.fault(stage, "coming to rest", fault))
    }

    /// Asks for the state of the volume, as kubelet does for its metrics.
    pub fn ask(&self, stage: &Stage) -> Result<(), Ended> {
        stage.ledger.questions.add();
        match stage.kubelet().stats(&self.pod) {
            Ok(stats) if !stats.usage.is_empty() => Ok(()),
            Ok(_) => self.fault(stage, "a question about its volume", "no usage is told"),
            Err(status) => self.fault(stage, "a question about its volume", status),
        }
    }

    /// The pod ends. An unpublish needs nobody, so it never fails.
    pub fn end(self, stage: &Stage) -> Result<(), Ended> {
        let called = stage.kubelet().unpublish(&self.pod);
        called.or_else(|status| self.fault(stage, "its unpublish", status))?;
        stage.ledger.unpublishes.add();
        stage.delete_pod(&self.pod, &self.class).or_else(|left| self.fault(stage, "its unpublish", left))
    }

    fn look(&mut self, stage: &Stage, before: u64) -> Result<(), Ended> {
        let number = match volume::look(&self.view, self.seen.unwrap_or_default()) {
            Ok(Seen::Whole { number, files }) => {
                stage.ledger.files.add_many(files);
                number
            }
            Ok(Seen::Replaced) => {
                return self.fault(stage, "a call", "its volume changes, although nobody works on it");
            }
            Err(fault) => return self.fault(stage, "a call", fault),
        };
        let now = self.current(stage);
        if self.seen != Some(number) && !(before..=now).contains(&number) {
            let states = format!("state {number}, where {before} to {now} were current");
            return self.fault(stage, "a call", states);
        }
        match volume::leftovers(&self.view) {
            Ok(left) if left.is_empty() => {}
            Ok(left) => return self.fault(stage, "a call", format!("leftovers in the root: {left:?}")),
            Err(fault) => return self.fault(stage, "a call", fault),
        }
        self.seen = Some(number);
        Ok(())
    }

    fn current(&self, stage: &Stage) -> u64 {
        stage.store.number(&self.class.name).expect("a class is there for as long as its pods")
    }

    fn fault<T>(&self, stage: &Stage, after: &str, what: impl std::fmt::Display) -> Result<T, Ended> {
        stage.ledger.fault(format!("{} of {}, after {after}: {what}", self.pod.name, self.class.name));
        Err(Ended)
    }
}

/// How a publish fails for want of a provider: it was not found, it went or gave up its calls while it was asked, or it
/// was waited for in vain.
fn is_of_absence(status: &Status) -> bool {
    match status.code {
        Code::Unknown => status.message.contains("provider not found"),
        Code::Unavailable | Code::Cancelled | Code::DeadlineExceeded => true,
        _ => false,
    }
}

/// Far more than any call takes, with a provider away and all attempts.
const TIMEOUT: Duration = Duration::from_secs(20);
const PAUSE: Duration = Duration::from_millis(100);
