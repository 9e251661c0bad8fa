//! How many pods there are to be while pods come and go: from rest up to a crest, down to an ebb, and back to rest.
//!
//! Crest and ebb are drawn anew for each wave, all from the same ranges, so that one wave is like another in
//! everything but chance. Those that warm up are higher, and nobody pauses in them.

use std::time::{Duration, Instant};

use crate::chance::place;
use kit::random::Random;

/// One wave of a soak, for each of kubelet's threads.
pub struct Tide {
    begun: Instant,
    length: Duration,
    crest: usize,
    ebb: usize,
    /// Between two calls of one thread, at most.
    pub pause: Duration,
}

impl Tide {
    /// A wave that begins now, with more in it than in any that is sampled.
    pub fn flood(length: Duration) -> Tide {
        Tide { begun: Instant::now(), length, crest: HIGHEST_CREST, ebb: 0, pause: Duration::ZERO }
    }

    /// A wave that begins now.
    pub fn begin(length: Duration, random: &mut Random) -> Tide {
        let crest = LOWEST_CREST + place(random, HIGHEST_CREST - LOWEST_CREST + 1);
        let ebb = place(random, HIGHEST_EBB + 1);
        Tide { begun: Instant::now(), length, crest, ebb, pause: LONGEST_PAUSE }
    }

    /// How many pods a thread should have by now; none when the wave is over.
    pub fn now(&self) -> Option<usize> {
        let passed = self.begun.elapsed();
        if passed >= self.length {
            return None;
        }
        let part = passed.as_secs_f64() / self.length.as_secs_f64();
        let (from, to, on_the_way) = if part < CREST_AT {
            (AT_REST, self.crest, part / CREST_AT)
        } else if part < EBB_AT {
            (self.crest, self.ebb, (part - CREST_AT) / (EBB_AT - CREST_AT))
        } else {
            (self.ebb, AT_REST, (part - EBB_AT) / (1.0 - EBB_AT))
        };
        Some(((1.0 - on_the_way) * from as f64 + on_the_way * to as f64).round() as usize)
    }

    /// When it is over.
    pub fn end(&self) -> Instant {
        self.begun + self.length
    }
}

/// Pods of each thread at rest, when samples are taken.
pub const AT_REST: usize = 3;
/// As many of kubelet's threads.
pub const LANES: usize = 10;
/// With ten threads, sixty pods.
const LOWEST_CREST: usize = 6;
/// A hundred and ten: as many as kubelet allows on a node by default.
const HIGHEST_CREST: usize = 11;
const HIGHEST_EBB: usize = 1;
const LONGEST_PAUSE: Duration = Duration::from_millis(60);
/// Parts of the wave's time.
const CREST_AT: f64 = 0.4;
const EBB_AT: f64 = 0.75;
