//! What knows nothing of the others: secrets, time, text, flags, logs, and how a program stops.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

pub mod backoff;
pub mod build_info;
pub mod cli;
pub mod go_duration;
pub mod lock;
pub mod logging;
pub mod panics;
pub mod places;
pub mod secret;
pub mod semaphore;
pub mod shutdown;
pub mod text;
pub mod timestamp;
