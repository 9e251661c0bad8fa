//! What this process knows of the node's volumes beyond what the volumes themselves show: which are being worked
//! on, and how each one's last refresh went. All of it may be lost in a restart; nothing depends on it.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base::lock::{Mutex, MutexGuard};
use kube::types::{ObjectKey, SecretProviderClass};

use super::content_memory::ContentMemory;
use super::fingerprint::Fingerprint;
use super::pod_status::KnownPodStatus;
use super::refresh_times::{Kept, LastRefresh};

/// The volumes of this node.
#[derive(Default)]
pub struct Volumes {
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Ids and targets of volumes in work.
    busy: HashSet<String>,
    /// By target.
    records: HashMap<String, Record>,
}

/// What is remembered of one live volume.
#[derive(Clone, Default)]
pub struct Record {
    /// Kubelet's name for the volume; empty for one found at start that nobody has asked for yet.
    pub volume_id: String,
    /// The class as it was last seen.
    pub class: Option<Arc<SecretProviderClass>>,
    /// What the provider last answered that the volume holds.
    pub objects: Option<Fingerprint>,
    /// The pod status as the API server has it.
    pub pod_status: Option<KnownPodStatus>,
    /// The last refresh that succeeded.
    pub refreshed: Option<LastRefresh>,
    /// Set while refreshes fail.
    pub failing: Option<Failing>,
    /// Memory of the content that the driver wrote.
    pub memory: ContentMemory,
}

/// A volume that cannot be refreshed: the pod keeps what it has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failing {
    /// Since when.
    pub since: SystemTime,
    /// Why, for people.
    pub why: String,
}

/// Numbers over all live volumes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Summary {
    /// Live volumes.
    pub live: u64,
    /// Those whose last refresh failed.
    pub failing: u64,
    /// Age of the oldest last success.
    pub stalest: Option<Duration>,
}

impl Volumes {
    /// Claims a volume for one call; none when another call has it. Both names are claimed: two ids on one target
    /// exclude each other like two calls for one id.
    pub fn claim(&self, volume_id: &str, target: &str) -> Option<Claim<'_>> {
        let keys = [format!("id {volume_id}"), format!("target {target}")];
        let mut state = self.lock();
        if keys.iter().any(|key| state.busy.contains(key)) {
            return None;
        }
        state.busy.extend(keys.iter().cloned());
        Some(Claim { volumes: self, keys })
    }

    /// What is remembered of a volume.
    pub fn record(&self, target: &str) -> Option<Record> {
        self.lock().records.get(target).cloned()
    }

    /// Remembers a volume.
    pub fn remember(&self, target: &str, record: Record) {
        self.lock().records.insert(target.to_owned(), record);
    }

    /// Forgets a volume that is gone, and answers what was remembered of it.
    pub fn forget(&self, target: &str) -> Option<Record> {
        self.lock().records.remove(target)
    }

    /// True when some volume uses that class.
    pub fn any_uses(&self, class: &ObjectKey) -> bool {
        let uses = |record: &Record| record.class.as_ref().is_some_and(|used| used.key == *class);
        self.lock().records.values().any(uses)
    }

    /// Marks a volume as failing. True when it was not failing before, or failed for another reason: then it is
    /// worth a line in the log. A volume that is gone meanwhile stays forgotten.
    pub fn mark_failing(&self, target: &str, why: &str, now: SystemTime) -> bool {
        let mut state = self.lock();
        let Some(record) = state.records.get_mut(target) else { return true };
        let before = record.failing.as_ref();
        let is_news = before.is_none_or(|failing| failing.why != why);
        let since = before.map_or(now, |failing| failing.since);
        record.failing = Some(Failing { since, why: why.to_owned() });
        is_news
    }

    /// The memory of all content that is charged to the pod of this process, in bytes.
    pub fn memory(&self) -> u64 {
        self.lock().records.values().map(|record| record.memory.bytes).fold(0, u64::saturating_add)
    }

    /// What is kept of each volume for a later process, in the order of targets.
    pub fn kept(&self) -> Vec<(String, Kept)> {
        let state = self.lock();
        let keep = |(target, record): (&String, &Record)| {
            let kept = Kept { refreshed: record.refreshed?, origin: record.memory.origin };
            Some((target.clone(), kept))
        };
        let mut kept: Vec<_> = state.records.iter().filter_map(keep).collect();
        drop(state);
        kept.sort_by(|one, other| one.0.cmp(&other.0));
        kept
    }

    /// Counts over all volumes.
    pub fn summary(&self, now: SystemTime) -> Summary {
        let state = self.lock();
        let records = state.records.values();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        Summary {
            live: count(records.len()),
            failing: count(records.clone().filter(|record| record.failing.is_some()).count()),
            stalest: records
                .filter_map(|record| record.refreshed)
                .map(|refreshed| now.duration_since(refreshed.at).unwrap_or_default())
                .max(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock()
    }
}

/// The exclusive right to work on a volume, until it is dropped.
pub struct Claim<'a> {
    volumes: &'a Volumes,
    keys: [String; 2],
}

impl Drop for Claim<'_> {
    fn drop(&mut self) {
        let mut state = self.volumes.lock();
        for key in &self.keys {
            state.busy.remove(key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    fn refreshed(seconds: u64) -> Record {
        let refreshed = Some(LastRefresh { mount: None, at: at(seconds) });
        Record { refreshed, ..Record::default() }
    }

    #[test]
    fn one_call_at_a_time_has_a_volume_by_either_name() {
        let volumes = Volumes::default();
        let claim = volumes.claim("v1", "/a").unwrap();
        assert!(volumes.claim("v1", "/b").is_none());
        assert!(volumes.claim("v2", "/a").is_none());
        let other = volumes.claim("v2", "/b").unwrap();
        drop(claim);
        assert!(volumes.claim("v1", "/a").is_some());
        drop(other);
    }

    #[test]
    fn an_id_that_looks_like_a_target_is_still_an_id() {
        let volumes = Volumes::default();
        let _claim = volumes.claim("/a", "/b").unwrap();
        assert!(volumes.claim("x", "/a").is_some());
    }

    #[test]
    fn only_a_change_of_state_is_news() {
        let volumes = Volumes::default();
        volumes.remember("/a", refreshed(10));
        assert!(volumes.mark_failing("/a", "down", at(20)));
        assert!(!volumes.mark_failing("/a", "down", at(30)));
        assert!(volumes.mark_failing("/a", "forbidden", at(40)));
        assert_eq!(volumes.record("/a").unwrap().failing.unwrap().since, at(20));
    }

    #[test]
    fn a_failure_that_comes_after_the_end_brings_no_volume_back() {
        let volumes = Volumes::default();
        volumes.mark_failing("/a", "down", at(20));
        assert_eq!(volumes.summary(at(30)).live, 0);
    }

    #[test]
    fn the_summary_shows_the_stalest_volume() {
        let volumes = Volumes::default();
        assert_eq!(volumes.summary(at(100)), Summary::default());
        for (target, seconds) in [("/a", 40), ("/b", 90)] {
            volumes.remember(target, refreshed(seconds));
        }
        volumes.mark_failing("/a", "down", at(95));
        let summary = volumes.summary(at(100));
        assert_eq!(summary, Summary { live: 2, failing: 1, stalest: Some(Duration::from_secs(60)) });
        volumes.forget("/a");
        assert_eq!(volumes.summary(at(100)).live, 1);
    }

    #[test]
    fn refreshes_are_listed_by_target_and_only_those_that_were_seen() {
        let volumes = Volumes::default();
        volumes.remember("/b", refreshed(90));
        volumes.remember("/a", refreshed(40));
        volumes.remember("/c", Record::default());
        let listed: Vec<_> =
            volumes.kept().into_iter().map(|(target, kept)| (target, kept.refreshed.at)).collect();
        assert_eq!(listed, [("/a".to_owned(), at(40)), ("/b".to_owned(), at(90))]);
    }
}
