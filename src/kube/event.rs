//! Warning events on pods: what the owner of a pod sees without access to the node.
//!
//! Posting never delays the caller: an event is limited, queued and posted by a thread of its own, and
//! dropped where that is not possible, which an observer counts. An event is help, not a record, so nothing
//! waits for it and nothing fails because of it. Messages come from callers that keep secrets out of them;
//! here they are made printable and bounded.

use std::fmt;
use std::sync::Arc;
use std::sync::mpsc::{Receiver, SyncSender, TrySendError, sync_channel};
use std::thread::JoinHandle;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::budget::Budget;
use super::client::Client;
use super::event_limit::{EventLimit, Verdict};
use super::resource::LONGEST_NAME;
use super::types::{Event, EventMeta, InvolvedObject, Source};
use base::lock::Mutex;
use base::panics;
use base::text::printable;
use base::timestamp::rfc3339_seconds;

/// Takes events and posts them from its own thread.
pub struct EventSink {
    limit: Mutex<EventLimit>,
    shared: Arc<Shared>,
    /// Taken by [`EventSink::stop`]; the thread ends when the queue is empty and nobody can fill it.
    queue: Mutex<Option<SyncSender<Box<Pending>>>>,
    poster: Mutex<Option<JoinHandle<()>>>,
    wall: fn() -> SystemTime,
}

/// The pod that an event is about.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PodRef {
    /// Namespace of the pod, and so of the event.
    pub namespace: String,
    /// Name of the pod.
    pub name: String,
    /// Identity of the pod.
    pub uid: String,
}

/// Why an event is posted, and in whose name: both are what people and their tooling select by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    /// Short, stable, in CamelCase.
    pub name: &'static str,
    /// The part of the driver, shown as the event's source.
    pub component: &'static str,
}

/// Where it is posted from, and by which clock.
#[derive(Clone, Debug)]
pub struct EventSettings {
    /// The node.
    pub node: String,
    /// The wall clock, for the event's timestamps.
    pub wall: fn() -> SystemTime,
}

/// Why an event was not posted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// The pod has been told lately.
    Repeated,
    /// The node has posted too much lately.
    RateLimited,
    /// The queue is full.
    QueueFull,
    /// The API server did not take it.
    Refused,
    /// The sink is stopped.
    Stopped,
}

struct Shared {
    client: Client,
    settings: EventSettings,
    on_drop: Box<dyn Fn(Dropped) + Send + Sync>,
    /// When posting ends, once the sink is being stopped.
    end: Mutex<Option<Budget>>,
}

struct Pending {
    pod: PodRef,
    reason: Reason,
    message: String,
    at: SystemTime,
}

impl EventSink {
    /// Starts the posting thread, `kube-events`.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(
        client: Client,
        settings: EventSettings,
        on_drop: impl Fn(Dropped) + Send + Sync + 'static,
    ) -> std::io::Result<EventSink> {
        let (queue, pending) = sync_channel(LONGEST_QUEUE);
        let wall = settings.wall;
        let shared = Arc::new(Shared { client, settings, on_drop: Box::new(on_drop), end: Mutex::new(None) });
        let poster = std::thread::Builder::new().name("kube-events".to_owned()).spawn({
            let shared = Arc::clone(&shared);
            move || shared.run(&pending)
        })?;
        Ok(EventSink {
            limit: Mutex::default(),
            shared,
            queue: Mutex::new(Some(queue)),
            poster: Mutex::new(Some(poster)),
            wall,
        })
    }

    /// Queues a Warning about `pod`. Never blocks; what is dropped is told to the observer.
    pub fn warn(&self, pod: &PodRef, reason: Reason, message: String) {
        let verdict = self.limit.lock().judge(&pod.uid, reason.name, &message, Instant::now());
        match verdict {
            Verdict::Pass => {}
            Verdict::Repeated => return (self.shared.on_drop)(Dropped::Repeated),
            Verdict::TooMany => return (self.shared.on_drop)(Dropped::RateLimited),
        }
        let pending = Pending { pod: pod.clone(), reason, message, at: (self.wall)() };
        let sent = self.queue.lock().as_ref().map(|queue| queue.try_send(Box::new(pending)));
        match sent {
            Some(Ok(())) => {}
            Some(Err(TrySendError::Full(_))) => (self.shared.on_drop)(Dropped::QueueFull),
            Some(Err(TrySendError::Disconnected(_))) | None => (self.shared.on_drop)(Dropped::Stopped),
        }
    }

    /// Posts what is queued, for at most [`STOP_TIME`], drops the rest and ends the thread. Later events are
    /// dropped.
    pub fn stop(&self) {
        *self.shared.end.lock() = Some(Budget::lasting(STOP_TIME));
        self.queue.lock().take();
        let poster = self.poster.lock().take();
        if let Some(poster) = poster {
            panics::joined(poster.join());
        }
    }
}

impl Drop for EventSink {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn run(&self, pending: &Receiver<Box<Pending>>) {
        while let Ok(pending) = pending.recv() {
            // Bounds the wait of stop() as well: it never meets a post that takes longer than this.
            let post = Budget::lasting(POST_TIME);
            let end = *self.end.lock();
            let budget = end.map_or(post, |end| end.at_most(POST_TIME));
            if budget.is_spent() {
                (self.on_drop)(Dropped::Stopped);
                continue;
            }
            if let Err(error) = self.client.create_event(&self.event(*pending), budget) {
                log::debug!(error:% = error; "event was not posted");
                (self.on_drop)(Dropped::Refused);
            }
        }
    }

    fn event(&self, pending: Pending) -> Event {
        let Pending { pod, reason, message, at } = pending;
        let seen = rfc3339_seconds(at);
        let (Reason { name: reason, component }, node) = (reason, &self.settings.node);
        Event {
            api_version: "v1",
            kind: "Event",
            metadata: EventMeta { name: name(&pod.name, at), namespace: pod.namespace.clone() },
            involved_object: InvolvedObject {
                api_version: "v1",
                kind: "Pod",
                namespace: pod.namespace,
                name: pod.name,
                uid: pod.uid,
            },
            reason: reason.to_owned(),
            message: printable(&message, LONGEST_MESSAGE_BYTES),
            kind_of_event: "Warning",
            source: Source { component: component.to_owned(), host: node.clone() },
            reporting_component: component.to_owned(),
            reporting_instance: node.clone(),
            first_timestamp: seen.clone(),
            last_timestamp: seen,
            count: 1,
        }
    }
}

impl Dropped {
    /// Stable text for a metric's label.
    pub fn as_str(self) -> &'static str {
        match self {
            Dropped::Repeated => "repeated",
            Dropped::RateLimited => "rate_limited",
            Dropped::QueueFull => "queue_full",
            Dropped::Refused => "refused",
            Dropped::Stopped => "stopped",
        }
    }
}

/// The pod's name, a dot, and the time in hexadecimal nanoseconds: two events about one pod at the same
/// instant would lose one, which is bearable.
fn name(pod: &str, at: SystemTime) -> String {
    let nanoseconds = at.duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos());
    let suffix = format!(".{nanoseconds:016x}");
    let mut prefix = pod;
    while prefix.len() + suffix.len() > LONGEST_NAME {
        // Names of pods are ASCII; what is not is refused when the path is built.
        prefix = prefix.get(..prefix.len().saturating_sub(1)).unwrap_or("");
    }
    format!("{}{suffix}", prefix.trim_end_matches(['.', '-']))
}

/// Some minutes of the steady rate; older news would mislead.
const LONGEST_QUEUE: usize = 256;
/// The API's own limit for a message.
const LONGEST_MESSAGE_BYTES: usize = 1024;
/// An event is not worth more retries than fit here.
const POST_TIME: Duration = Duration::from_secs(2);
/// Part of the time that a pod has between SIGTERM and SIGKILL.
pub const STOP_TIME: Duration = Duration::from_secs(2);

impl fmt::Display for PodRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.namespace, self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_an_event_fits_whatever_the_pod_is_called() {
        let at = UNIX_EPOCH + Duration::from_secs(1_700_000_000);
        assert_eq!(name("web-0", at), "web-0.17979cfe362a0000");
        let long = name(&format!("{}-.{}", "a".repeat(234), "b".repeat(17)), at);
        assert_eq!(long, format!("{}.17979cfe362a0000", "a".repeat(234)));
        assert!(name(&"ä".repeat(200), at).len() <= LONGEST_NAME);
    }
}
