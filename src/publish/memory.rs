//! Whether a volume's content fits into the memory that the driver may have.
//!
//! The content of volumes is charged to the control group of the driver's pod, and stays charged to it when the
//! container restarts, whose own group then looks empty. At the limit the kernel kills the driver, and every restart
//! has less room than the one before. So content that does not fit is refused before it is written. What is kept free
//! is enough to refresh whatever lives.

use std::fmt;

use base::lock::Mutex;
use base::semaphore::{Permit, Semaphore};
use provider::answer_memory::AnswerMemory;
use sys::cgroup::{MemoryGroups, Reading};
use sys::proc;

/// The memory of the driver's pod.
pub struct PodMemory {
    groups: Mutex<MemoryGroups>,
    /// Large content is written one at a time: what the kernel counts is then what stays, and nobody's half of it.
    writing: Semaphore,
    answers: AnswerMemory,
    /// What the buffers of gRPC may take, in bytes.
    buffers: u64,
}

/// Room for content, until it is written and the kernel counts it.
#[must_use = "the room is another's when this is dropped"]
pub struct Room {
    _turn: Option<Permit>,
}

impl PodMemory {
    /// `buffers` are the bytes that the buffers of gRPC may take.
    pub fn new(groups: MemoryGroups, answers: AnswerMemory, buffers: u64) -> PodMemory {
        PodMemory { groups: Mutex::new(groups), writing: Semaphore::new(1), answers, buffers }
    }

    /// Waits for a turn to write content of `bytes` bytes, `growth` of which the volume does not take yet, and looks
    /// whether there is room. `content` tells what the volumes hold that the driver wrote, in bytes; `give_up` ends the
    /// wait, and then there is none.
    pub fn room(
        &self,
        bytes: u64,
        growth: u64,
        content: impl FnOnce() -> u64,
        give_up: impl Fn() -> bool,
    ) -> Result<Option<Room>, OutOfMemory> {
        let turn = match bytes > SMALL_BYTES {
            false => None,
            true => match self.writing.acquire(1, give_up) {
                Some(turn) => Some(turn),
                None => return Ok(None),
            },
        };
        if growth > 0 {
            self.look(growth, content())?;
        }
        Ok(Some(Room { _turn: turn }))
    }

    fn look(&self, growth: u64, content: u64) -> Result<(), OutOfMemory> {
        // What was read is no part of what stays.
        let passing = self.answers.read_bytes();
        for reading in self.read(content) {
            let used = reading.used.saturating_sub(passing);
            let kept_free = self.kept_free(growth, reading.limit);
            if used.saturating_add(growth).saturating_add(kept_free) > reading.limit {
                return Err(OutOfMemory { growth, used, kept_free, limit: reading.limit });
            }
        }
        Ok(())
    }

    /// The group that is closest to its limit, and what is kept free of that; none where nothing limits the driver's
    /// memory.
    pub fn tightest(&self, content: u64) -> Option<(Reading, u64)> {
        let tightest = self
            .read(content)
            .into_iter()
            .min_by_key(|reading| reading.limit.saturating_sub(reading.used))?;
        Some((tightest, self.kept_free(u64::MAX, tightest.limit)))
    }

    /// For the answers in hand and for gRPC; where the limit is too small for that, small volumes are better than none.
    /// On a slow processor refreshes overlap until all of that is in use, and then the kernel counts more than memory of
    /// this process. What is left in the end is for small volumes: who mounts large secrets keeps nobody from mounting a
    /// password.
    fn kept_free(&self, growth: u64, limit: u64) -> u64 {
        let (buffers, for_small) = match growth > SMALL_BYTES {
            true => (self.buffers, limit / PART_FOR_SMALL),
            false => (self.buffers / 2, 0),
        };
        let in_use = self.answers.total().saturating_add(buffers).min(limit / 2);
        in_use.saturating_add(limit / PART_FOR_KERNEL).saturating_add(for_small)
    }

    fn read(&self, content: u64) -> Vec<Reading> {
        // Held while the kernel tells a few numbers.
        let mut groups = self.groups.lock();
        let mut readings = groups.read();
        // What an earlier container left is charged to the pod's group, which cannot be seen: so it is counted.
        if !groups.sees_parent()
            && let [own] = readings.as_mut_slice()
        {
            own.used = own.used.max(proc::anonymous_bytes().saturating_add(content));
        }
        readings
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
const SMALL_BYTES: u64 = 64 * 1024;
/// So much of the limit is for small ones: as shipped, hundreds of them.
const PART_FOR_SMALL: u64 = 32;
/// So much of it is for what the kernel counts besides: buffers of sockets, page tables, stacks.
const PART_FOR_KERNEL: u64 = 20;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_limit_nothing_is_refused() {
        let answers = AnswerMemory::for_answers_of(4 << 20, None);
        let memory = PodMemory::new(MemoryGroups::default(), answers, 16 << 20);
        assert!(memory.room(u64::MAX, u64::MAX, || u64::MAX, || false).is_ok_and(|room| room.is_some()));
        assert_eq!(memory.tightest(0), None);
    }

    #[test]
    fn large_content_is_written_one_at_a_time_and_small_content_does_not_wait() {
        let memory = PodMemory::new(MemoryGroups::default(), AnswerMemory::for_answers_of(4 << 20, None), 0);
        let room = |bytes| memory.room(bytes, 0, || 0, || true).unwrap();
        let first = room(SMALL_BYTES + 1);
        assert!(first.is_some() && room(SMALL_BYTES + 1).is_none() && room(SMALL_BYTES).is_some());
        drop(first);
        assert!(room(SMALL_BYTES + 1).is_some());
    }

    #[test]
    fn what_is_kept_free_is_for_refreshes_the_kernel_and_small_volumes() {
        let mib = 1 << 20;
        let memory =
            PodMemory::new(MemoryGroups::default(), AnswerMemory::for_answers_of(4 << 20, None), 16 * mib);
        let answers = memory.answers.total();
        assert_eq!(answers, 32 * mib);
        let limit = 320 * mib;
        assert_eq!(memory.kept_free(mib, limit), answers + 16 * mib + 16 * mib + 10 * mib);
        assert_eq!(memory.kept_free(SMALL_BYTES, limit), answers + 8 * mib + 16 * mib);
        assert_eq!(memory.kept_free(SMALL_BYTES, 40 * mib), 20 * mib + 2 * mib, "at most half of it");
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
