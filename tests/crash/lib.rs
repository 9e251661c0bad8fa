//! What `make crash` and `make soak` share: volumes whose content tells of which version it is, and verdicts on
//! what was seen.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::disallowed_methods,
    reason = "a harness that cannot go on ends, and it sets its own stage"
)]

pub mod content;
pub mod copy;
pub mod verdicts;
pub mod volume;
