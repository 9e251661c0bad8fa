//! The thread that keeps a cache like the collection that it is of.

use std::marker::PhantomData;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use super::cache::{Cache, CacheState};
use super::cycle::{Cycle, End, Progress, Step};
use super::frame::Frame;
use super::page::{Page, PageSeed};
use crate::budget::Budget;
use crate::client::{Client, Outgoing};
use crate::error::{ApiError, Call, TransportError};
use crate::stream::Unread;
use crate::transport::Verb;
use crate::types::Watched;
use base::backoff::Jitter;

/// Follows one collection into one cache.
pub struct Reflector<T> {
    client: Client,
    selection: Selection,
    cache: Arc<Cache<T>>,
    pause: Box<dyn Fn(Duration) -> bool + Send>,
    lifetime: Duration,
}

/// Which objects of a collection are followed; empty selectors select all.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The one namespace to look in; empty for all, and for what lies outside namespaces.
    pub namespace: String,
    /// Label selector, such as `a=b`.
    pub labels: String,
    /// Field selector, such as `spec.nodeName=n`.
    pub fields: String,
}

impl<T: Watched> Reflector<T> {
    /// Starts following, in a thread of that name. `pause` waits and answers whether to stop; a stream under way is
    /// not interrupted by that, since nothing is lost when the process ends in one.
    ///
    /// # Errors
    /// The system's, when no thread can be started.
    pub fn start(
        name: &str,
        client: Client,
        selection: Selection,
        cache: Arc<Cache<T>>,
        pause: impl Fn(Duration) -> bool + Send + 'static,
    ) -> std::io::Result<()> {
        let reflector =
            Reflector { client, selection, cache, pause: Box::new(pause), lifetime: STREAM_LIFETIME };
        thread::Builder::new().name(name.to_owned()).spawn(move || reflector.run()).map(drop)
    }

    fn run(self) {
        let mut cycle = Cycle::new(T::PAGE, Jitter::from_entropy());
        let mut was_failing = false;
        loop {
            let begun = Instant::now();
            let ended = match cycle.step() {
                Step::List { token, limit } => {
                    let token = token.map(str::to_owned);
                    self.list(&mut cycle, token.as_deref(), limit)
                }
                Step::Watch { version } => {
                    let version = version.to_owned();
                    self.watch(&mut cycle, &version)
                }
            };
            let Err((end, error)) = ended else {
                continue;
            };
            let end = cycle.judged(end);
            let pause = cycle.ended(end, begun.elapsed());
            self.tell(end, error.as_ref(), &mut was_failing);
            if (self.pause)(pause) {
                return;
            }
        }
    }

    /// One page of the list. On success the cycle has moved on.
    fn list(&self, cycle: &mut Cycle, token: Option<&str>, limit: u32) -> Result<(), Ended> {
        if token.is_none() {
            self.cache.begin_list();
        }
        let mut query = format!("limit={limit}{}", self.selection.query());
        if let Some(token) = token {
            query.push_str(&format!("&continue={}", escaped(token)));
        }
        let budget = Budget::lasting(LIST_TIME);
        let outgoing = self.outgoing(Verb::List, &query).map_err(failed)?;
        let page = PageSeed { present: &|object| self.cache.upsert(object), of: PhantomData };
        let Page { version, next } =
            self.client.read(&outgoing, budget, || page).map_err(too_slow_or_failed)?;
        match cycle.listed(version, next) {
            Progress::Partial => Ok(()),
            Progress::Complete => {
                self.cache.complete_list();
                Ok(())
            }
            Progress::Endless => {
                let problem = "the list has no end".to_owned();
                Err(failed(ApiError::Shape { call: outgoing.call, problem }))
            }
        }
    }

    /// A stream from its beginning to its end, which always is one.
    fn watch(&self, cycle: &mut Cycle, version: &str) -> Result<(), Ended> {
        let query = format!(
            "watch=true&allowWatchBookmarks=true&resourceVersion={}&timeoutSeconds={}{}",
            escaped(version),
            self.lifetime.as_secs(),
            self.selection.query()
        );
        let outgoing = self.outgoing(Verb::Watch, &query).map_err(failed)?;
        let lifetime = self.lifetime + STREAM_GRACE;
        let mut stream = self.client.open(&outgoing, lifetime, Budget::lasting(LIST_TIME)).map_err(failed)?;
        self.cache.set_state(CacheState::Current);
        loop {
            match stream.next(PhantomData::<Frame<T>>) {
                Ok(Some(Frame::Present(object))) => {
                    cycle.reached(object.version());
                    self.cache.upsert(object);
                }
                Ok(Some(Frame::Gone(object))) => {
                    cycle.reached(object.version());
                    self.cache.delete(&object);
                }
                Ok(Some(Frame::Bookmark(version))) => cycle.reached(&version),
                Ok(Some(Frame::Error(code))) => {
                    return Err(failed(ApiError::from_answer(outgoing.call, code, None, &[])));
                }
                // A stream that breaks is as good as one that ends: the next one begins where it was.
                Ok(None)
                | Err(
                    Unread::CutOff(_)
                    | Unread::Transport(TransportError::Lost { .. } | TransportError::Timeout),
                ) => {
                    return Err((End::Closed, None));
                }
                Err(unread) => return Err(failed(unread.into_error(&outgoing.call))),
            }
        }
    }

    fn outgoing(&self, verb: Verb, query: &str) -> Result<Outgoing, ApiError> {
        let namespace = &self.selection.namespace;
        let collection = match namespace.as_str() {
            "" => T::RESOURCE.everywhere(),
            namespace => T::RESOURCE.collection(namespace)?,
        };
        let call = Call::on(verb.name(), T::RESOURCE, namespace, "");
        Ok(Outgoing { call, verb, path: format!("{collection}?{query}"), form: T::FORM, body: None })
    }

    /// Says in the cache how well it knows the collection now, and in the log when that changes.
    fn tell(&self, end: End, error: Option<&ApiError>, was_failing: &mut bool) {
        let is_failing =
            matches!(end, End::Failed { .. } | End::Garbled | End::TooLarge | End::TooSlow | End::Forbidden);
        self.cache.set_state(if end == End::Forbidden { CacheState::Forbidden } else { CacheState::Behind });
        if let Some(error) = error {
            let news = is_failing && !std::mem::replace(was_failing, is_failing);
            // Whoever needs the permission says what is missing, in words of its own.
            if news && end != End::Forbidden {
                log::warn!(error:% = error; "following a collection of the API server is interrupted");
            } else {
                log::debug!(error:% = error; "following a collection of the API server is interrupted");
            }
        }
        if !is_failing && std::mem::take(was_failing) {
            log::info!(resource = T::RESOURCE.qualified(); "following a collection of the API server again");
        }
    }
}

type Ended = (End, Option<ApiError>);

/// What an error means for the cycle.
fn failed(error: ApiError) -> Ended {
    let end = match &error {
        error if error.is_gone() => End::Expired,
        error if error.is_undecided() => End::Undecided,
        error if error.is_forbidden() => End::Forbidden,
        ApiError::Transport { error: TransportError::TooLarge { .. }, .. } => End::TooLarge,
        ApiError::Shape { .. } => End::Garbled,
        error => End::Failed { retry_after: error.retry_after() },
    };
    (end, Some(error))
}

/// The same for a page of a list, which may be one of large objects on a slow way.
fn too_slow_or_failed(error: ApiError) -> Ended {
    match error {
        ApiError::Transport { error: TransportError::Timeout, .. } => (End::TooSlow, Some(error)),
        error => failed(error),
    }
}

impl Selection {
    /// As the end of a query.
    fn query(&self) -> String {
        let part = |name: &str, value: &str| match value {
            "" => String::new(),
            value => format!("&{name}={}", escaped(value)),
        };
        part("labelSelector", &self.labels) + &part("fieldSelector", &self.fields)
    }
}

/// Percent-encoded for a query.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.' | b'_' | b'~') {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

/// Pages are answered from the server's memory; a list that needs longer is tried again.
const LIST_TIME: Duration = Duration::from_secs(20);
/// How long the server is asked to keep a stream: short enough that a connection which has died silently is noticed
/// before anybody misses what it did not bring.
const STREAM_LIFETIME: Duration = Duration::from_secs(150);
/// How much later the client gives a stream up by itself.
const STREAM_GRACE: Duration = Duration::from_secs(15);
