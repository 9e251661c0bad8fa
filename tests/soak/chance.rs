//! Places in a list and lengths of time, drawn from the one source of chance.

use std::time::Duration;

use kit::random::Random;

/// One of so many places.
pub fn place(random: &mut Random, count: usize) -> usize {
    let count = u64::try_from(count).expect("counts fit");
    usize::try_from(random.below(count)).expect("it is below a number of that type")
}

/// A time from `least` to `most`, each as likely.
pub fn between(random: &mut Random, least: Duration, most: Duration) -> Duration {
    let step = (most - least) / STEPS;
    least
        + step * u32::try_from(random.below(u64::from(STEPS) + 1)).expect("it is below a number of that type")
}

const STEPS: u32 = 1000;
