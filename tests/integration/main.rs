//! Integration tests: the real driver as a process, real sockets, the real kernel.
//!
//! Mounts need a mount namespace of their own: `make test` runs this through `tests/sandbox.sh`. Where a new test
//! goes: one module for each theme below; what the API server, a provider or kubelet does lives in the crate `kit`.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    reason = "a test that cannot go on should stop there"
)]
#![allow(clippy::disallowed_methods, reason = "tests set their own stage")]

mod absent_provider;
mod api_parity;
mod arguments;
mod cli;
mod concurrency;
mod credentials;
mod deadline;
mod doctor;
mod events;
mod flag_tables;
mod group;
mod habits;
mod hardening;
mod health;
mod hostile;
mod identity;
mod manifests;
mod memory;
mod metrics;
mod operator;
mod operator_manifests;
mod panics;
mod pod_status;
mod provider;
mod provider_socket;
mod proxies;
mod publish;
mod publish_failure;
mod queries;
mod quiet;
mod refresh;
mod refresh_failure;
mod registration;
mod restart;
mod secrecy;
mod secret_sync;
mod separation;
mod shutdown;
mod unpublish;
