//! The calls that the driver makes, each within a budget, with retries and bounded concurrency.
//!
//! A call is retried when trying again may help and cannot harm: reads always, updates because they name the
//! version they replace, creates because every object created here carries its name. A repeated create or
//! update whose first attempt did succeed therefore ends as `AlreadyExists` or `Conflict`, never as a second
//! object, and callers handle those two anyway. The client keeps no cache and decides nothing.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::de::DeserializeOwned;
use serde_json::Value;

use super::budget::Budget;
use super::config::{ClusterConfig, ConfigError};
use super::error::{ApiError, Call, Trouble, json_problem};
use super::gate::Gate;
use super::resource::{CLASSES, EVENTS, POD_STATUSES, Resource};
use super::retry::Retry;
use super::token::TokenFile;
use super::transport::{Answer, Transport, Verb};
use super::types::{Event, SecretProviderClass, SecretProviderClassPodStatus};

/// Told of every HTTP request: the verb (`get`, `create`, `update`), and the status code or `error`.
pub type RequestObserver = Arc<dyn Fn(&str, &str) + Send + Sync>;

/// A handle to the API server; clones share connections, token and limits.
#[derive(Clone)]
pub struct Client(Arc<Inner>);

struct Inner {
    transport: Transport,
    token: Option<TokenFile>,
    request_timeout: Duration,
    gate: Gate,
    seeds: RandomState,
    observer: RequestObserver,
}

/// What is sent: the call for messages, and its form on the wire.
struct Outgoing {
    call: Box<Call>,
    verb: Verb,
    path: String,
    body: Option<Vec<u8>>,
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
            seeds: RandomState::new(),
            observer,
        })))
    }

    /// The SecretProviderClass of that name.
    ///
    /// # Errors
    /// [`ApiError`]; a missing class is `is_not_found`.
    pub fn class(
        &self,
        namespace: &str,
        name: &str,
        budget: Budget,
    ) -> Result<SecretProviderClass, ApiError> {
        let outgoing = Outgoing::get(&CLASSES, namespace, name)?;
        let object: Value = self.fetch(&outgoing, budget)?;
        SecretProviderClass::from_json(object)
            .map_err(|shape| ApiError::Shape { call: outgoing.call, problem: shape.to_string() })
    }

    /// The pod status of that name, with every field it has.
    ///
    /// # Errors
    /// [`ApiError`]; a missing pod status is `is_not_found`.
    pub fn pod_status(
        &self,
        namespace: &str,
        name: &str,
        budget: Budget,
    ) -> Result<SecretProviderClassPodStatus, ApiError> {
        self.fetch(&Outgoing::get(&POD_STATUSES, namespace, name)?, budget)
    }

    /// Creates the pod status and returns it as stored.
    ///
    /// # Errors
    /// [`ApiError`]; one that exists is `is_already_exists`.
    pub fn create_pod_status(
        &self,
        status: &SecretProviderClassPodStatus,
        budget: Budget,
    ) -> Result<SecretProviderClassPodStatus, ApiError> {
        self.fetch(&Outgoing::pod_status(Verb::Create, status)?, budget)
    }

    /// Replaces the pod status if it still has the resource version that `status` carries, and returns it as
    /// stored.
    ///
    /// # Errors
    /// [`ApiError`]; a change by somebody else in between is `is_conflict`.
    pub fn update_pod_status(
        &self,
        status: &SecretProviderClassPodStatus,
        budget: Budget,
    ) -> Result<SecretProviderClassPodStatus, ApiError> {
        self.fetch(&Outgoing::pod_status(Verb::Update, status)?, budget)
    }

    /// Creates the event.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn create_event(&self, event: &Event, budget: Budget) -> Result<(), ApiError> {
        let (namespace, name) = (&event.metadata.namespace, &event.metadata.name);
        let call = Call::on("create", &EVENTS, namespace, name);
        let Ok(body) = serde_json::to_vec(event) else {
            return Err(ApiError::Encode { call });
        };
        EVENTS.object(namespace, name)?;
        let path = EVENTS.collection(namespace)?;
        self.send(&Outgoing { call, verb: Verb::Create, path, body: Some(body) }, budget).map(drop)
    }

    /// Asks for the server's version, which every authenticated client may: proves address, trust and token.
    ///
    /// # Errors
    /// [`ApiError`].
    pub fn ping(&self, budget: Budget) -> Result<(), ApiError> {
        let resource = "the API server's version".to_owned();
        let call = Box::new(Call { verb: "get", resource, namespace: String::new(), name: String::new() });
        let outgoing = Outgoing { call, verb: Verb::Get, path: "/version".to_owned(), body: None };
        self.fetch::<Value>(&outgoing, budget).map(drop)
    }

    fn fetch<T: DeserializeOwned>(&self, outgoing: &Outgoing, budget: Budget) -> Result<T, ApiError> {
        let body = self.send(outgoing, budget)?;
        serde_json::from_slice(&body)
            .map_err(|error| ApiError::Shape { call: outgoing.call.clone(), problem: json_problem(&error) })
    }

    /// Sends until it succeeds, fails for good, or the budget does not cover another attempt.
    fn send(&self, outgoing: &Outgoing, budget: Budget) -> Result<Vec<u8>, ApiError> {
        let mut retry = Retry::new(self.0.seeds.build_hasher().finish());
        let mut may_replace_token = true;
        loop {
            let error = match self.attempt(outgoing, budget, &mut may_replace_token) {
                Ok(body) => return Ok(body),
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

    /// One attempt, and a second one at once when the token was refused and the file holds another.
    fn attempt(
        &self,
        outgoing: &Outgoing,
        budget: Budget,
        may_replace: &mut bool,
    ) -> Result<Vec<u8>, ApiError> {
        let inner = &*self.0;
        let pass = inner.gate.enter(budget.remaining());
        if pass.is_none() {
            return Err(ApiError::OutOfTime { call: outgoing.call.clone() });
        }
        let token = inner.token.as_ref().map(|file| (file, file.current(Instant::now())));
        let mut answer = self.exchange(outgoing, token.as_ref().map(|(_, token)| token), budget)?;
        if let Some((file, refused)) = token.filter(|_| answer.code == 401)
            && std::mem::take(may_replace)
            && file.replace(&refused, Instant::now())
        {
            answer = self.exchange(outgoing, Some(&file.current(Instant::now())), budget)?;
        }
        match answer {
            Answer { code: 200..=299, body, .. } => Ok(body),
            Answer { code, retry_after, body } => {
                Err(ApiError::from_answer(outgoing.call.clone(), code, retry_after, &body))
            }
        }
    }

    /// One HTTP request.
    fn exchange(
        &self,
        outgoing: &Outgoing,
        token: Option<&crate::secret::SecretString>,
        budget: Budget,
    ) -> Result<Answer, ApiError> {
        let inner = &*self.0;
        let time = budget.remaining().min(inner.request_timeout);
        if time.is_zero() {
            return Err(ApiError::OutOfTime { call: outgoing.call.clone() });
        }
        let result =
            inner.transport.send(outgoing.verb, &outgoing.path, outgoing.body.as_deref(), token, time);
        let code = result.as_ref().map_or("error".to_owned(), |answer| answer.code.to_string());
        (inner.observer)(outgoing.verb.name(), &code);
        result.map_err(|trouble: Trouble| ApiError::Transport { call: outgoing.call.clone(), trouble })
    }
}

impl Outgoing {
    fn get(resource: &Resource, namespace: &str, name: &str) -> Result<Outgoing, ApiError> {
        let path = resource.object(namespace, name)?;
        Ok(Outgoing { call: Call::on("get", resource, namespace, name), verb: Verb::Get, path, body: None })
    }

    fn pod_status(verb: Verb, status: &SecretProviderClassPodStatus) -> Result<Outgoing, ApiError> {
        let (namespace, name) = (&status.metadata.namespace, &status.metadata.name);
        let call = Call::on(verb.name(), &POD_STATUSES, namespace, name);
        let object = POD_STATUSES.object(namespace, name)?;
        let path = if verb == Verb::Update { object } else { POD_STATUSES.collection(namespace)? };
        let Ok(body) = serde_json::to_vec(status) else {
            return Err(ApiError::Encode { call });
        };
        Ok(Outgoing { call, verb, path, body: Some(body) })
    }
}

/// A node starts at most some dozen pods at once; each request holds a socket and up to a few MiB.
pub const MOST_REQUESTS_AT_ONCE: usize = 16;
