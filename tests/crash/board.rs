//! What kubelet's threads, the readers, the provider and the one who kills know of each other.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError, RwLock};
use std::time::{Duration, Instant};

use kit::world::Pod;

/// Shared by all threads of a scene.
#[derive(Default)]
pub struct Board {
    /// One for each of kubelet's threads.
    pub slots: Vec<Slot>,
    pub tally: Tally,
    driver: Mutex<Life>,
    events: Mutex<BTreeMap<Event, u64>>,
    news: Condvar,
    faults: Mutex<Vec<String>>,
    is_stopped: AtomicBool,
}

/// The place of one pod after another.
#[derive(Default)]
pub struct Slot {
    /// The pod whose volume is published: from kubelet's success until its unpublish begins. Readers hold it while
    /// they look, so kubelet's unpublish begins when they have ended their look.
    pub published: RwLock<Option<Pod>>,
    /// The call that kubelet makes, or made last without an answer.
    pub call: Mutex<Option<Call>>,
    /// The pod that is there, from before kubelet's first call until nothing is left of it.
    pub pod: Mutex<Option<Pod>>,
}

/// A call of kubelet's.
#[derive(Clone)]
pub struct Call {
    pub kind: Event,
    pub pod: Pod,
    pub begun: Instant,
    /// Which generation was live when it began.
    pub before: Option<PathBuf>,
}

/// What happens in a scene.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Event {
    Publish,
    Refresh,
    Unpublish,
    ProviderCalled,
    ProviderAnswers,
}

/// What was done.
#[derive(Default)]
pub struct Tally {
    pub publishes: AtomicU64,
    pub refreshes: AtomicU64,
    pub rotations: AtomicU64,
    pub unpublishes: AtomicU64,
    pub unanswered: AtomicU64,
    pub given_up: AtomicU64,
    pub syncs: AtomicU64,
    pub looks: AtomicU64,
    pub files: AtomicU64,
    pub replaced: AtomicU64,
}

/// The driver's lives are numbered.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Life {
    number: u64,
    is_up: bool,
    has_ended: bool,
}

impl Board {
    /// A board for so many of kubelet's threads.
    pub fn new(slots: usize) -> Board {
        Board { slots: (0..slots).map(|_| Slot::default()).collect(), ..Board::default() }
    }

    /// Something that must not be. The scene ends.
    pub fn fault(&self, fault: impl Display) {
        locked(&self.faults).push(fault.to_string());
        self.stop();
    }

    /// What must not have been.
    pub fn faults(&self) -> Vec<String> {
        locked(&self.faults).clone()
    }

    /// Everybody comes to an end.
    pub fn stop(&self) {
        self.is_stopped.store(true, Ordering::SeqCst);
        let _events = locked(&self.events);
        self.news.notify_all();
    }

    pub fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }

    /// Something happens right now.
    pub fn happens(&self, event: Event) {
        *locked(&self.events).entry(event).or_default() += 1;
        self.news.notify_all();
    }

    /// Waits until that happens once more; false when it does not.
    pub fn wait_for(&self, event: Event, patience: Duration) -> bool {
        let events = locked(&self.events);
        let count = |events: &BTreeMap<Event, u64>| events.get(&event).copied().unwrap_or_default();
        let before = count(&events);
        let waits = |events: &mut BTreeMap<Event, u64>| count(events) == before && !self.is_stopped();
        let (events, _) =
            self.news.wait_timeout_while(events, patience, waits).unwrap_or_else(PoisonError::into_inner);
        count(&events) > before
    }

    /// The driver serves: its next life begins.
    pub fn is_up(&self) {
        let mut life = locked(&self.driver);
        *life = Life { number: life.number + 1, is_up: true, has_ended: false };
        drop(life);
        let _events = locked(&self.events);
        self.news.notify_all();
    }

    /// The driver is about to be killed: from now on calls may fail.
    pub fn is_ending(&self) {
        locked(&self.driver).is_up = false;
    }

    /// The driver is no more: nobody works on a volume.
    pub fn has_ended(&self) {
        locked(&self.driver).has_ended = true;
        let _events = locked(&self.events);
        self.news.notify_all();
    }

    /// Waits until the driver of that life is no more. A call may fail before: a driver whose helper was killed answers
    /// as long as it can.
    pub fn wait_for_end(&self, of: u64) {
        let events = locked(&self.events);
        let waits = |_: &mut BTreeMap<Event, u64>| {
            let life = *locked(&self.driver);
            life.number == of && !life.has_ended && !self.is_stopped()
        };
        drop(self.news.wait_timeout_while(events, kit::PATIENCE, waits));
    }

    /// Waits until the driver serves and returns the number of that life; none when the scene ends.
    pub fn life(&self) -> Option<u64> {
        let until = Instant::now() + kit::PATIENCE;
        loop {
            let events = locked(&self.events);
            let life = *locked(&self.driver);
            if life.is_up {
                return Some(life.number);
            }
            if self.is_stopped() || Instant::now() > until {
                return None;
            }
            drop(self.news.wait_timeout(events, LOOK_AGAIN).unwrap_or_else(PoisonError::into_inner));
        }
    }

    /// True when nobody has killed the driver in that life yet.
    pub fn is_alive(&self, life: u64) -> bool {
        *locked(&self.driver) == Life { number: life, is_up: true, has_ended: false }
    }
}

impl Tally {
    pub fn add(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub fn add_many(counter: &AtomicU64, many: u64) {
        counter.fetch_add(many, Ordering::Relaxed);
    }

    pub fn get(counter: &AtomicU64) -> u64 {
        counter.load(Ordering::Relaxed)
    }
}

/// A thread that failed has said why already.
pub fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

const LOOK_AGAIN: Duration = Duration::from_millis(100);
