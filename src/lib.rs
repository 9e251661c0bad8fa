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
//! # Crates, from the top; each sees only what is below it
//!
//! Each directory of `src/` with a `Cargo.toml` is a crate, so the compiler keeps this table. `csi`, `registration` and
//! `driver` are modules of the driver's own, which is this one.
//!
//! | layer | crates | what they do |
//! |---|---|---|
//! | roots | [`driver`], [`doctor`], `operator` | put the parts together, name every thread |
//! | services | [`csi`], [`registration`] | translate messages |
//! | use cases | [`publish`], below it [`sync`] | decide |
//! | adapters | [`provider`], [`volume`], [`mounter`], [`kube`], [`rpc`], [`web`], [`metrics`] | one outside world each |
//! | below | [`confinement`], [`config`], [`sys`], [`base`] | know nothing of what stands above |
//!
//! # What is not here
//!
//! No `unsafe` of ours, no async runtime, no global state, no path that reaches the kernel once a volume is open,
//! no lock held across I/O, no `{:?}` of a message, no secret in a log line, an error, an event or a metric.
//! `volume` knows no Kubernetes, `kube` no CSI, and nothing below the roots reads flags or the environment.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod csi;
pub mod driver;
pub mod registration;
