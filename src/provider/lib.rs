//! The programs that know the secrets: found by name as unix sockets, asked over gRPC, trusted with nothing else.
//!
//! A provider may be slow, broken, restarting or hostile. What it answers is bounded in size here and checked
//! where it is used; what it costs is bounded here in time and in calls at once. Nothing here knows volumes.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod answer;
pub mod answer_memory;
pub mod calls;
pub mod client;
mod intake;
pub mod name;
pub mod registry;
pub mod socket;
