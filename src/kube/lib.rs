//! The API server, as a blocking REST client: the few requests that a node plugin needs, and no more.
//!
//! It is written by hand over an HTTP library because the whole need is a dozen calls and one way to follow a
//! collection; a general Kubernetes client would bring an async runtime and more code than the rest of the driver
//! together. `calls` says what is asked, `client` how it gets there, `watch` how changes arrive. The module knows
//! nothing of CSI, providers or volumes.
//!
//! The threat is a bearer token that may read and write in every namespace. It is sent only to the configured
//! server, over TLS that trusts the cluster's own authority alone; redirects and proxies are refused, names
//! from a pod's specification are checked before they become part of a path, and no error or log line holds
//! the token. What this module cannot close is the HTTP library's own trace log, which shows whole requests:
//! `logging` shuts it at every verbosity.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod budget;
pub mod claims;
pub mod client;
pub mod config;
pub mod error;
pub mod event;
pub mod gate;
pub mod look;
pub mod object;
pub mod pod_tokens;
pub mod resource;
pub mod review;
pub mod types;
pub mod watch;

mod calls;
mod event_limit;
mod retry;
mod stream;
mod token;
mod transport;
mod verb;
mod wiping;

#[cfg(test)]
mod client_tests;
#[cfg(test)]
mod event_tests;

pub use budget::Budget;
pub use client::{Client, RequestObserver};
pub use config::{ClusterConfig, ConfigError};
pub use error::ApiError;
pub use event::{Dropped, EventSettings, EventSink, PodRef, Reason};
pub use types::{
    Event, ObjectVersion, OwnerReference, PodStatusMeta, SecretProviderClass, SecretProviderClassPodStatus,
};
