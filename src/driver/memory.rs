//! What bounds the memory of volumes and of answers.

use provider::answer_memory::AnswerMemory;
use publish::memory::PodMemory;
use sys::cgroup::MemoryGroups;

/// The bounds that follow from the limit of this process's memory, for answers of at most so many bytes.
pub(super) fn bounds(largest_answer: u64) -> (PodMemory, AnswerMemory) {
    let mut groups = MemoryGroups::of_this_process().unwrap_or_else(|error| {
        log::warn!(error:% = error; "could not read the limit of the driver's memory: volumes are not held to it");
        MemoryGroups::default()
    });
    let limit = groups.read().iter().map(|reading| reading.limit).min();
    let answers = AnswerMemory::for_answers_of(largest_answer, limit);
    let buffers = largest_answer.saturating_mul(2 * PROVIDERS_AT_ONCE);
    match limit {
        None => log::info!("nothing limits the driver's memory"),
        Some(limit) if answers.total().saturating_add(buffers) > limit / 2 => log::warn!(
            bytes = limit;
            "--max-call-recv-msg-size is more than the limit of the driver's memory has room for: raise that limit"
        ),
        Some(limit) => log::info!(bytes = limit; "volumes are held to the limit of the driver's memory"),
    }
    (PodMemory::new(groups, answers.clone(), buffers), answers)
}

/// Providers whose buffers may be full at the same time, each with two of the largest answers.
const PROVIDERS_AT_ONCE: u64 = 2;
