//! Events about the operator's writes, for whoever looks with kubectl: on its pod, or on its namespace where the pod is
//! not known. One that repeats is counted on the event there is. What cannot be posted is only logged; the conditions
//! say the same.

use std::time::{Duration, Instant, SystemTime};

use serde_json::{Value, json};

use super::identity::OPERATOR;
use base::lock::Mutex;
use base::timestamp::rfc3339_seconds;
use kube::budget::Budget;
use kube::client::Client;
use kube::error::ApiError;
use kube::object::ObjectRef;
use kube::resource::{EVENTS, PODS};
use kube::types::{Event, EventMeta, InvolvedObject, Source};

/// Collects events, and posts them when there is time.
pub struct Events {
    namespace: String,
    pod: String,
    /// That of the pod, once it has been asked for.
    uid: Mutex<Option<String>>,
    waiting: Mutex<Waiting>,
}

#[derive(Default)]
struct Waiting {
    memory: Memory,
    events: Vec<Event>,
    counts: Vec<Count>,
}

/// What was posted lately. Pure: the time is an argument.
#[derive(Debug, Default)]
struct Memory {
    posted: Vec<Posted>,
    number: u64,
}

#[derive(Debug)]
struct Posted {
    what: String,
    name: String,
    seen: Instant,
    count: u32,
    written: Instant,
}

/// What to do about an event.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    /// Post it under that name.
    Post(String),
    /// Write on the one that was posted how often it has been seen.
    Count(Count),
    /// It is counted, and that is written later.
    Counted,
    /// There were too many lately.
    TooMany,
}

/// How often an event that was posted has been seen.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Count {
    name: String,
    count: u32,
}

impl Events {
    /// About that pod, which may not be known and is then empty.
    pub fn new(namespace: &str, pod: &str) -> Events {
        Events {
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            uid: Mutex::default(),
            waiting: Mutex::default(),
        }
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

    /// Something is wrong that is about no write.
    pub(super) fn warn(&self, reason: &str, message: &str) {
        self.note("Warning", reason.to_owned(), message.to_owned());
    }

    /// Posts what has been collected, in the order in which it happened. Not in the middle of a turn: the pods should
    /// not wait for what is written about them.
    pub(super) fn post(&self, client: &Client) {
        let (events, counts) = {
            let mut waiting = self.waiting.lock();
            (std::mem::take(&mut waiting.events), std::mem::take(&mut waiting.counts))
        };
        if events.is_empty() && counts.is_empty() {
            return;
        }
        let uid = self.uid(client);
        for mut event in events {
            event.involved_object.uid.clone_from(&uid);
            if let Err(error) = client.create_event(&event, Budget::lasting(POST_TIME)) {
                log::debug!(error:% = error; "could not post an event");
                self.waiting.lock().memory.forget(&event.metadata.name);
            }
        }
        for Count { name, count } in counts {
            let at = ObjectRef::namespaced(&EVENTS, &self.namespace, &name);
            let patch = json!({"count": count, "lastTimestamp": rfc3339_seconds(SystemTime::now())});
            if let Err(error) = client.merge_object(&at, &patch, Budget::lasting(POST_TIME)) {
                log::debug!(error:% = error; "could not count an event");
                // The API server keeps events for an hour or so: the next one is posted anew.
                self.waiting.lock().memory.forget(&name);
            }
        }
    }

    /// Identity of the pod, without which kubectl does not show an event below it; empty where that is not known.
    fn uid(&self, client: &Client) -> String {
        if self.pod.is_empty() {
            return String::new();
        }
        let mut known = self.uid.lock();
        if let Some(uid) = &*known {
            return uid.clone();
        }
        let at = ObjectRef::namespaced(&PODS, &self.namespace, &self.pod);
        match client.find_object(&at, Budget::lasting(POST_TIME)) {
            Ok(pod) => {
                let uid = pod.as_ref().and_then(|pod| pod.pointer("/metadata/uid")).and_then(Value::as_str);
                known.insert(uid.unwrap_or_default().to_owned()).clone()
            }
            Err(error) => {
                log::debug!(error:% = error; "the identity of the operator's pod is not known");
                String::new()
            }
        }
    }

    fn note(&self, kind_of_event: &'static str, reason: String, message: String) {
        let mut waiting = self.waiting.lock();
        let now = SystemTime::now();
        let nanos = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_nanos());
        let name = format!("{OPERATOR}.{nanos:x}");
        let name = match waiting.memory.judge(&format!("{reason} {message}"), &name, Instant::now()) {
            Verdict::Post(name) => name,
            Verdict::Count(count) => return waiting.counts.push(count),
            Verdict::Counted | Verdict::TooMany => return,
        };
        let (kind, involved) = match self.pod.as_str() {
            "" => ("Namespace", self.namespace.clone()),
            pod => ("Pod", pod.to_owned()),
        };
        let event = Event {
            api_version: "v1",
            kind: "Event",
            metadata: EventMeta { name, namespace: self.namespace.clone() },
            involved_object: InvolvedObject {
                api_version: "v1",
                kind,
                namespace: self.namespace.clone(),
                name: involved,
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
}

impl Memory {
    /// Judges what has happened; `name` is what the name of its event begins with, if there is to be one.
    fn judge(&mut self, what: &str, name: &str, now: Instant) -> Verdict {
        self.posted.retain(|posted| now.saturating_duration_since(posted.seen) < SAME_WITHIN);
        if let Some(posted) = self.posted.iter_mut().find(|posted| posted.what == what) {
            (posted.seen, posted.count) = (now, posted.count.saturating_add(1));
            if now.saturating_duration_since(posted.written) < COUNT_EVERY {
                return Verdict::Counted;
            }
            posted.written = now;
            return Verdict::Count(Count { name: posted.name.clone(), count: posted.count });
        }
        if self.posted.len() >= MOST_AT_ONCE {
            return Verdict::TooMany;
        }
        self.number = self.number.saturating_add(1);
        let name = format!("{name}.{:x}", self.number);
        let (what, posted) = (what.to_owned(), name.clone());
        self.posted.push(Posted { what, name: posted, seen: now, count: 1, written: now });
        Verdict::Post(name)
    }

    /// There is no such event.
    fn forget(&mut self, name: &str) {
        self.posted.retain(|posted| posted.name != name);
    }
}

fn cut(mut message: String) -> String {
    message.truncate(message.floor_char_boundary(LONGEST_MESSAGE_BYTES));
    message
}

/// What has not happened for that long is a new event when it happens again.
const SAME_WITHIN: Duration = Duration::from_secs(600);
/// A fight over an object is visible in a count that is written seldom as well as in one for each blow.
const COUNT_EVERY: Duration = Duration::from_secs(10);
/// Different ones within that time.
const MOST_AT_ONCE: usize = 60;
/// The API server takes no longer ones.
const LONGEST_MESSAGE_BYTES: usize = 1024;
/// Events must not hold up the next turn for long.
const POST_TIME: Duration = Duration::from_secs(2);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_repeats_is_counted_on_the_event_there_is_and_written_seldom() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let at = |seconds| now + Duration::from_secs(seconds);
        assert_eq!(memory.judge("a", "x", at(0)), Verdict::Post("x.1".to_owned()));
        assert_eq!(memory.judge("a", "y", at(1)), Verdict::Counted);
        assert_eq!(memory.judge("b", "y", at(2)), Verdict::Post("y.2".to_owned()));
        let counted = |name: &str, count| Verdict::Count(Count { name: name.to_owned(), count });
        assert_eq!(memory.judge("a", "z", at(10)), counted("x.1", 3));
        assert_eq!(memory.judge("a", "z", at(19)), Verdict::Counted);
        assert_eq!(memory.judge("a", "z", at(20)), counted("x.1", 5));
        assert_eq!(memory.judge("a", "z", at(620)), Verdict::Post("z.3".to_owned()), "it was over for long");
        memory.forget("z.3");
        assert_eq!(
            memory.judge("a", "z", at(621)),
            Verdict::Post("z.4".to_owned()),
            "there is none any more"
        );
    }

    #[test]
    fn different_events_are_not_posted_without_end() {
        let (mut memory, now) = (Memory::default(), Instant::now());
        let posted = (0..1000)
            .filter(|number| matches!(memory.judge(&number.to_string(), "x", now), Verdict::Post(_)));
        assert_eq!(posted.count(), MOST_AT_ONCE);
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        assert_eq!(cut("ä".repeat(1000)).len(), 1024);
        assert_eq!(cut("short".to_owned()), "short");
    }
}
