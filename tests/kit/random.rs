//! Chance that can be had again: everything that is left to it comes from one number, which is printed.

use std::time::Duration;

/// SplitMix64: small, and good enough to spread moments.
#[derive(Clone)]
pub struct Random(u64);

impl Random {
    /// The same seed brings the same numbers.
    pub fn new(seed: u64) -> Random {
        Random(seed)
    }

    /// Another source, for a thread of its own.
    pub fn fork(&mut self) -> Random {
        Random(self.number())
    }

    /// The next number.
    pub fn number(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// One of 0 to `end - 1`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.number() % end.max(1)
    }

    /// The place of one of so many.
    pub fn index(&mut self, length: usize) -> usize {
        let length = u64::try_from(length).expect("lengths fit");
        usize::try_from(self.below(length)).expect("indices fit")
    }

    /// True once in so many times.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of these.
    pub fn one_of<'a, T>(&mut self, all: &'a [T]) -> &'a T {
        &all[self.index(all.len())]
    }

    /// A time up to `longest`: as often between 1 and 10 microseconds as between 1 and 10 milliseconds.
    pub fn moment(&mut self, longest: Duration) -> Duration {
        let orders = longest.as_secs_f64().max(SHORTEST_SECONDS) / SHORTEST_SECONDS;
        let part = self.below(PRECISION) as f64 / PRECISION as f64;
        Duration::from_secs_f64(SHORTEST_SECONDS * orders.powf(part))
            - Duration::from_secs_f64(SHORTEST_SECONDS)
    }
}

const SHORTEST_SECONDS: f64 = 1e-6;
const PRECISION: u64 = 1 << 20;
