//! When a live volume is due for a refresh. Pure: the times are arguments.

use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, SystemTime};

pub use config::Rotation;

/// True when a volume that was last refreshed at `refreshed` is due.
///
/// Each volume waits a fixed 0 to 10 % longer than the interval, by its id, so that the volumes of a node, and the
/// nodes of a cluster, don't stay in step. A refresh in the future means that the clock was set back: due.
pub fn is_due(rotation: Rotation, volume_id: &str, refreshed: SystemTime, now: SystemTime) -> bool {
    let Rotation::Every(interval) = rotation else {
        return false;
    };
    match now.duration_since(refreshed) {
        Ok(age) => age >= interval.saturating_add(spread(volume_id, interval)),
        Err(_in_the_future) => true,
    }
}

/// 0 to 10 % of the interval in steps of a thousandth, the same for a volume in every process.
fn spread(volume_id: &str, interval: Duration) -> Duration {
    // Not keyed: the spread has to survive a restart, and nothing is lost when somebody can guess it.
    let mut hasher = DefaultHasher::new();
    volume_id.hash(&mut hasher);
    let steps = u32::try_from(hasher.finish() % SPREAD_STEPS).unwrap_or(0);
    (interval / SPREAD_DIVISOR).saturating_mul(steps)
}

/// Steps of a thousandth of the interval, 0 to 100: up to a tenth.
const SPREAD_STEPS: u64 = 101;
const SPREAD_DIVISOR: u32 = 1000;

#[cfg(test)]
mod tests {
    use super::*;

    const INTERVAL: Duration = Duration::from_secs(1000);

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000 + seconds)
    }

    #[test]
    fn a_volume_is_due_between_the_interval_and_a_tenth_more() {
        let every = Rotation::Every(INTERVAL);
        for id in ["csi-1", "csi-2", "csi-3"] {
            assert!(!is_due(every, id, at(0), at(0)), "{id}");
            assert!(!is_due(every, id, at(0), at(999)), "{id}");
            assert!(is_due(every, id, at(0), at(1101)), "{id}");
        }
    }

    #[test]
    fn volumes_do_not_stay_in_step() {
        let spreads: std::collections::BTreeSet<_> =
            (0..100).map(|n| spread(&format!("csi-{n}"), INTERVAL)).collect();
        assert!(spreads.len() > 30, "{}", spreads.len());
        assert!(spreads.iter().all(|spread| *spread <= INTERVAL / 10));
    }

    #[test]
    fn zero_is_always_due_and_off_is_never() {
        assert!(is_due(Rotation::Every(Duration::ZERO), "v", at(5), at(5)));
        assert!(!is_due(Rotation::Off, "v", at(0), at(1_000_000)));
    }

    #[test]
    fn a_clock_that_was_set_back_makes_a_volume_due() {
        assert!(is_due(Rotation::Every(INTERVAL), "v", at(50), at(0)));
    }
}
