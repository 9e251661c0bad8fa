//! Whether a volume's content fits into the memory that the driver may have.
//!
//! The content of volumes is charged to the control group of the driver's pod, and stays charged to it when the
//! container restarts, whose own group then looks empty. At the limit the kernel kills the driver, and every restart
//! has less room than the one before. So content that does not fit is refused before it is written. What is kept free
//! is enough to refresh whatever lives.

use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::provider::answer_memory::AnswerMemory;
use crate::sys::cgroup::{MemoryGroups, Reading};
use crate::sys::proc;

/// The memory of the driver's pod.
pub struct PodMemory {
    state: Mutex<State>,
    answers: AnswerMemory,
    /// What the buffers of gRPC may take, in bytes.
    buffers: u64,
}

struct State {
    groups: MemoryGroups,
    /// What is being written into volumes, in bytes, and may not be charged yet.
    promised: u64,
}

/// Room for content that is about to be written; counted until this is dropped, when the kernel counts it.
#[must_use = "the room is promised until this is dropped"]
pub struct Promise<'a> {
    memory: &'a PodMemory,
    bytes: u64,
}

impl PodMemory {
    /// `buffers` are the bytes that the buffers of gRPC may take.
    pub fn new(groups: MemoryGroups, answers: AnswerMemory, buffers: u64) -> PodMemory {
        PodMemory { state: Mutex::new(State { groups, promised: 0 }), answers, buffers }
    }

    /// Room for `growth` more bytes of content; `content` is what the volumes hold now that the driver wrote, in bytes.
    pub fn promise(&self, growth: u64, content: u64) -> Result<Promise<'_>, OutOfMemory> {
        let mut state = self.lock();
        // What was read is not part of what stays; what is being written may be charged already, or not.
        let passing = self.answers.read_bytes();
        for reading in state.read(content).into_iter().filter(|_| growth > 0) {
            let stays = reading.used.saturating_sub(passing).saturating_add(state.promised);
            let kept_free = self.kept_free(growth, reading.limit);
            if stays.saturating_add(growth).saturating_add(kept_free) > reading.limit {
                return Err(OutOfMemory { growth, used: stays, kept_free, limit: reading.limit });
            }
        }
        state.promised = state.promised.saturating_add(growth);
        Ok(Promise { memory: self, bytes: growth })
    }

    /// The group that is closest to its limit, and what is kept free of that; none where nothing limits the driver's
    /// memory.
    pub fn tightest(&self, content: u64) -> Option<(Reading, u64)> {
        let readings = self.lock().read(content);
        let tightest =
            readings.into_iter().min_by_key(|reading| reading.limit.saturating_sub(reading.used))?;
        Some((tightest, self.kept_free(u64::MAX, tightest.limit)))
    }

    /// For the answers in hand and for gRPC. Where the limit is too small for that, small volumes are better than none.
    /// And what is left in the end is for small ones: who mounts large secrets keeps nobody from mounting a password.
    fn kept_free(&self, growth: u64, limit: u64) -> u64 {
        let for_small = if growth > SMALL_GROWTH_BYTES { limit / PART_FOR_SMALL } else { 0 };
        self.answers.total().saturating_add(self.buffers).min(limit / 2).saturating_add(for_small)
    }

    /// Held while the kernel tells a few numbers, so that no two take the same room.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn read(&mut self, content: u64) -> Vec<Reading> {
        let sees_parent = self.groups.sees_parent();
        let mut readings = self.groups.read();
        // What an earlier container left is charged to the pod's group, which cannot be seen: so it is counted.
        if !sees_parent && let [own] = readings.as_mut_slice() {
            own.used = own.used.max(proc::anonymous_bytes().saturating_add(content));
        }
        readings
    }
}

impl Drop for Promise<'_> {
    fn drop(&mut self) {
        let mut state = self.memory.lock();
        state.promised = state.promised.saturating_sub(self.bytes);
    }
}

/// Content that does not fit. All in bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory {
    growth: u64,
    used: u64,
    kept_free: u64,
    limit: u64,
}

impl fmt::Display for OutOfMemory {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mib = |bytes: u64| bytes.div_ceil(1 << 20);
        write!(
            f,
            "the volume needs {} KiB of memory, and the driver's pod has no room for it: {} of {} MiB are in use, and {} \
             MiB are kept free for refreshes; raise the memory limit of the driver's container, or mount less on this \
             node",
            self.growth.div_ceil(1 << 10),
            mib(self.used),
            mib(self.limit),
            mib(self.kept_free)
        )
    }
}

impl std::error::Error for OutOfMemory {}

/// A volume of that size is a small one.
const SMALL_GROWTH_BYTES: u64 = 64 * 1024;
/// So much of the limit is for small ones: as shipped, hundreds of them.
const PART_FOR_SMALL: u64 = 32;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let answers = AnswerMemory::for_answers_of(4 << 20, None);
        let memory = PodMemory::new(MemoryGroups::default(), answers, 16 << 20);
        assert!(memory.promise(u64::MAX, u64::MAX).is_ok());
        assert_eq!(memory.tightest(0), None);
    }

    #[test]
    fn who_is_refused_is_told_what_there_is_and_what_to_raise() {
        let mib = 1 << 20;
        let error =
            OutOfMemory { growth: 3 * mib + 1, used: 150 * mib, kept_free: 48 * mib, limit: 200 * mib };
        let text = error.to_string();
        for part in ["needs 3073 KiB", "150 of 200 MiB", "48 MiB are kept free", "raise the memory limit"] {
            assert!(text.contains(part), "{text}");
        }
    }
}
