//! Mirrors what is mounted into Kubernetes Secrets, as a class's `secretObjects` ask for it.
//!
//! The files here are pure: they turn JSON, bytes and references into others, and know neither the API server nor
//! the volume that the bytes come from. A class's author chooses the names, a provider the bytes, so neither is
//! believed; and no byte of a file is ever part of an error.

pub mod data;
pub mod owners;
mod permission;
mod plan;
mod queue;
pub mod secret_object;
mod units;
