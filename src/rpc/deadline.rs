//! Until when a call may work.

use std::time::{Duration, Instant};

/// The deadline that the caller set, and a cap of our own for callers that set none.
#[derive(Clone, Copy)]
pub struct Deadline {
    caller: Option<grpcio::Deadline>,
    cap: Instant,
}

impl Deadline {
    pub(super) fn of_call(caller: grpcio::Deadline) -> Deadline {
        Deadline { caller: Some(caller), cap: Instant::now() + CAP }
    }

    /// A deadline of our own.
    pub fn after(time: Duration) -> Deadline {
        Deadline { caller: None, cap: Instant::now() + time }
    }

    /// The same deadline, or `time` from now if that is sooner.
    pub fn within(self, time: Duration) -> Deadline {
        Deadline { cap: self.cap.min(Instant::now() + time), ..self }
    }

    /// True when nobody waits for the answer any more.
    pub fn is_past(&self) -> bool {
        Instant::now() >= self.cap || self.caller.is_some_and(grpcio::Deadline::exceeded)
    }

    /// The longest that may be left: the library does not show the caller's own time, so this is an upper bound.
    pub fn at_most(&self) -> Duration {
        if self.is_past() { Duration::ZERO } else { self.cap.saturating_duration_since(Instant::now()) }
    }
}

/// Kubelet gives two minutes; nobody gets more.
const CAP: Duration = Duration::from_secs(120);
