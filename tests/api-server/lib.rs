//! A Kubernetes API server double: real sockets, real HTTP, and answers worded as a kube-apiserver words
//! them.
//!
//! Tests, the demo and the benchmark all talk to it, so it behaves like the original where a client could
//! tell: object versions and conflicts, name and label rules, Status bodies, keep-alive, TLS, watches. It
//! holds any resource under `/api/v1` and `/apis/<group>/<version>` in memory and knows no schema beyond
//! metadata. On demand it misbehaves: errors, lost answers, silence, restarts. It records what it was asked,
//! and never the token.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a double that cannot go on should end its test"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

mod access;
mod apply;
pub mod base64;
mod clock;
mod discovery;
mod faults;
mod garbage;
mod http;
mod immutable;
mod kinds;
mod list;
mod managers;
mod media;
mod merge;
mod metadata;
mod request;
mod review;
mod routes;
mod secret;
mod selector;
mod status;
mod store;
mod switches;
#[cfg(test)]
mod tests;
mod tls;
mod watch;
mod write;

use std::collections::{HashMap, VecDeque};
use std::io::ErrorKind;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use access::Access;
use faults::Faults;
pub use faults::{Close, Matcher, Then};
use request::Place;
use store::Store;
use tls::Authority;
use watch::Signals;

/// A running double; stopped when dropped.
pub struct ApiServer {
    shared: Arc<Shared>,
    address: SocketAddr,
    acceptor: Mutex<Option<JoinHandle<()>>>,
}

/// How a double is set up.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// Speak TLS, with an authority made for this server.
    pub tls: bool,
    /// The only bearer token that is accepted; without one every request is.
    pub token: Option<String>,
}

/// One request, as recorded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Seen {
    /// `get`, `list`, `watch`, `create`, `update`, `patch`, `delete` or `deletecollection`.
    pub verb: &'static str,
    /// Path without the query.
    pub path: String,
    /// Query as sent, without the question mark.
    pub query: String,
    /// Status answered; 0 when the connection was closed or left hanging instead.
    pub code: u16,
    /// User-Agent header.
    pub user_agent: String,
    /// Accept header.
    pub accept: String,
}

/// What the connections share.
struct Shared {
    settings: Mutex<Settings>,
    authority: Mutex<Option<Authority>>,
    store: Mutex<Store>,
    faults: Mutex<Faults>,
    access: Mutex<Access>,
    watch_signals: Mutex<Signals>,
    journal: Mutex<VecDeque<Seen>>,
    connections: Mutex<HashMap<u64, TcpStream>>,
    next_connection: AtomicU64,
    is_stopped: AtomicBool,
    /// Counts changes of store, journal and faults; `news` is rung at each.
    change: Mutex<u64>,
    news: Condvar,
}

impl ApiServer {
    /// A plain http double without authentication on a free loopback port.
    pub fn start() -> ApiServer {
        ApiServer::with(Settings::default())
    }

    /// A double set up as told.
    pub fn with(settings: Settings) -> ApiServer {
        let authority = settings.tls.then(Authority::new);
        let shared = Arc::new(Shared {
            settings: Mutex::new(settings),
            authority: Mutex::new(authority),
            store: Mutex::default(),
            faults: Mutex::default(),
            access: Mutex::default(),
            watch_signals: Mutex::default(),
            journal: Mutex::default(),
            connections: Mutex::default(),
            next_connection: AtomicU64::new(0),
            is_stopped: AtomicBool::new(true),
            change: Mutex::new(0),
            news: Condvar::new(),
        });
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).expect("a free loopback port");
        let address = listener.local_addr().expect("a bound address");
        let server = ApiServer { shared, address, acceptor: Mutex::new(None) };
        server.accept_from(listener);
        server
    }

    /// The address, for a client's configuration.
    pub fn url(&self) -> String {
        let scheme = if locked(&self.shared.authority).is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address)
    }

    /// The authority that vouches for the server, as PEM; TLS only.
    pub fn ca_pem(&self) -> String {
        locked(&self.shared.authority).as_ref().expect("the double speaks TLS").pem().to_owned()
    }

    /// Replaces authority and certificate; connections that are open stay.
    pub fn rotate_authority(&self) {
        *locked(&self.shared.authority) = Some(Authority::new());
    }

    /// The same, with an authority that may only vouch for some names and networks, or for all but some.
    pub fn limit_authority(&self, permitted: &[&str], excluded: &[&str]) {
        *locked(&self.shared.authority) = Some(Authority::limited_to(permitted, excluded));
    }

    /// Replaces the certificate by one that ended long ago, under the same authority; connections that are open stay.
    pub fn let_certificate_expire(&self) {
        let mut authority = locked(&self.shared.authority);
        authority.as_mut().expect("the double speaks TLS").certify(LONG_AGO);
    }

    /// Replaces the certificate by one that is valid.
    pub fn renew_certificate(&self) {
        let mut authority = locked(&self.shared.authority);
        authority.as_mut().expect("the double speaks TLS").certify(tls::FAR_FUTURE);
    }

    /// Replaces the accepted token.
    pub fn set_token(&self, token: &str) {
        locked(&self.shared.settings).token = Some(token.to_owned());
    }

    // -- objects, without going through HTTP --

    /// Stores an object as if applied: created or replaced whatever its version, and returned as stored. Kind
    /// and apiVersion say which resource it is.
    pub fn put(&self, object: Value) -> Value {
        self.put_as("test", object)
    }

    /// The same, by a client of that name: the manager of the fields that this changes.
    pub fn put_as(&self, manager: &str, object: Value) -> Value {
        let stored = locked(&self.shared.store).put(object, manager);
        self.shared.ring();
        stored
    }

    /// The object at that path, such as `/api/v1/namespaces/default/pods/web`.
    pub fn get(&self, path: &str) -> Option<Value> {
        let place = Place::parse(path)?;
        locked(&self.shared.store).get(&place.key()?).cloned()
    }

    /// The objects of that collection, such as `/api/v1/namespaces/default/events`.
    pub fn list(&self, path: &str) -> Vec<Value> {
        let Some(place) = Place::parse(path) else {
            return Vec::new();
        };
        let store = locked(&self.shared.store);
        store.list(&place.group, &place.plural, &place.namespace).map(|(_, object)| object.clone()).collect()
    }

    /// Removes the object at that path; true when there was one.
    pub fn delete(&self, path: &str) -> bool {
        let key = Place::parse(path).and_then(|place| place.key());
        let is_removed = key.is_some_and(|key| locked(&self.shared.store).remove(&key).is_some());
        self.shared.ring();
        is_removed
    }

    /// The events about the pod of that name, oldest first.
    pub fn events_for(&self, pod: &str) -> Vec<Value> {
        let mut events = self.list("/api/v1/events");
        events.retain(|event| event["involvedObject"]["name"] == pod);
        events.sort_by_key(|event| {
            event["metadata"]["resourceVersion"].as_str().and_then(|v| v.parse::<u64>().ok())
        });
        events
    }

    /// Removes what all owners of are gone, and the owners that are gone of what has others, as the garbage
    /// collector would; the number of objects removed.
    pub fn collect_garbage(&self) -> usize {
        let removed = garbage::collect(&mut locked(&self.shared.store));
        self.shared.ring();
        removed
    }

    /// Answers for that resource as if its CustomResourceDefinition were not installed.
    pub fn uninstall(&self, plural: &str) {
        locked(&self.shared.store).uninstall(plural);
    }

    /// Takes [`ApiServer::uninstall`] back.
    pub fn install(&self, plural: &str) {
        locked(&self.shared.store).install(plural);
    }

    // -- what was asked --

    /// The latest requests, oldest first, at most [`LONGEST_JOURNAL`].
    pub fn requests(&self) -> Vec<Seen> {
        locked(&self.shared.journal).iter().cloned().collect()
    }

    /// How many recorded requests have that verb and a path that contains `path`.
    pub fn count(&self, verb: &str, path: &str) -> usize {
        locked(&self.shared.journal)
            .iter()
            .filter(|seen| seen.verb == verb && seen.path.contains(path))
            .count()
    }

    /// Forgets the recorded requests.
    pub fn forget_requests(&self) {
        locked(&self.shared.journal).clear();
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        locked(&self.shared.connections).len()
    }

    /// Waits until `condition` holds, looking again at every request and change; false when `patience` ran
    /// out.
    pub fn wait(&self, patience: Duration, mut condition: impl FnMut(&ApiServer) -> bool) -> bool {
        let end = Instant::now() + patience;
        loop {
            let seen = *locked(&self.shared.change);
            if condition(self) {
                return true;
            }
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return false;
            }
            self.shared.wait_for_news(seen, left);
        }
    }

    /// Closes port and connections; objects and records stay.
    pub fn stop(&self) {
        let Some(acceptor) = locked(&self.acceptor).take() else {
            return;
        };
        self.shared.is_stopped.store(true, Ordering::SeqCst);
        // Wakes the acceptor, which then sees the flag and drops the listener.
        TcpStream::connect(self.address).ok();
        acceptor.join().expect("the acceptor does not panic");
        self.close_connections();
        self.shared.ring();
    }

    /// Listens again on the same port after [`ApiServer::stop`].
    pub fn resume(&self) {
        if locked(&self.acceptor).is_some() {
            return;
        }
        // Somebody's connection may have been given the port meanwhile; it does not last.
        let end = Instant::now() + Duration::from_secs(30);
        let listener = loop {
            match TcpListener::bind(self.address) {
                Err(error) if error.kind() == ErrorKind::AddrInUse && Instant::now() < end => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                bound => break bound.expect("the port that was closed"),
            }
        };
        self.accept_from(listener);
    }

    fn accept_from(&self, listener: TcpListener) {
        self.shared.is_stopped.store(false, Ordering::SeqCst);
        let shared = Arc::clone(&self.shared);
        let named = std::thread::Builder::new().name("api-accept".to_owned());
        let acceptor = named.spawn(move || accept(&shared, &listener)).expect("a thread");
        *locked(&self.acceptor) = Some(acceptor);
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Shared {
    fn record(&self, seen: Seen) {
        let mut journal = locked(&self.journal);
        if journal.len() >= LONGEST_JOURNAL {
            journal.pop_front();
        }
        journal.push_back(seen);
        drop(journal);
        self.ring();
    }

    fn ring(&self) {
        let mut change = locked(&self.change);
        *change += 1;
        drop(change);
        self.news.notify_all();
    }

    /// Waits until something has changed since `seen`, the server stops, or `patience` runs out.
    fn wait_for_news(&self, seen: u64, patience: Duration) {
        let change = locked(&self.change);
        let waited = self.news.wait_timeout_while(change, patience, |change| *change == seen);
        drop(waited.unwrap_or_else(PoisonError::into_inner));
    }

    fn is_stopped(&self) -> bool {
        self.is_stopped.load(Ordering::SeqCst)
    }
}

/// Accepts until the server stops; a thread serves each connection and ends with it.
fn accept(shared: &Arc<Shared>, listener: &TcpListener) {
    for stream in listener.incoming() {
        if shared.is_stopped() {
            return;
        }
        let Ok(stream) = stream else { continue };
        let (Ok(()), Ok(closer)) = (stream.set_nodelay(true), stream.try_clone()) else {
            continue;
        };
        let id = shared.next_connection.fetch_add(1, Ordering::SeqCst);
        locked(&shared.connections).insert(id, closer);
        let served = Arc::clone(shared);
        let named = std::thread::Builder::new().name("api-connection".to_owned());
        let started = named.spawn(move || {
            let config = locked(&served.authority).as_ref().map(Authority::server_config);
            match config {
                None => http::serve(&served, stream),
                Some(config) => {
                    tls::accept(config, stream).into_iter().for_each(|stream| http::serve(&served, stream))
                }
            }
            locked(&served.connections).remove(&id);
            served.ring();
        });
        started.expect("a thread");
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A failed assertion in one test thread must not become a second panic elsewhere.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Enough for every test; a benchmark must not fill the memory.
pub const LONGEST_JOURNAL: usize = 65_536;

/// The year in which an expired certificate ended.
const LONG_AGO: i32 = 2001;
