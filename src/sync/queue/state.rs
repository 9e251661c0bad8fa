//! What waits, in lanes: one for each namespace. Pure: the time is an argument.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::time::{Duration, Instant};

use base::backoff::Backoff;
use kube::types::ObjectKey;

use super::Done;

/// All lanes.
pub struct State {
    lanes: BTreeMap<String, Lane>,
    workers_of_one: usize,
    /// Counts the keys that were handed out to workers.
    turn: u64,
    /// Counts the keys that were handed out to anybody.
    begun: u64,
}

/// Tells the work that begins from now on from what began before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ticket(u64);

/// What is to be done next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Look at this one.
    Due(ObjectKey),
    /// Nothing is due for that time; `None` when that depends on others alone.
    Wait(Option<Duration>),
}

/// The keys of one namespace.
#[derive(Default)]
struct Lane {
    entries: HashMap<String, Entry>,
    /// Those that are due some time and that nobody works on, the longest due first.
    waiting: BTreeSet<(Instant, String)>,
    /// How many of its keys workers have.
    workers: usize,
    /// The turn that it had last, or that was on when it came: who comes anew waits for everybody else's once.
    served: u64,
}

#[derive(Default)]
struct Entry {
    due: Option<Instant>,
    holder: Holder,
    failures: u32,
    /// Its number among all that were handed out, when it was last.
    begun: u64,
    /// The same of the last time that did not fail. One that is new has nobody who asked for it and waits.
    served: u64,
}

/// Who works on a key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Holder {
    #[default]
    Nobody,
    Worker,
    Publish,
}

impl State {
    /// Nothing waits yet.
    pub fn new(workers_of_one: usize) -> State {
        State { lanes: BTreeMap::new(), workers_of_one, turn: 0, begun: 0 }
    }

    /// The key is due at that time, or earlier if it was so already.
    pub fn add(&mut self, key: &ObjectKey, at: Instant) {
        let begun = self.begun;
        self.lane(key).change(&key.name, begun, |entry| {
            entry.due = Some(entry.due.map_or(at, |due| due.min(at)));
        });
    }

    /// The same, for one who wants to know when somebody has worked on the key from now on.
    pub fn ask(&mut self, key: &ObjectKey, at: Instant) -> Ticket {
        self.add(key, at);
        Ticket(self.begun)
    }

    /// True when work on the key that began after it was asked for has ended, and did not fail.
    pub fn is_served(&self, key: &ObjectKey, Ticket(asked): Ticket) -> bool {
        let entry = self.lanes.get(&key.namespace).and_then(|lane| lane.entries.get(&key.name));
        // What is due stays until it is taken, so one that is not there any longer has been.
        entry.is_none_or(|entry| entry.served > asked)
    }

    /// The key is not due any longer.
    pub fn forget(&mut self, key: &ObjectKey) {
        let begun = self.begun;
        self.lane(key).change(&key.name, begun, |entry| {
            entry.due = None;
            entry.failures = 0;
        });
        self.tidy(&key.namespace);
    }

    /// For a worker: of the namespaces that have a key which is due, and fewer workers than their share, the one whose
    /// turn is longest ago; of that, the key that has been due for longest.
    pub fn next(&mut self, now: Instant) -> Next {
        let mut first: Option<(u64, Instant, &String)> = None;
        let mut soonest: Option<Instant> = None;
        for (namespace, lane) in &self.lanes {
            match lane.waiting.first() {
                _ if lane.workers >= self.workers_of_one => {}
                Some((due, _)) if *due <= now => {
                    let candidate = (lane.served, *due, namespace);
                    first = Some(first.map_or(candidate, |first| first.min(candidate)));
                }
                Some((due, _)) => soonest = Some(soonest.map_or(*due, |soonest| soonest.min(*due))),
                None => {}
            }
        }
        let taken = first.map(|(_, _, namespace)| namespace.clone()).and_then(|namespace| {
            let lane = self.lanes.get_mut(&namespace)?;
            let name = lane.waiting.first()?.1.clone();
            self.turn += 1;
            lane.served = self.turn;
            lane.workers += 1;
            self.begun += 1;
            lane.change(&name, self.begun, |entry| entry.hand_out(Holder::Worker, self.begun));
            Some(ObjectKey { namespace, name })
        });
        taken.map_or(Next::Wait(soonest.map(|due| due.saturating_duration_since(now))), Next::Due)
    }

    /// For a publish: that very key, unless somebody works on it.
    pub fn take(&mut self, key: &ObjectKey) -> bool {
        let begun = self.begun + 1;
        let lane = self.lane(key);
        if lane.entries.get(&key.name).is_some_and(|entry| entry.holder != Holder::Nobody) {
            return false;
        }
        lane.change(&key.name, begun - 1, |entry| entry.hand_out(Holder::Publish, begun));
        self.begun = begun;
        true
    }

    /// Nobody works on the key any longer. `below` is chance below a bound.
    pub fn done(
        &mut self,
        key: &ObjectKey,
        how: Done,
        now: Instant,
        below: impl FnOnce(Duration) -> Duration,
    ) {
        let Some(lane) = self.lanes.get_mut(&key.namespace) else { return };
        let Some(holder) = lane.entries.get(&key.name).map(|entry| entry.holder) else { return };
        lane.workers = lane.workers.saturating_sub(usize::from(holder == Holder::Worker));
        lane.change(&key.name, self.begun, |entry| {
            let pause = match how {
                Done::Settled => None,
                Done::Later(time) => Some(time),
                Done::Failed => {
                    let pause = BACKOFF.pause(entry.failures.saturating_add(1));
                    // Up to a quarter longer, so that the nodes of a cluster do not stay in step.
                    Some(pause + below(pause / 4))
                }
            };
            entry.holder = Holder::Nobody;
            if how != Done::Failed {
                entry.served = entry.begun;
            }
            entry.failures = if how == Done::Failed { entry.failures.saturating_add(1) } else { 0 };
            let again = pause.map(|pause| now + pause);
            entry.due = entry.due.into_iter().chain(again).min();
        });
        self.tidy(&key.namespace);
    }

    fn lane(&mut self, key: &ObjectKey) -> &mut Lane {
        let comes = Lane { served: self.turn, ..Lane::default() };
        self.lanes.entry(key.namespace.clone()).or_insert(comes)
    }

    fn tidy(&mut self, namespace: &str) {
        if self.lanes.get(namespace).is_some_and(|lane| lane.entries.is_empty()) {
            self.lanes.remove(namespace);
        }
    }
}

impl Lane {
    /// Changes an entry, new or not, and keeps in step what is derived from it. One of which nothing is left goes.
    /// `begun` counts the keys that were handed out so far.
    fn change(&mut self, name: &str, begun: u64, change: impl FnOnce(&mut Entry)) {
        let comes = || Entry { begun, served: begun, ..Entry::default() };
        let mut entry = self.entries.remove(name).unwrap_or_else(comes);
        if let Some(due) = entry.due {
            self.waiting.remove(&(due, name.to_owned()));
        }
        change(&mut entry);
        match (entry.holder, entry.due) {
            (Holder::Nobody, None) => return,
            (Holder::Nobody, Some(due)) => drop(self.waiting.insert((due, name.to_owned()))),
            (Holder::Worker | Holder::Publish, _) => {}
        }
        self.entries.insert(name.to_owned(), entry);
    }
}

impl Entry {
    fn hand_out(&mut self, to: Holder, begun: u64) {
        (self.due, self.holder, self.begun) = (None, to, begun);
    }
}

const BACKOFF: Backoff = Backoff::new(FIRST_PAUSE, LONGEST_PAUSE);
/// Where the API server is away, the client itself has bridged a few seconds before anything counts as failed.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// A minute with the quarter: nobody is told when a quota has room again, and a pod waits for its variables.
const LONGEST_PAUSE: Duration = Duration::from_secs(48);

#[cfg(test)]
mod tests;
