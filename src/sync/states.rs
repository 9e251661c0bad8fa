//! Which Secrets this node keeps, from which volumes, and what is known of each. Pure: no clock, no I/O.
//!
//! Several volumes may feed it: those of the pods that use one class, or classes that name the
//! same Secret. The one whose content changed last speaks for all. A volume that can feed it no longer is remembered
//! until that has been dealt with: the Secret may have its content.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use kube::event::PodRef;
use kube::types::{ObjectKey, OwnerReference};
use volume::target::TargetPath;

use super::plan::LastWritten;
use super::quarrel::{FIRST_PAUSE, Quarrel};
use super::secret_object::SecretObject;

/// A volume that Secrets are made from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub target: TargetPath,
    /// Whose it is.
    pub pod: PodRef,
    /// Its class.
    pub class: ObjectKey,
    /// Its class's provider.
    pub provider: String,
    /// The Secrets that its class asks for, by name.
    pub objects: BTreeMap<String, SecretObject>,
    /// Its pod status, which owns the Secrets of a pod that nobody owns.
    pub pod_status: OwnerReference,
    /// When its content changed last.
    pub changed: SystemTime,
}

/// What is known about the content of a volume that is put.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Freshness {
    /// It has just been written.
    New,
    /// It is as it was.
    Same,
    /// It may have changed: a provider wrote it without saying so.
    Unsure,
    /// An earlier process wrote it, and may have died before it wrote the Secrets.
    Inherited,
}

/// The Secrets of this node.
#[derive(Debug, Default)]
pub struct SecretStates {
    sources: HashMap<String, Arc<Source>>,
    states: BTreeMap<ObjectKey, SecretState>,
}

#[derive(Debug, Default)]
struct SecretState {
    /// Targets of its sources.
    targets: BTreeSet<String>,
    newer: Newer,
    /// Counts what happened to it, so that work which began before does not settle it.
    generation: u64,
    last_written: Option<LastWritten>,
    /// What its sources held when it was last looked at.
    last_digests: BTreeMap<String, u64>,
    /// Class and pod's uid of each volume that has left, and when the first one did.
    departed: BTreeSet<(String, String)>,
    departed_at: Option<Instant>,
    /// Whether an owner has left the Secret.
    has_lost_owner: bool,
    /// Whether the Secret has had its content from here.
    feeds: bool,
    /// Since when it is known that the Secret waits for somebody's turn.
    waits_since: Option<Instant>,
    /// The classes of which the pods' owners have been told that they meet in this Secret.
    notified: BTreeSet<String>,
    /// Who deletes it, if somebody does: how often it was created.
    creations: Quarrel,
    /// Who changes it back, if somebody does: how often a driver put it right.
    repairs: Quarrel,
    /// Whether others have changed it since it was last as it should be.
    is_edited: bool,
    /// How often it had been put right when that was last told.
    notified_of_repairs: u32,
}

/// Whether this node has something newer for a Secret than the Secret itself.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Newer {
    /// It has nothing.
    #[default]
    No,
    /// It has, if its content differs from what was last seen of it.
    IfDifferent,
    /// It has, if the Secret was last written before.
    IfOlder(SystemTime),
    /// It has.
    Yes,
}

/// The state of a Secret as a worker needs it.
#[derive(Debug)]
pub struct View {
    /// Its volumes, the one whose content changed last first.
    pub sources: Vec<Arc<Source>>,
    /// Whether there is something newer here.
    pub newer: Newer,
    /// What is known of the Secret.
    pub last_written: Option<LastWritten>,
    /// What the volumes held when they were last looked at.
    pub last_digests: BTreeMap<String, u64>,
    /// Class and pod's uid of each volume that has left since.
    pub departed: BTreeSet<(String, String)>,
    /// Whether an owner has left the Secret since.
    pub has_lost_owner: bool,
    /// Whether the Secret had its content from here then.
    pub feeds: bool,
    /// To be handed back to [`SecretStates::settle`].
    pub generation: u64,
}

/// How a Secret was left.
#[derive(Debug, Default)]
pub struct Settled {
    /// What it holds, as far as it is known.
    pub last_written: Option<LastWritten>,
    /// What its volumes held.
    pub last_digests: BTreeMap<String, u64>,
    /// Whether it has its content from here.
    pub feeds: bool,
    /// Whether all that others changed is put right.
    pub is_right: bool,
}

/// Which Secrets a volume that came or went concerns.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// To be looked at.
    pub due: Vec<ObjectKey>,
    /// Wanted by no volume of this node any longer, and kept until [`SecretStates::end`].
    pub forsaken: Vec<ObjectKey>,
}

impl SecretStates {
    /// Puts a volume, new or again.
    pub fn upsert(&mut self, mut source: Source, freshness: Freshness, now: Instant) -> Moved {
        let target = source.target.as_str().to_owned();
        let before = self.sources.get(&target).cloned();
        if let Some(before) = before.as_ref().filter(|_| freshness == Freshness::Same) {
            source.changed = before.changed;
        }
        let source = Arc::new(source);
        self.sources.insert(target.clone(), Arc::clone(&source));
        let mut moved = Moved::default();
        for object in source.objects.values() {
            let former = before.as_ref().and_then(|before| before.object(&object.name));
            let newer = match freshness {
                _ if former.is_some_and(|former| former != object) => Newer::Yes,
                Freshness::New => Newer::Yes,
                Freshness::Unsure => Newer::IfDifferent,
                Freshness::Inherited => Newer::IfOlder(source.changed),
                Freshness::Same if former.is_none() => Newer::Yes,
                Freshness::Same => Newer::No,
            };
            let is_other_owner = before.as_ref().is_none_or(|before| before.pod_status != source.pod_status);
            let key = source.key(object);
            let state = self.states.entry(key.clone()).or_default();
            state.targets.insert(target.clone());
            if newer != Newer::No || is_other_owner {
                state.generation += 1;
                state.newer = state.newer.or(newer);
                moved.due.push(key);
            }
        }
        if let Some(before) = before {
            self.release(&before, |name| source.object(name).is_none(), now, &mut moved);
        }
        moved
    }

    /// Removes a volume. Whether the Secrets that no other volume feeds go from the cluster is their owners' affair.
    pub fn remove(&mut self, target: &str, now: Instant) -> Moved {
        let mut moved = Moved::default();
        if let Some(source) = self.sources.remove(target) {
            self.release(&source, |_| true, now, &mut moved);
        }
        moved
    }

    /// Drops the state of a Secret that no volume of this node feeds; false when one does, or when there is none.
    pub fn end(&mut self, key: &ObjectKey) -> bool {
        let is_forsaken = self.states.get(key).is_some_and(|state| state.targets.is_empty());
        is_forsaken && self.states.remove(key).is_some()
    }

    /// The state of that Secret.
    pub fn view(&self, key: &ObjectKey) -> Option<View> {
        let state = self.states.get(key)?;
        let mut sources: Vec<_> =
            state.targets.iter().filter_map(|target| self.sources.get(target)).cloned().collect();
        sources.sort_by(|one, other| {
            other.changed.cmp(&one.changed).then(one.target.as_str().cmp(other.target.as_str()))
        });
        Some(View {
            sources,
            newer: state.newer,
            last_written: state.last_written.clone(),
            last_digests: state.last_digests.clone(),
            departed: state.departed.clone(),
            has_lost_owner: state.has_lost_owner,
            feeds: state.feeds,
            generation: state.generation,
        })
    }

    /// The Secret was compared with what its volumes held, and is as it should be.
    pub fn settle(&mut self, key: &ObjectKey, generation: u64, settled: Settled, now: Instant) {
        if let Some(state) = self.states.get_mut(key) {
            if std::mem::take(&mut state.is_edited) && settled.is_right {
                state.repairs.note(now);
            }
            state.last_written = settled.last_written;
            state.last_digests = settled.last_digests;
            state.feeds = settled.feeds;
            state.waits_since = None;
            if state.generation == generation {
                state.newer = Newer::No;
                state.departed.clear();
                state.departed_at = None;
                state.has_lost_owner = false;
            }
        }
    }

    /// An owner has left the Secret.
    pub fn note_lost_owner(&mut self, key: &ObjectKey) {
        if let Some(state) = self.states.get_mut(key) {
            state.generation += 1;
            state.has_lost_owner = true;
        }
    }

    /// How much of `turn` is left, counted from the first time that this is asked of a Secret that is not settled.
    pub fn wait_for_turn(&mut self, key: &ObjectKey, turn: Duration, now: Instant) -> Duration {
        self.states.get_mut(key).map_or(Duration::ZERO, |state| {
            let since = *state.waits_since.get_or_insert(now);
            turn.saturating_sub(now.saturating_duration_since(since))
        })
    }

    /// The same for what others changed: it waits the longer, the more often they do.
    pub fn wait_to_put_right(&mut self, key: &ObjectKey, turn: Duration, now: Instant) -> Duration {
        let Some(state) = self.states.get_mut(key) else { return Duration::ZERO };
        state.is_edited = true;
        let pause = state.repairs.pause(now);
        self.wait_for_turn(key, turn + pause, now)
    }

    /// Another node's driver put it right: so that all of them wait for as long before the next time.
    pub fn note_put_right(&mut self, key: &ObjectKey, now: Instant) {
        if let Some(state) = self.states.get_mut(key) {
            state.repairs.note(now);
            if std::mem::take(&mut state.is_edited) {
                state.waits_since = None;
            }
        }
    }

    /// True when the Secret has been put right so often that its owner has to know, and more often than when this was
    /// last asked.
    pub fn note_quarrel(&mut self, key: &ObjectKey, now: Instant) -> bool {
        self.states.get_mut(key).is_some_and(|state| {
            let times = state.repairs.times(now);
            let is_news = times >= WORTH_TELLING && state.notified_of_repairs != times;
            state.notified_of_repairs = times;
            is_news
        })
    }

    /// For how long a volume has been gone from the Secret, if that has not been dealt with.
    pub fn departed_for(&self, key: &ObjectKey, now: Instant) -> Option<Duration> {
        let at = self.states.get(key)?.departed_at?;
        Some(now.saturating_duration_since(at))
    }

    /// Notes which classes meet in the Secret now, and whether it has no other owners. True when that is more than
    /// anybody was told since it last had none.
    pub fn note_classes(&mut self, key: &ObjectKey, classes: BTreeSet<String>, is_alone: bool) -> bool {
        let Some(state) = self.states.get_mut(key) else { return false };
        if classes.len() < 2 {
            if is_alone {
                state.notified.clear();
            }
            return false;
        }
        let is_news = !classes.is_subset(&state.notified) && state.notified.len() < MOST_CLASSES;
        if is_news {
            state.notified.extend(classes);
        }
        is_news
    }

    /// True when the Secret is known at exactly that uid and version.
    pub fn knows(&self, key: &ObjectKey, uid: &str, version: &str) -> bool {
        let last_written = self.states.get(key).and_then(|state| state.last_written.as_ref());
        last_written.is_some_and(|last_written| last_written.at.0 == uid && last_written.at.1 == version)
    }

    /// The Secret was created.
    pub fn note_created(&mut self, key: &ObjectKey, now: Instant) {
        if let Some(state) = self.states.get_mut(key) {
            state.creations.note(now);
        }
    }

    /// How long to wait before a Secret that has gone is created again. It often goes together with the pods that need
    /// it: their end is given time to arrive. Somebody who deletes it time and again is not quarrelled with.
    pub fn pause_before_recreation(&self, key: &ObjectKey, now: Instant) -> Duration {
        self.states.get(key).map_or(FIRST_PAUSE, |state| state.creations.pause(now).max(FIRST_PAUSE))
    }

    /// The keys of all Secrets whose volumes `is_it` picks.
    pub fn keys(&self, is_it: impl Fn(&Source) -> bool) -> Vec<ObjectKey> {
        let picks = |state: &SecretState| {
            state.targets.iter().filter_map(|t| self.sources.get(t)).any(|source| is_it(source))
        };
        self.states.iter().filter(|(_, state)| picks(state)).map(|(key, _)| key.clone()).collect()
    }

    /// True when a Secret of that namespace is known.
    pub fn has_namespace(&self, namespace: &str) -> bool {
        let first = ObjectKey::new(namespace, "");
        self.states.range(first..).next().is_some_and(|(key, _)| key.namespace == namespace)
    }

    /// True when that volume has been put.
    pub fn has(&self, target: &str) -> bool {
        self.sources.contains_key(target)
    }

    fn release(&mut self, source: &Source, lets_go: impl Fn(&str) -> bool, now: Instant, moved: &mut Moved) {
        for object in source.objects.values().filter(|object| lets_go(&object.name)) {
            let key = source.key(object);
            if let Some(state) = self.states.get_mut(&key)
                && state.targets.remove(source.target.as_str())
            {
                state.generation += 1;
                state.departed.insert((source.class.name.clone(), source.pod.uid.clone()));
                state.departed_at.get_or_insert(now);
                let whither = if state.targets.is_empty() { &mut moved.forsaken } else { &mut moved.due };
                whither.push(key);
            }
        }
    }
}

impl Source {
    /// The Secret of that name that the class asks for.
    pub fn object(&self, name: &str) -> Option<&SecretObject> {
        self.objects.get(name)
    }

    fn key(&self, object: &SecretObject) -> ObjectKey {
        ObjectKey::new(&self.pod.namespace, &object.name)
    }
}

impl Newer {
    /// The stronger of both.
    fn or(self, other: Newer) -> Newer {
        match (self, other) {
            (Newer::Yes, _) | (_, Newer::Yes) => Newer::Yes,
            (Newer::IfOlder(one), Newer::IfOlder(other)) => Newer::IfOlder(one.max(other)),
            (Newer::No, other) => other,
            (one, Newer::No) => one,
            // Somebody wrote it in this process' time: then the clocks need not be asked.
            (Newer::IfDifferent, Newer::IfOlder(_)) | (Newer::IfOlder(_), Newer::IfDifferent) => Newer::Yes,
            (Newer::IfDifferent, Newer::IfDifferent) => Newer::IfDifferent,
        }
    }
}

/// Classes that meet in one Secret and are told of: more are somebody's game with what the Secret says of itself.
const MOST_CLASSES: usize = 8;
/// Once or twice is somebody who edits by hand; what goes on is a program.
const WORTH_TELLING: u32 = 3;

#[cfg(test)]
mod tests;
