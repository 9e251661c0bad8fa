//! The memory for answers that are being read and written, over all providers.
//!
//! An answer is in memory twice: as it was read, and in the volume into which it is written, beside the content that it
//! replaces. So many bytes are set aside for that, and who brings an answer waits for his share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use base::semaphore::{Permit, Semaphore};

/// The memory that is set aside; clones share it.
#[derive(Clone)]
pub struct AnswerMemory {
    budget: Semaphore,
    /// Bytes of the answers that have been read and are not dropped yet.
    read: Arc<AtomicU64>,
}

/// An answer that is in memory, first in the library's buffers, then as it was read.
#[must_use = "the answer counts as gone when this is dropped"]
pub struct InMemory {
    bytes: u64,
    read: Arc<AtomicU64>,
}

/// A share of what is set aside, held until the answer is written and dropped.
#[must_use = "the share is given back when this is dropped"]
pub struct Share {
    _permit: Option<Permit>,
    _answer: InMemory,
}

impl AnswerMemory {
    /// So much that an answer of the largest size has room, and several where the limit of the process's memory
    /// permits. Both in bytes.
    pub fn for_answers_of(largest: u64, memory_limit: Option<u64>) -> AnswerMemory {
        let one = largest.saturating_mul(COPIES);
        let several = one.saturating_mul(AT_ONCE);
        let affordable = memory_limit.map_or(several, |limit| limit / PART_OF_LIMIT);
        AnswerMemory { budget: Semaphore::new(several.min(affordable).max(one)), read: Arc::default() }
    }

    /// An answer of `bytes` bytes has come.
    pub fn has_read(&self, bytes: u64) -> InMemory {
        self.read.fetch_add(bytes, Ordering::Relaxed);
        InMemory { bytes, read: Arc::clone(&self.read) }
    }

    /// Waits for room for an answer to be read and written; `None` when `give_up` said so first. A small one does not
    /// wait: as many as there can be calls at a time take little more than one large answer.
    pub fn share(&self, answer: InMemory, give_up: impl Fn() -> bool) -> Option<Share> {
        let permit = if answer.bytes <= SMALL_ANSWER_BYTES {
            None
        } else {
            Some(self.budget.acquire(answer.bytes.saturating_mul(COPIES), give_up)?)
        };
        Some(Share { _permit: permit, _answer: answer })
    }

    /// Bytes of the answers that are in memory beside the volumes.
    pub fn read_bytes(&self) -> u64 {
        self.read.load(Ordering::Relaxed)
    }

    /// All of it, in bytes.
    pub fn total(&self) -> u64 {
        self.budget.total()
    }
}

impl Drop for InMemory {
    fn drop(&mut self) {
        self.read.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

/// Answers of most classes are smaller by far.
pub const SMALL_ANSWER_BYTES: u64 = 64 * 1024;
/// As it was read, and in the volume.
const COPIES: u64 = 2;
/// More at a time would be no faster: a node has few processors to spare for this.
const AT_ONCE: u64 = 4;
/// The rest is for the content of volumes, the process itself, and the buffers of gRPC.
const PART_OF_LIMIT: u64 = 4;

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn it_has_room_for_the_largest_answer_and_for_no_more_than_the_limit_permits() {
        let rows = [
            ("as shipped", 4, Some(200), 32),
            ("no limit", 4, None, 32),
            ("little memory", 4, Some(64), 16),
            ("hardly any", 4, Some(16), 8),
            ("large answers", 64, Some(2048), 512),
            ("large answers and little memory", 64, Some(200), 128),
        ];
        for (name, largest, limit, total) in rows {
            let memory = AnswerMemory::for_answers_of(largest * MIB, limit.map(|limit| limit * MIB));
            assert_eq!(memory.total(), total * MIB, "{name}");
        }
    }

    #[test]
    fn an_answer_counts_until_its_share_is_dropped_or_it_gets_none() {
        let memory = AnswerMemory::for_answers_of(4 * MIB, None);
        let share = memory.share(memory.has_read(3 * MIB), || false);
        assert_eq!(memory.read_bytes(), 3 * MIB);
        drop(share);
        assert_eq!(memory.read_bytes(), 0);
    }

    #[test]
    fn a_small_answer_does_not_wait_for_large_ones() {
        let memory = AnswerMemory::for_answers_of(4 * MIB, Some(16 * MIB));
        let _all = memory.share(memory.has_read(4 * MIB), || false);
        assert!(memory.share(memory.has_read(SMALL_ANSWER_BYTES + 1), || true).is_none());
        assert!(memory.share(memory.has_read(SMALL_ANSWER_BYTES), || true).is_some());
    }

    #[test]
    fn answers_that_do_not_fit_beside_each_other_wait() {
        let memory = AnswerMemory::for_answers_of(4 * MIB, Some(16 * MIB));
        let answer = || memory.has_read(3 * MIB);
        let share = memory.share(answer(), || false);
        assert!(memory.share(answer(), || true).is_none());
        drop(share);
        assert!(memory.share(answer(), || true).is_some());
    }
}
