//! Events about the operator's writes, for whoever looks with kubectl: on its pod, or on its namespace where the pod is
//! not known. What cannot be posted is only logged; the conditions say the same.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use super::identity::OPERATOR;
use crate::kube::budget::Budget;
use crate::kube::client::Client;
use crate::kube::error::ApiError;
use crate::kube::object::ObjectRef;
use crate::kube::types::{Event, EventMeta, InvolvedObject, Source};
use crate::timestamp::rfc3339_seconds;

/// Collects events, and posts them when there is time; the same one seldom.
pub struct Events {
    namespace: String,
    pod: String,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    memory: Memory,
    events: Vec<Event>,
}

/// What was posted lately. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Memory {
    posted: VecDeque<(String, Instant)>,
    count: u64,
}

impl Events {
    /// About that pod, which may not be known and is then empty.
    pub fn new(namespace: &str, pod: &str) -> Events {
        Events { namespace: namespace.to_owned(), pod: pod.to_owned(), waiting: Mutex::default() }
    }

    /// An object was written, or could not be.
    pub(super) fn wrote(&self, kind: &str, verb: &str, at: &ObjectRef, error: Option<&ApiError>) {
        let (done, failed) = match verb {
            "create" => ("Created", "CreateFailed"),
            "delete" => ("Deleted", "DeleteFailed"),
            _ => ("Updated", "UpdateFailed"),
        };
        match error {
            None => self.note("Normal", format!("{kind}{done}"), format!("{done} {at}")),
            // The next look at the object sorts it out.
            Some(error) if error.is_conflict() || error.is_already_exists() || error.is_not_found() => {}
            Some(ApiError::Transport { .. } | ApiError::OutOfTime { .. }) => {}
            Some(error) => self.note("Warning", format!("{kind}{failed}"), error.to_string()),
        }
    }

    /// Posts what has been collected, in the order in which it happened. Not in the middle of a turn: the pods should
    /// not wait for what is written about them.
    pub(super) fn post(&self, client: &Client) {
        let events = std::mem::take(&mut self.lock().events);
        for event in events {
            if let Err(error) = client.create_event(&event, Budget::lasting(POST_TIME)) {
                log::debug!(error:% = error; "could not post an event");
            }
        }
    }

    fn note(&self, kind_of_event: &'static str, reason: String, message: String) {
        let mut waiting = self.lock();
        let Some(number) = waiting.memory.admit(&format!("{reason} {message}"), Instant::now()) else {
            return;
        };
        let now = SystemTime::now();
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let (kind, name) = match self.pod.as_str() {
            "" => ("Namespace", self.namespace.clone()),
            pod => ("Pod", pod.to_owned()),
        };
        let event = Event {
            api_version: "v1",
            kind: "Event",
            metadata: EventMeta {
                name: format!("{OPERATOR}.{nanos:x}.{number:x}"),
                namespace: self.namespace.clone(),
            },
            involved_object: InvolvedObject {
                api_version: "v1",
                kind,
                namespace: self.namespace.clone(),
                name,
                uid: String::new(),
            },
            reason,
            message: cut(message),
            kind_of_event,
            source: Source { component: OPERATOR.to_owned(), host: String::new() },
            reporting_component: OPERATOR.to_owned(),
            reporting_instance: self.pod.clone(),
            first_timestamp: rfc3339_seconds(now),
            last_timestamp: rfc3339_seconds(now),
            count: 1,
        };
        waiting.events.push(event);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Memory {
    /// The number of the event if it is worth posting.
    fn admit(&mut self, what: &str, now: Instant) -> Option<u64> {
        self.posted.retain(|(_, at)| now.saturating_duration_since(*at) < SAME_EVERY);
        let is_repeated = self.posted.iter().any(|(posted, _)| posted == what);
        if is_repeated || self.posted.len() >= MOST_AT_ONCE {
            return None;
        }
        self.posted.push_back((what.to_owned(), now));
        self.count = self.count.saturating_add(1);
        Some(self.count)
    }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(LONGEST_MESSAGE_BYTES));
    message
}

/// Somebody who fights with the operator over an object is visible in one event as well as in sixty.
const SAME_EVERY: Duration = Duration::from_secs(300);
/// Within that time.
const MOST_AT_ONCE: usize = 60;
/// The API server takes no longer ones.
const LONGEST_MESSAGE_BYTES: usize = 1024;
/// Events must not hold up the next turn for long.
const POST_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_event_is_posted_seldom_and_all_together_not_without_end() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        assert_eq!(memory.admit("a", now), Some(1));
        assert_eq!(memory.admit("a", now + Duration::from_secs(299)), None);
        assert_eq!(memory.admit("b", now), Some(2));
        assert_eq!(memory.admit("a", now + SAME_EVERY), Some(3));
        let admitted = (0..1000).filter(|number| memory.admit(&number.to_string(), now).is_some()).count();
        assert!(admitted < MOST_AT_ONCE && memory.posted.len() == MOST_AT_ONCE, "{admitted}");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("ä".repeat(1000)).len(), 1024);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
