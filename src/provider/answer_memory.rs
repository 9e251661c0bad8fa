//! The memory for answers that are being read and written, over all providers.
//!
//! An answer is in memory twice: as it was read, and in the volume into which it is written, beside the content that it
//! replaces. So many bytes are set aside for that, and who brings an answer waits for his share.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::semaphore::{Permit, Semaphore};

/// The memory that is set aside; clones share it.
#[derive(Clone)]
pub struct AnswerMemory {
    budget: Semaphore,
    /// Bytes of the answers that have been read and are not dropped yet.
    read: Arc<AtomicU64>,
}

/// A share of it, held until the answer is written and dropped.
#[must_use = "the share is given back when this is dropped"]
pub struct Share {
    _permit: Option<Permit>,
    bytes: u64,
    read: Option<Arc<AtomicU64>>,
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

    /// Waits for room for an answer of `bytes` bytes; `None` when `give_up` said so first. A small one does not wait:
    /// as many as there can be calls at a time take no more than one large answer.
    pub fn share(&self, bytes: u64, give_up: impl Fn() -> bool) -> Option<Share> {
        let permit = if bytes <= SMALL_ANSWER_BYTES {
            None
        } else {
            Some(self.budget.acquire(bytes.saturating_mul(COPIES), give_up)?)
        };
        Some(Share { _permit: permit, bytes, read: None })
    }

    /// Marks that the answer of that share has been read, and is in memory.
    pub fn has_read(&self, share: &mut Share) {
        if share.read.is_none() {
            self.read.fetch_add(share.bytes, Ordering::Relaxed);
            share.read = Some(Arc::clone(&self.read));
        }
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

impl Drop for Share {
    fn drop(&mut self) {
        if let Some(read) = &self.read {
            read.fetch_sub(self.bytes, Ordering::Relaxed);
        }
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
    fn a_share_counts_as_read_from_then_on_until_it_is_dropped() {
        let memory = AnswerMemory::for_answers_of(4 * MIB, None);
        let mut share = memory.share(3 * MIB, || false).unwrap();
        assert_eq!(memory.read_bytes(), 0);
        for _ in 0..2 {
            memory.has_read(&mut share);
            assert_eq!(memory.read_bytes(), 3 * MIB);
        }
        drop(share);
        assert_eq!(memory.read_bytes(), 0);
        let unread = memory.share(3 * MIB, || false);
        drop(unread);
        assert_eq!(memory.read_bytes(), 0);
    }

    #[test]
    fn a_small_answer_does_not_wait_for_large_ones() {
        let memory = AnswerMemory::for_answers_of(4 * MIB, Some(16 * MIB));
        let _all = memory.share(4 * MIB, || false);
        assert!(memory.share(SMALL_ANSWER_BYTES + 1, || true).is_none());
        assert!(memory.share(SMALL_ANSWER_BYTES, || true).is_some());
    }

    #[test]
    fn answers_that_do_not_fit_beside_each_other_wait() {
        let memory = AnswerMemory::for_answers_of(4 * MIB, Some(16 * MIB));
        let share = memory.share(3 * MIB, || false);
        assert!(memory.share(3 * MIB, || true).is_none());
        drop(share);
        assert!(memory.share(3 * MIB, || true).is_some());
    }
}
