//! What happens without kubelet's doing while pods come and go: secrets change in their stores, and providers restart.

use std::thread;
use std::time::{Duration, Instant};

use crate::chance::{between, place};
use crate::stage::Stage;
use kit::random::Random;

/// Changes the secrets of one class after another until `end`.
pub fn changes(stage: &Stage, mut random: Random, end: Instant) {
    loop {
        let pause = between(&mut random, Duration::ZERO, LONGEST_CALM);
        if Instant::now() + pause >= end || stage.ledger.is_stopped() {
            return;
        }
        thread::sleep(pause);
        stage.store.change_one(&mut random);
        stage.ledger.changes.add();
    }
}

/// Restarts one provider after another until `end`, by which all of them are back.
pub fn restarts(stage: &Stage, mut random: Random, end: Instant) {
    loop {
        let pause = between(&mut random, SHORTEST_UPTIME, LONGEST_UPTIME);
        let away = between(&mut random, SHORTEST_ABSENCE, LONGEST_ABSENCE);
        if Instant::now() + pause + away >= end || stage.ledger.is_stopped() {
            return;
        }
        thread::sleep(pause);
        let provider = &stage.providers[place(&mut random, stage.providers.len())];
        stage.restart(provider, random.once_in(2), away);
    }
}

/// Between two changes.
const LONGEST_CALM: Duration = Duration::from_millis(200);
/// Between two restarts, of any provider.
const SHORTEST_UPTIME: Duration = Duration::from_millis(500);
const LONGEST_UPTIME: Duration = Duration::from_secs(6);
const SHORTEST_ABSENCE: Duration = Duration::from_millis(100);
const LONGEST_ABSENCE: Duration = Duration::from_secs(2);
