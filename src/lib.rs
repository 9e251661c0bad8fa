//! The Secrets Store CSI Driver: mounts secrets from external stores into pods as in-memory volumes and keeps
//! them fresh.
//!
//! # Where to find what
//!
//! ```text
//! kubelet ──unix socket──> csi ──> publish ──> volume ──> sys        kernel
//!                                    │ │ │       └────> mounter      a second process, which alone may mount
//!                                    │ │ └───> provider ──> rpc      providers' unix sockets
//!                                    │ └─────> kube                  API server
//!                                    └───────> sync                  what a class mirrors into Secrets
//! ```
//!
//! A publish walks through the code like this:
//!
//! 1. [`csi`]`::node` receives the message, [`csi`]`::request` checks it into a [`publish`]`::request`;
//! 2. [`publish`] tells the story: claim the volume, look what is there, then first publish or refresh;
//! 3. [`kube`]`::client` reads the SecretProviderClass, [`publish`]`::attributes` merges it with the pod's;
//! 4. [`volume`]`::place` has the [`mounter`] mount a closed tmpfs, which it does through [`sys`]`::mount`;
//! 5. [`provider`] finds the socket, sees who listens, and asks; [`volume`]`::payload` checks the answer's every path
//!    and mode;
//! 6. [`volume`]`::writer` makes it the content, in numbered steps;
//! 7. [`volume`]`::live` opens the root, [`publish`]`::pod_status` tells the API server;
//! 8. [`sync`]`::reconcile` mirrors files into the Secrets that the class asks for, and kubelet gets its answer.
//!
//! # Layers, from the top; each imports only what is below it
//!
//! | layer | modules | what they do |
//! |---|---|---|
//! | roots | [`driver`], [`doctor`], [`operator`], [`reference_provider`] | put the parts together, name every thread |
//! | services | [`csi`], [`registration`] | translate messages |
//! | use cases | [`publish`], below it [`sync`] | decide |
//! | adapters | [`rpc`], [`provider`], [`volume`], [`mounter`], [`kube`], [`metrics`], [`http`], [`health`], [`admin`] | one outside world each |
//! | leaves | [`confinement`], [`sys`], [`config`], [`cli`], [`secret`], [`logging`], [`shutdown`] and small ones | know nothing of ours |
//!
//! # What is not here
//!
//! No `unsafe` of ours, no async runtime, no global state, no path that reaches the kernel once a volume is open,
//! no lock held across I/O, no `{:?}` of a message, no secret in a log line, an error, an event or a metric.
//! `volume` knows no Kubernetes, `kube` no CSI, and nothing below the roots reads flags or the environment.

#![forbid(unsafe_code)]
#![warn(missing_docs)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::indexing_slicing,
        clippy::panic,
        reason = "a test that cannot go on should stop there"
    ),
    allow(clippy::disallowed_methods, reason = "tests set their own stage")
)]

pub mod admin;
pub mod backoff;
pub mod build_info;
pub mod cli;
pub mod config;
pub mod confinement;
pub mod csi;
pub mod doctor;
pub mod driver;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
pub mod go_duration;
pub mod health;
pub mod http;
pub mod kube;
pub mod lock;
pub mod logging;
pub mod metrics;
pub mod mounter;
pub mod operator;
pub mod panics;
pub mod places;
pub mod provider;
pub mod publish;
pub mod reference_provider;
pub mod registration;
pub mod rpc;
pub mod secret;
pub mod semaphore;
pub mod shutdown;
pub mod sync;
pub mod sys;
pub mod text;
pub mod timestamp;
pub mod volume;
