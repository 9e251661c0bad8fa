//! One HTTP exchange with the API server: with `wiping`, the only file that names the HTTP library.
//!
//! It trusts the cluster's own authority and nothing else, follows no redirect, asks no proxy, and bounds
//! every answer in time and size. It knows no resource and never tries twice, except that a changed authority
//! bundle is picked up when a handshake fails. The token goes into one header, marked sensitive; errors are
//! made of our own words or of the operating system's, so nothing that was sent can come back in them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustls::pki_types::CertificateDer;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, RETRY_AFTER};
use ureq::http::{HeaderValue, Method, Request, Response, Uri};
use ureq::tls::{Certificate, RootCerts, TlsConfig};
use ureq::unversioned::resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::{Connector, DefaultConnector, NextTimeout};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::config::{ClusterConfig, ConfigError, load_authority};
use super::error::TransportError;
use super::stream::Stream;
use super::token::LARGEST_TOKEN_BYTES;
pub use super::verb::{Form, Verb};
use super::wiping::WipingConnector;
use base::lock::{Mutex, MutexGuard};
use base::secret::SecretString;
use base::text::printable;

/// Connections to one API server.
pub struct Transport {
    base: String,
    authority_file: Option<PathBuf>,
    user_agent: String,
    session: Mutex<Session>,
}

/// Connections that share one set of trusted authorities.
#[derive(Clone)]
struct Session {
    agent: Agent,
    authority: Arc<Vec<CertificateDer<'static>>>,
    checked_at: Instant,
}

/// One request, ready to be sent.
pub struct Outbound<'a> {
    /// What is done.
    pub verb: Verb,
    /// Path and query.
    pub path: &'a str,
    /// How much of the object the answer should hold.
    pub form: Form,
    /// The object or patch to send, as JSON.
    pub body: Option<&'a [u8]>,
}

/// What a request for a stream led to.
pub enum Opened {
    /// The stream.
    Stream(Stream),
    /// An answer with a status that is not 200.
    Refused(Answer),
}

/// A complete answer, whatever its status.
pub struct Answer {
    /// HTTP status code.
    pub code: u16,
    /// The Retry-After header, where it was a number of seconds.
    pub retry_after: Option<Duration>,
    /// The Date header, as it came.
    pub date: Option<String>,
    /// The body, at most [`LARGEST_ANSWER_BYTES`]; overwritten when dropped, since it may hold a Secret.
    pub body: Zeroizing<Vec<u8>>,
}

fn method(verb: Verb) -> Method {
    match verb {
        Verb::Get | Verb::List | Verb::Watch => Method::GET,
        Verb::Create => Method::POST,
        Verb::Update => Method::PUT,
        Verb::Patch | Verb::Apply => Method::PATCH,
        Verb::Delete => Method::DELETE,
    }
}

impl Transport {
    /// Loads the authority bundle and prepares connections; none is made yet.
    ///
    /// # Errors
    /// [`ConfigError`] for an unusable address, authority bundle or user agent.
    pub fn new(config: &ClusterConfig, now: Instant) -> Result<Transport, ConfigError> {
        let base = config.base()?;
        HeaderValue::from_str(&config.user_agent).map_err(|_| ConfigError::UserAgent)?;
        let authority_file = match (config.is_encrypted(), &config.ca_file) {
            (false, _) => None,
            (true, Some(file)) => Some(file.clone()),
            (true, None) => return Err(ConfigError::NoAuthority),
        };
        let authority = Arc::new(match &authority_file {
            Some(file) => load_authority(file)?,
            None => Vec::new(),
        });
        let agent = agent(&authority, &config.user_agent);
        let session = Mutex::new(Session { agent, authority, checked_at: now });
        Ok(Transport { base, authority_file, user_agent: config.user_agent.clone(), session })
    }

    /// Sends one request and reads the whole answer within `time`.
    ///
    /// # Errors
    /// [`TransportError`] when no complete answer came. Any status code is an answer.
    pub fn send(
        &self,
        outbound: &Outbound<'_>,
        token: Option<&SecretString>,
        time: Duration,
    ) -> Result<Answer, TransportError> {
        read(self.trusting(time, |left| self.exchange(outbound, token, Patience::Whole(left)))?)
    }

    /// Sends one request and, if its head comes within `time`, leaves the answer to be read as it comes, for at most
    /// `lifetime`.
    ///
    /// # Errors
    /// [`TransportError`] when no answer came.
    pub fn open(
        &self,
        outbound: &Outbound<'_>,
        token: Option<&SecretString>,
        time: Duration,
        lifetime: Duration,
    ) -> Result<Opened, TransportError> {
        let patience = |head| Patience::Stream { head, body: lifetime };
        let answer = self.trusting(time, |left| self.exchange(outbound, token, patience(left)))?;
        if answer.status().as_u16() != 200 {
            return read(answer).map(Opened::Refused);
        }
        Ok(Opened::Stream(Stream::new(answer.into_body().into_reader())))
    }

    /// Exchanges under the authority as it is now. A failed handshake is what a rotated one looks like: then, since
    /// nothing of the request has left yet, once more under the new one.
    fn trusting(
        &self,
        time: Duration,
        exchange: impl Fn(Duration) -> Result<Response<Body>, TransportError>,
    ) -> Result<Response<Body>, TransportError> {
        let started = Instant::now();
        self.refresh_authority(started, false);
        let first = exchange(time);
        if !matches!(first, Err(TransportError::Tls { .. })) || !self.refresh_authority(started, true) {
            return first;
        }
        exchange(time.saturating_sub(started.elapsed()))
    }

    fn exchange(
        &self,
        outbound: &Outbound<'_>,
        token: Option<&SecretString>,
        patience: Patience,
    ) -> Result<Response<Body>, TransportError> {
        let (Patience::Whole(time) | Patience::Stream { head: time, .. }) = patience;
        if time.is_zero() {
            return Err(TransportError::Timeout);
        }
        let agent = self.session().agent.clone();
        let Outbound { verb, path, form, body } = outbound;
        let mut request = Request::builder().method(method(*verb)).uri(format!("{}{path}", self.base));
        request = request.header(ACCEPT, form.accept(*verb));
        if let Some(token) = token {
            let bearer = Zeroizing::new(format!("Bearer {}", token.expose()));
            let mut value = HeaderValue::from_str(&bearer)
                .map_err(|_| TransportError::Protocol { cause: "the token is not a legal header value" })?;
            value.set_sensitive(true);
            request = request.header(AUTHORIZATION, value);
        }
        let [whole, to_head, for_body] = patience.timeouts();
        let illegal = |_| TransportError::Protocol { cause: "the request is not legal" };
        let answer = match body {
            Some(body) => {
                let request = request.header(CONTENT_TYPE, verb.content_type());
                let request = request.body(*body).map_err(illegal)?;
                let request = agent.configure_request(request).timeout_global(whole);
                agent.run(request.timeout_recv_response(to_head).timeout_recv_body(for_body).build())
            }
            None => {
                let request = request.body(()).map_err(illegal)?;
                let request = agent.configure_request(request).timeout_global(whole);
                agent.run(request.timeout_recv_response(to_head).timeout_recv_body(for_body).build())
            }
        };
        answer.map_err(transport_error)
    }

    /// Looks at the authority bundle, at most once in [`AUTHORITY_REREAD_AFTER`] unless `at_once`; true when
    /// it changed. A bundle that cannot be read leaves the last good one in use.
    fn refresh_authority(&self, now: Instant, at_once: bool) -> bool {
        let Some(file) = &self.authority_file else {
            return false;
        };
        {
            let mut session = self.session();
            if !at_once && now.saturating_duration_since(session.checked_at) < AUTHORITY_REREAD_AFTER {
                return false;
            }
            // Set before the file is read, outside the lock: the other callers go on with what is at hand.
            session.checked_at = now;
        }
        let authority = match load_authority(file) {
            Ok(authority) => authority,
            Err(error) => {
                log::warn!(error:% = error; "the last good certificate authority stays in use");
                return false;
            }
        };
        let mut session = self.session();
        if *session.authority == authority {
            return false;
        }
        // A new agent, because connections made under the old bundle must not outlive its removal.
        session.agent = agent(&authority, &self.user_agent);
        session.authority = Arc::new(authority);
        log::info!(file:% = file.display(); "certificate authority bundle has changed");
        true
    }

    fn session(&self) -> MutexGuard<'_, Session> {
        // No code that can panic runs between two changes of the session.
        self.session.lock()
    }
}

/// How long an exchange may take.
#[derive(Clone, Copy)]
enum Patience {
    /// From the connection to the end of the answer.
    Whole(Duration),
    /// To the head of the answer, and then to the end of its body.
    Stream { head: Duration, body: Duration },
}

impl Patience {
    /// In the library's terms: for the whole exchange, for the head of the answer, for its body.
    fn timeouts(self) -> [Option<Duration>; 3] {
        match self {
            Patience::Whole(time) => [Some(time), None, None],
            Patience::Stream { head, body } => [None, Some(head), Some(body)],
        }
    }
}

/// An agent that trusts `authority` alone.
fn agent(authority: &[CertificateDer<'static>], user_agent: &str) -> Agent {
    let roots: Vec<_> = authority.iter().map(|der| Certificate::from_der(der).to_owned()).collect();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::new_with_certs(&roots))
        .unversioned_rustls_crypto_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .build();
    let config = Agent::config_builder()
        .tls_config(tls)
        // A proxy named in the environment would be handed requests for the API server.
        .proxy(None)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .user_agent(user_agent)
        .timeout_connect(Some(CONNECT_TIMEOUT))
        .max_idle_connections(MOST_IDLE_CONNECTIONS)
        .max_idle_connections_per_host(MOST_IDLE_CONNECTIONS)
        .max_idle_age(LONGEST_IDLE)
        .input_buffer_size(INPUT_BUFFER_BYTES)
        .output_buffer_size(OUTPUT_BUFFER_BYTES)
        .build();
    Agent::with_parts(config, DefaultConnector::default().chain(WipingConnector), LiteralFirst::default())
}

/// Reads the answer to its end.
fn read(mut answer: Response<Body>) -> Result<Answer, TransportError> {
    let header = |name| answer.headers().get(name)?.to_str().ok();
    let retry_after = header(RETRY_AFTER).and_then(|text| text.trim().parse().ok()).map(Duration::from_secs);
    let date = header(DATE).map(str::to_owned);
    let body =
        answer.body_mut().with_config().limit(LARGEST_ANSWER_BYTES).read_to_vec().map_err(transport_error)?;
    Ok(Answer { code: answer.status().as_u16(), retry_after, date, body: Zeroizing::new(body) })
}

/// The library's error in our terms.
fn transport_error(error: ureq::Error) -> TransportError {
    use ureq::Timeout;
    match error {
        ureq::Error::Io(cause) => io_transport_error(&cause),
        ureq::Error::Timeout(Timeout::Connect | Timeout::Resolve) => {
            TransportError::Connect { cause: "timed out".to_owned() }
        }
        ureq::Error::Timeout(_) => TransportError::Timeout,
        ureq::Error::HostNotFound => TransportError::Connect { cause: "its name has no address".to_owned() },
        ureq::Error::ConnectionFailed => TransportError::Connect { cause: "failed".to_owned() },
        ureq::Error::Rustls(cause) => TransportError::Tls { cause: shown(&cause) },
        ureq::Error::Tls(cause) => TransportError::Tls { cause: cause.to_owned() },
        ureq::Error::BodyExceedsLimit(limit) => TransportError::TooLarge { limit },
        ureq::Error::LargeResponseHeader(_, limit) => {
            TransportError::TooLarge { limit: u64::try_from(limit).unwrap_or(LARGEST_ANSWER_BYTES) }
        }
        // The rest describes bytes of the exchange; its kind is enough.
        ureq::Error::Protocol(_) => TransportError::Protocol { cause: "the answer is malformed" },
        _ => TransportError::Protocol { cause: "the library gave no reason" },
    }
}

pub(super) fn io_transport_error(cause: &io::Error) -> TransportError {
    if let Some(tls) = cause.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>()) {
        return TransportError::Tls { cause: shown(tls) };
    }
    // The library says so of a body that does not go on, under whatever kind.
    let inner = cause.get_ref().and_then(|inner| inner.downcast_ref::<ureq::Error>());
    if let Some(ureq::Error::Timeout(_)) = inner {
        return TransportError::Timeout;
    }
    match cause.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::HostUnreachable
        | io::ErrorKind::NetworkUnreachable
        | io::ErrorKind::NetworkDown
        | io::ErrorKind::AddrNotAvailable => TransportError::Connect { cause: shown(cause) },
        io::ErrorKind::TimedOut => TransportError::Timeout,
        _ => TransportError::Lost { cause: shown(cause) },
    }
}

fn shown(cause: &dyn fmt::Display) -> String {
    printable(&cause.to_string(), LONGEST_CAUSE_BYTES)
}

/// Takes an address literal as it is, and asks the system for names.
///
/// The library starts a thread for each lookup, so that a timeout can end it. In a cluster the server is an
/// address, and a thread for each request would be all that the lookup does.
#[derive(Debug, Default)]
struct LiteralFirst(DefaultResolver);

impl Resolver for LiteralFirst {
    fn resolve(
        &self,
        uri: &Uri,
        config: &ureq::config::Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let host = uri.host().map(|host| host.trim_start_matches('[').trim_end_matches(']'));
        let Some(address) = host.and_then(|host| host.parse::<IpAddr>().ok()) else {
            return self.0.resolve(uri, config, timeout);
        };
        let default_port = if uri.scheme_str() == Some("http") { 80 } else { 443 };
        let mut addresses = self.0.empty();
        addresses.push(SocketAddr::new(address, uri.port_u16().unwrap_or(default_port)));
        Ok(addresses)
    }
}

/// The largest answer that is held as a whole: etcd keeps no object above 1.5 MiB.
pub const LARGEST_ANSWER_BYTES: u64 = 4 * 1024 * 1024;
/// Long enough for a lost SYN and its first two repetitions.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);
/// Half of the requests that may be under way at once: bursts may reconnect, steady work does not.
const MOST_IDLE_CONNECTIONS: usize = 8;
/// Shorter than the idle timeouts of the load balancers that stand before API servers.
const LONGEST_IDLE: Duration = Duration::from_secs(50);
/// Each connection holds two buffers of either size when it is encrypted, and keeps them while it idles: what a
/// TLS record holds is enough for any answer to be read by and by, and for the head of every sensible one.
const INPUT_BUFFER_BYTES: usize = 16 * 1024;
/// The head of a request has to fit, and the largest token is most of it.
const OUTPUT_BUFFER_BYTES: usize = LARGEST_TOKEN_BYTES + 4 * 1024;
/// As often as the token; a removed authority must not stay trusted until a restart.
const AUTHORITY_REREAD_AFTER: Duration = Duration::from_secs(60);
/// Causes are one clause.
const LONGEST_CAUSE_BYTES: usize = 300;
