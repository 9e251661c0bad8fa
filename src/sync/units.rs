//! Which Secrets this node keeps, from which volumes, and what is known of each. Pure: no clock, no I/O.
//!
//! A unit is one Secret. Several volumes may feed it: those of the pods that use one class, or classes that name the
//! same Secret. The one whose content changed last speaks for all.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::kube::event::PodRef;
use crate::kube::types::{ObjectKey, OwnerReference};
use crate::volume::target::TargetPath;

use super::plan::Held;
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
    /// The Secrets that its class asks for.
    pub objects: Vec<SecretObject>,
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
pub struct Units {
    sources: HashMap<String, Arc<Source>>,
    units: BTreeMap<ObjectKey, Unit>,
}

#[derive(Debug, Default)]
struct Unit {
    /// Targets of its sources.
    targets: BTreeSet<String>,
    newer: Newer,
    /// Counts what happened to it, so that work which began before does not settle it.
    generation: u64,
    held: Option<Held>,
    /// What its sources held when it was last looked at.
    seen: BTreeMap<String, u64>,
    is_failing: bool,
    /// When it was last created, and how often without a long time in between.
    created: Option<(Instant, u32)>,
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

/// A unit as a worker needs it.
#[derive(Debug)]
pub struct View {
    /// Its volumes, the one whose content changed last first.
    pub sources: Vec<Arc<Source>>,
    /// Whether there is something newer here.
    pub newer: Newer,
    /// What is known of the Secret.
    pub held: Option<Held>,
    /// What the volumes held when they were last looked at.
    pub seen: BTreeMap<String, u64>,
    /// To be handed back to [`Units::settle`].
    pub generation: u64,
}

/// What has become of the units.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// To be looked at.
    pub due: Vec<ObjectKey>,
    /// Wanted by no volume of this node any longer.
    pub dropped: Vec<ObjectKey>,
}

impl Units {
    /// Puts a volume, new or again.
    pub fn put(&mut self, mut source: Source, freshness: Freshness) -> Moved {
        let target = source.target.as_str().to_owned();
        let before = self.sources.get(&target).cloned();
        if let Some(before) = before.as_ref().filter(|_| freshness == Freshness::Same) {
            source.changed = before.changed;
        }
        let source = Arc::new(source);
        self.sources.insert(target.clone(), Arc::clone(&source));
        let mut moved = Moved::default();
        for object in &source.objects {
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
            let unit = self.units.entry(key.clone()).or_default();
            unit.targets.insert(target.clone());
            if newer != Newer::No || is_other_owner {
                unit.generation += 1;
                unit.newer = unit.newer.or(newer);
                moved.due.push(key);
            }
        }
        if let Some(before) = before {
            moved.dropped = self.release(&before, |name| source.object(name).is_none());
        }
        moved
    }

    /// Removes a volume. The Secrets that no other volume of this node feeds are dropped from here; whether they go
    /// from the cluster is their owners' affair.
    pub fn remove(&mut self, target: &str) -> Vec<ObjectKey> {
        match self.sources.remove(target) {
            Some(source) => self.release(&source, |_| true),
            None => Vec::new(),
        }
    }

    /// The unit as it is; none when no volume of this node feeds it.
    pub fn view(&self, key: &ObjectKey) -> Option<View> {
        let unit = self.units.get(key)?;
        let mut sources: Vec<_> =
            unit.targets.iter().filter_map(|target| self.sources.get(target)).cloned().collect();
        sources.sort_by(|one, other| {
            other.changed.cmp(&one.changed).then(one.target.as_str().cmp(other.target.as_str()))
        });
        let (held, seen) = (unit.held.clone(), unit.seen.clone());
        Some(View { sources, newer: unit.newer, held, seen, generation: unit.generation })
    }

    /// The Secret was compared with what its volumes held, and is as it should be; `held` is what it holds now.
    pub fn settle(
        &mut self,
        key: &ObjectKey,
        generation: u64,
        held: Option<Held>,
        seen: BTreeMap<String, u64>,
    ) {
        if let Some(unit) = self.units.get_mut(key) {
            unit.held = held;
            unit.seen = seen;
            if unit.generation == generation {
                unit.newer = Newer::No;
            }
        }
    }

    /// True when the Secret is known at exactly that uid and version.
    pub fn knows(&self, key: &ObjectKey, uid: &str, version: &str) -> bool {
        let held = self.units.get(key).and_then(|unit| unit.held.as_ref());
        held.is_some_and(|held| held.at.0 == uid && held.at.1 == version)
    }

    /// Notes whether work on the unit fails. True when that has changed.
    pub fn note_failing(&mut self, key: &ObjectKey, is_failing: bool) -> bool {
        self.units
            .get_mut(key)
            .is_some_and(|unit| std::mem::replace(&mut unit.is_failing, is_failing) != is_failing)
    }

    /// The Secret was created.
    pub fn note_created(&mut self, key: &ObjectKey, now: Instant) {
        if let Some(unit) = self.units.get_mut(key) {
            let times =
                unit.created.filter(|(last, _)| now.duration_since(*last) < QUARREL).map_or(0, |last| last.1);
            unit.created = Some((now, times.saturating_add(1)));
        }
    }

    /// How long to wait before a Secret that has gone is created again. Somebody who deletes it time and again is not
    /// quarrelled with.
    pub fn pause_before_recreation(&self, key: &ObjectKey) -> Duration {
        let times = self.units.get(key).and_then(|unit| unit.created).map_or(0, |(_, times)| times);
        RECREATE_AFTER.saturating_mul(1 << times.saturating_sub(1).min(16)).min(QUARREL / 2)
    }

    /// The keys of all units that `is_it` picks by its volumes.
    pub fn keys(&self, is_it: impl Fn(&Source) -> bool) -> Vec<ObjectKey> {
        let picks =
            |unit: &Unit| unit.targets.iter().filter_map(|t| self.sources.get(t)).any(|source| is_it(source));
        self.units.iter().filter(|(_, unit)| picks(unit)).map(|(key, _)| key.clone()).collect()
    }

    /// True when that volume has been put.
    pub fn has(&self, target: &str) -> bool {
        self.sources.contains_key(target)
    }

    fn release(&mut self, source: &Source, lets_go: impl Fn(&str) -> bool) -> Vec<ObjectKey> {
        let mut dropped = Vec::new();
        for object in source.objects.iter().filter(|object| lets_go(&object.name)) {
            let key = source.key(object);
            if let Some(unit) = self.units.get_mut(&key) {
                unit.targets.remove(source.target.as_str());
                if unit.targets.is_empty() {
                    self.units.remove(&key);
                    dropped.push(key);
                }
            }
        }
        dropped
    }
}

impl Source {
    /// The Secret of that name that the class asks for.
    pub fn object(&self, name: &str) -> Option<&SecretObject> {
        self.objects.iter().find(|object| object.name == name)
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

/// A Secret often goes together with the pods that need it: their end is given time to arrive.
const RECREATE_AFTER: Duration = Duration::from_secs(1);
/// Creations with less than this in between are counted.
const QUARREL: Duration = Duration::from_secs(600);

#[cfg(test)]
mod tests {
    use super::super::secret_object::DataItem;
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn object(name: &str) -> SecretObject {
        SecretObject {
            name: name.into(),
            kind: "Opaque".into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            data: vec![DataItem { object: "foo".into(), key: "user".into() }],
        }
    }

    fn source(pod: &str, secrets: &[&str], changed: u64) -> Source {
        Source {
            target: TargetPath::parse(&format!("/pods/{pod}/mount"), None).unwrap(),
            pod: PodRef { namespace: "team".into(), name: pod.into(), uid: format!("uid-{pod}") },
            class: ObjectKey::new("team", "class"),
            provider: "vault".into(),
            objects: secrets.iter().map(|name| object(name)).collect(),
            pod_status: OwnerReference::default(),
            changed: at(changed),
        }
    }

    fn key(name: &str) -> ObjectKey {
        ObjectKey::new("team", name)
    }

    fn settle(units: &mut Units, name: &str) {
        let generation = units.view(&key(name)).unwrap().generation;
        units.settle(&key(name), generation, Some(Held::default()), BTreeMap::new());
    }

    fn newer(units: &Units, name: &str) -> Newer {
        units.view(&key(name)).unwrap().newer
    }

    #[test]
    fn what_kind_of_put_makes_a_secret_due() {
        let rows = [
            ("new content", Freshness::New, 1, Newer::Yes),
            ("the same content", Freshness::Same, 0, Newer::No),
            ("perhaps other content", Freshness::Unsure, 1, Newer::IfDifferent),
            ("an earlier process' content", Freshness::Inherited, 1, Newer::IfOlder(at(9))),
        ];
        for (name, content, due, expected) in rows {
            let mut units = Units::default();
            assert_eq!(units.put(source("web", &["db"], 5), Freshness::New).due, [key("db")]);
            settle(&mut units, "db");
            let moved = units.put(source("web", &["db"], 9), content);
            assert_eq!(moved.due.len(), due, "{name}");
            assert_eq!(newer(&units, "db"), expected, "{name}");
            assert!(moved.dropped.is_empty(), "{name}");
        }
    }

    #[test]
    fn a_class_that_asks_for_something_else_makes_only_that_due() {
        let mut units = Units::default();
        units.put(source("web", &["kept", "dropped", "altered"], 5), Freshness::New);
        for name in ["kept", "dropped", "altered"] {
            settle(&mut units, name);
        }
        let mut changed = source("web", &["kept", "altered", "added"], 5);
        changed.objects[1].labels.insert("env".into(), "test".into());
        let moved = units.put(changed, Freshness::Same);
        assert_eq!(moved, Moved { due: vec![key("altered"), key("added")], dropped: vec![key("dropped")] });
        assert!(units.view(&key("dropped")).is_none());
    }

    #[test]
    fn the_volume_that_changed_last_speaks_first() {
        let mut units = Units::default();
        units.put(source("old", &["db"], 5), Freshness::New);
        units.put(source("new", &["db"], 7), Freshness::New);
        let first = |units: &Units| units.view(&key("db")).unwrap().sources[0].pod.name.clone();
        assert_eq!(first(&units), "new");
        units.put(source("old", &["db"], 9), Freshness::Same);
        assert_eq!(first(&units), "new", "a refresh that changes nothing makes no news");
        units.put(source("old", &["db"], 9), Freshness::New);
        assert_eq!(first(&units), "old");
        assert_eq!(units.remove("/pods/old/mount"), []);
        assert_eq!(first(&units), "new");
        assert_eq!(units.remove("/pods/new/mount"), [key("db")]);
        assert_eq!(units.remove("/pods/new/mount"), []);
    }

    #[test]
    fn what_happens_during_the_work_is_not_settled_by_it() {
        let mut units = Units::default();
        units.put(source("web", &["db"], 5), Freshness::New);
        let view = units.view(&key("db")).unwrap();
        units.put(source("web", &["db"], 6), Freshness::New);
        units.settle(&key("db"), view.generation, None, BTreeMap::new());
        assert_eq!(newer(&units, "db"), Newer::Yes);
        settle(&mut units, "db");
        assert_eq!(newer(&units, "db"), Newer::No);
    }

    #[test]
    fn a_secret_that_somebody_deletes_time_and_again_comes_back_ever_later() {
        let (mut units, start) = (Units::default(), Instant::now());
        units.put(source("web", &["db"], 5), Freshness::New);
        let pauses: Vec<_> = (0..20)
            .map(|turn| {
                units.note_created(&key("db"), start + Duration::from_secs(turn));
                units.pause_before_recreation(&key("db"))
            })
            .collect();
        assert_eq!(pauses[..3], [RECREATE_AFTER, RECREATE_AFTER * 2, RECREATE_AFTER * 4]);
        assert_eq!(pauses[19], QUARREL / 2);
        units.note_created(&key("db"), start + QUARREL * 2);
        assert_eq!(units.pause_before_recreation(&key("db")), RECREATE_AFTER);
    }

    #[test]
    fn the_stronger_claim_wins() {
        let rows = [
            (Newer::No, Newer::IfDifferent, Newer::IfDifferent),
            (Newer::Yes, Newer::No, Newer::Yes),
            (Newer::IfOlder(at(1)), Newer::IfOlder(at(2)), Newer::IfOlder(at(2))),
            (Newer::IfOlder(at(1)), Newer::Yes, Newer::Yes),
            (Newer::IfDifferent, Newer::IfOlder(at(1)), Newer::Yes),
        ];
        for (one, other, both) in rows {
            assert_eq!(one.or(other), both, "{one:?} {other:?}");
            assert_eq!(other.or(one), both, "{other:?} {one:?}");
        }
    }

    #[test]
    fn a_recreated_pod_status_makes_its_secrets_due_without_new_content() {
        let mut units = Units::default();
        units.put(source("web", &["db"], 5), Freshness::New);
        settle(&mut units, "db");
        let mut other = source("web", &["db"], 5);
        other.pod_status.uid = "again".into();
        assert_eq!(units.put(other, Freshness::Same).due, [key("db")]);
        assert_eq!(newer(&units, "db"), Newer::No);
    }
}
