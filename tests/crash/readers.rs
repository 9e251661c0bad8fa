//! Pods: threads that look at every published volume over and over.

use std::collections::HashMap;
use std::sync::PoisonError;
use std::time::Duration;

use crate::board::{Board, Tally};
use crash::volume::{Seen, look};

/// Looks at all volumes until the scene ends, beginning with the slot of that number.
pub fn run(board: &Board, first: usize) {
    // By pod: the latest state that this reader has seen.
    let mut latest: HashMap<String, u64> = HashMap::new();
    let slots = board.slots.iter().cycle().skip(first);
    for slot in slots {
        if board.is_stopped() {
            return;
        }
        let published = slot.published.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(pod) = published.as_ref() {
            let least = latest.get(&pod.name).copied().unwrap_or_default();
            Tally::add(&board.tally.looks);
            match look(pod, least) {
                Ok(Seen::Whole { number, files }) => {
                    Tally::add_many(&board.tally.files, files);
                    if latest.len() > REMEMBERED {
                        latest.clear();
                    }
                    latest.insert(pod.name.clone(), number);
                }
                Ok(Seen::Replaced) => Tally::add(&board.tally.replaced),
                Err(fault) => board.fault(format!("a reader of {}: {fault}", pod.name)),
            }
        }
        drop(published);
        std::thread::sleep(PAUSE);
    }
}

/// Leaves the processors to those who do the work.
const PAUSE: Duration = Duration::from_micros(500);
/// Pods come and go.
const REMEMBERED: usize = 64;
