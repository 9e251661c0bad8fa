//! How calls reach the API server: each within a budget, with retries and bounded concurrency. The calls themselves
//! are in `calls`.
//!
//! A call is retried when trying again may help and cannot harm: reads always, updates and patches because they
//! name the version they replace, creates because every object created here carries its name. A repeated create or
//! update whose first attempt did succeed therefore ends as `AlreadyExists` or `Conflict`, never as a second
//! object, and callers handle those two anyway. The client keeps no cache and decides nothing.

use std::marker::PhantomData;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::{DeserializeOwned, DeserializeSeed};
use zeroize::Zeroizing;

use super::budget::Budget;
use super::config::{ClusterConfig, ConfigError};
use super::error::{ApiError, Call, TransportError, json_problem};
use super::gate::{Gate, Line};
use super::resource::{PODS, SECRETS};
use super::retry::Retry;
use super::review::QUALIFIED_TOKEN_REVIEWS;
use super::stream::{Stream, Unread};
use super::token::TokenFile;
use super::transport::{Answer, Form, Opened, Outbound, Transport, Verb};
use base::backoff::Jitter;
use base::secret::SecretString;

/// Told of every HTTP request: the verb as access rules name it, and the status code or `error`.
pub type RequestObserver = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// A handle to the API server; clones share connections, token and limits.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    token: Option<TokenFile>,
    request_timeout: Duration,
    gate: Gate,
    observer: RequestObserver,
}

/// What is sent: the call for messages, and its form on the wire.
pub(super) struct Outgoing {
    pub(super) call: Box<Call>,
    pub(super) verb: Verb,
    pub(super) path: String,
    pub(super) form: Form,
    /// Overwritten when dropped, since it may hold a Secret.
    pub(super) body: Option<Zeroizing<Vec<u8>>>,
}

impl Client {
    /// Reads the authority bundle and the token; no connection is made yet.
    ///
    /// # Errors
    /// [`ConfigError`] when an address or a file cannot be used.
    pub fn new(config: &ClusterConfig, observer: RequestObserver) -> Result<Client, ConfigError> {
        let now = Instant::now();
        let open = |file: &std::path::PathBuf| {
            TokenFile::open(file, now).map_err(|cause| ConfigError::Token { file: file.clone(), cause })
        };
        Ok(Client(Arc::new(Inner {
            transport: Transport::new(config, now)?,
            token: config.token_file.as_ref().map(open).transpose()?,
            request_timeout: config.request_timeout,
            gate: Gate::new(MOST_REQUESTS_AT_ONCE),
            observer,
        })))
    }

    pub(super) fn fetch<T: DeserializeOwned>(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
    ) -> Result<T, ApiError> {
        let body = self.send(outgoing, budget)?;
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::Shape { call: outgoing.call.clone(), problem: json_problem(&error) })
    }

    /// Reads an object, or a page of them, as it comes: of any size that the API server stores, since nothing is held
    /// of it but what `seed` keeps. An attempt that breaks off in the middle is followed by one from the beginning.
    pub(super) fn read<'de, S: DeserializeSeed<'de>>(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
        mut seed: impl FnMut() -> S,
    ) -> Result<S::Value, ApiError> {
        self.persist(budget, |may_replace_token| self.read_by(outgoing, budget, may_replace_token, seed()))
    }

    /// As [`Client::read`], once.
    pub(super) fn read_once<T: DeserializeOwned>(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
    ) -> Result<T, ApiError> {
        self.read_by(outgoing, budget, &mut true, PhantomData::<T>)
    }

    fn read_by<'de, S: DeserializeSeed<'de>>(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
        may_replace_token: &mut bool,
        seed: S,
    ) -> Result<S::Value, ApiError> {
        let stream = self.stream(outgoing, budget, may_replace_token, budget.remaining())?;
        stream.only(seed).map_err(|unread| unread.into_error(&outgoing.call))
    }

    /// Sends until it succeeds, fails for good, or the budget does not cover another attempt.
    pub(super) fn send(&self, outgoing: &Outgoing, budget: Budget) -> Result<Zeroizing<Vec<u8>>, ApiError> {
        self.persist(budget, |may_replace_token| {
            self.attempt(outgoing, budget, may_replace_token).map(|answer| answer.body)
        })
    }

    fn persist<T>(
        &self,
        budget: Budget,
        mut attempt: impl FnMut(&mut bool) -> Result<T, ApiError>,
    ) -> Result<T, ApiError> {
        let mut retry = Retry::new(Jitter::from_entropy());
        let mut may_replace_token = true;
        loop {
            let error = match attempt(&mut may_replace_token) {
                Ok(done) => return Ok(done),
                Err(error) => error,
            };
            if !error.is_retryable() {
                return Err(error);
            }
            let Some(pause) = retry.pause(error.retry_after(), budget.remaining()) else {
                return Err(error);
            };
            log::debug!(error:% = error, pause_ms = u64::try_from(pause.as_millis()).unwrap_or(u64::MAX);
                "request to the API server is retried");
            #[expect(
                clippy::disallowed_methods,
                reason = "ends well within the caller's budget, and holds no pass"
            )]
            std::thread::sleep(pause);
        }
    }

    /// Opens a stream of changes. One attempt: whoever follows a stream knows best when to come back.
    pub(super) fn open(
        &self,
        outgoing: &Outgoing,
        lifetime: Duration,
        budget: Budget,
    ) -> Result<Stream, ApiError> {
        self.stream(outgoing, budget, &mut true, lifetime)
    }

    fn stream(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
        may_replace_token: &mut bool,
        lifetime: Duration,
    ) -> Result<Stream, ApiError> {
        let send = |transport: &Transport, token: Option<&SecretString>, time| {
            transport.open(&outgoing.outbound(), token, time, lifetime)
        };
        match self.authorised(outgoing, budget, may_replace_token, send)? {
            Opened::Stream(stream) => Ok(stream),
            Opened::Refused(answer) => Err(answer.into_error(outgoing)),
        }
    }

    /// Sends once, for whoever would rather know at once how it went.
    pub(super) fn ask_once(&self, outgoing: &Outgoing, budget: Budget) -> Result<Answer, ApiError> {
        self.attempt(outgoing, budget, &mut true)
    }

    fn attempt(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
        may_replace_token: &mut bool,
    ) -> Result<Answer, ApiError> {
        let send = |transport: &Transport, token: Option<&SecretString>, time| {
            transport.send(&outgoing.outbound(), token, time)
        };
        match self.authorised(outgoing, budget, may_replace_token, send)? {
            answer if matches!(answer.code, 200..=299) => Ok(answer),
            answer => Err(answer.into_error(outgoing)),
        }
    }

    /// One exchange, and a second one at once when the token was refused and the file holds another.
    fn authorised<T: Coded>(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
        may_replace_token: &mut bool,
        send: impl Fn(&Transport, Option<&SecretString>, Duration) -> Result<T, TransportError>,
    ) -> Result<T, ApiError> {
        let inner = &*self.0;
        let pass = inner.gate.enter(outgoing.line(), budget.remaining());
        if pass.is_none() {
            return Err(ApiError::OutOfTime { call: outgoing.call.clone() });
        }
        let exchange = |token: Option<&SecretString>| {
            let time = budget.remaining().min(inner.request_timeout);
            if time.is_zero() {
                return Err(ApiError::OutOfTime { call: outgoing.call.clone() });
            }
            let result = send(&inner.transport, token, time);
            let code = result.as_ref().map_or("error".to_owned(), |answer| answer.code().to_string());
            (inner.observer)(outgoing.verb.name(), &code);
            result.map_err(|error| ApiError::Transport { call: outgoing.call.clone(), error })
        };
        let token = inner.token.as_ref().map(|file| (file, file.current(Instant::now())));
        let answer = exchange(token.as_ref().map(|(_, token)| token))?;
        match token.filter(|_| answer.code() == 401) {
            Some((file, refused))
                if std::mem::take(may_replace_token) && file.replace(&refused, Instant::now()) =>
            {
                exchange(Some(&file.current(Instant::now())))
            }
            _ => Ok(answer),
        }
    }
}

impl Unread {
    /// As the failure of that call.
    pub(super) fn into_error(self, call: &Call) -> ApiError {
        let call = Box::new(call.clone());
        match self {
            Unread::CutOff(problem) | Unread::Shape(problem) => ApiError::Shape { call, problem },
            Unread::Transport(error) => ApiError::Transport { call, error },
        }
    }
}

impl Outgoing {
    /// A Secret is the last that a pod waits for, and a pod is asked for on behalf of its Secrets. Where many pods start
    /// at once, what is about to end goes before what has just begun, so that fewer are under way at a time. Those who
    /// ask about Secrets are few enough to leave passes for the others.
    fn line(&self) -> Line {
        let is_for_secrets = [&SECRETS, &PODS].iter().any(|one| self.call.resource == one.qualified());
        if is_for_secrets { Line::First } else { Line::Second }
    }

    fn carries_secret(&self) -> bool {
        let resource = self.call.resource.as_str();
        self.body.is_some() && (resource == SECRETS.qualified() || resource == QUALIFIED_TOKEN_REVIEWS)
    }

    fn outbound(&self) -> Outbound<'_> {
        let body = self.body.as_ref().map(|body| body.as_slice());
        Outbound { verb: self.verb, path: &self.path, form: self.form, body }
    }
}

/// What has a status code.
trait Coded {
    fn code(&self) -> u16;
}

impl Coded for Answer {
    fn code(&self) -> u16 {
        self.code
    }
}

impl Coded for Opened {
    fn code(&self) -> u16 {
        match self {
            Opened::Stream(_) => 200,
            Opened::Refused(answer) => answer.code,
        }
    }
}

impl Answer {
    fn into_error(self, outgoing: &Outgoing) -> ApiError {
        let from = if outgoing.carries_secret() {
            ApiError::from_answer_about_secret
        } else {
            ApiError::from_answer
        };
        from(outgoing.call.clone(), self.code, self.retry_after, &self.body)
    }
}

/// A node starts at most some dozen pods at once; each request holds a socket and up to a few MiB.
pub const MOST_REQUESTS_AT_ONCE: usize = 16;
