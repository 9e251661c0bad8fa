//! Kills at moments of chance: kubelet, readers and the one who kills, at the same time.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use crate::board::{Board, Tally};
use crate::finale;
use crate::kubelet::PodWorker;
use crate::lives::Lives;
use crate::phase::Phases;
use crate::report::Progress;
use crate::stage::{Provider, Stage};
use crate::{readers, secrets};
use crash::verdicts::Verdicts;
use kit::random::Random;

/// Plays the scene with that many kills, and says what holds.
pub fn play(kills: u64, random: &mut Random, verdicts: &mut Verdicts) {
    println!("\n{kills} kills at moments of chance, under {PODS} pods and {READERS} readers");
    let board = Arc::new(Board::new(PODS));
    let mut stage = Stage::set(&board, PODS, Provider::OfMoods, random);
    let mut progress = Progress::start();
    let mut lives = Lives {
        stage: &stage,
        board: &board,
        random: random.fork(),
        phases: Phases::default(),
        kills: 0,
        helper_kills: 0,
        longest_start: Duration::ZERO,
        former: None,
    };
    let survivor = thread::scope(|scope| {
        for place in 0..PODS {
            let worker = PodWorker { stage: &stage, board: &board, place, random: random.fork() };
            scope.spawn(move || worker.run());
        }
        for first in 0..READERS {
            let board = &board;
            scope.spawn(move || readers::run(board, first * PODS / READERS));
        }
        scope.spawn(|| secrets::run(&stage, &board));
        let _end = StopAtEnd(&board);
        lives.run(kills, &mut progress)
    });
    let Lives { phases, kills: killed, helper_kills, longest_start, .. } = lives;
    let took = progress.end();
    show(&board, &phases);
    println!("  longest start {} ms, kills of a helper {helper_kills}", longest_start.as_millis());
    let survived = [survivor.is_none().then(|| format!("the scene ended after {killed} kills"))];
    let mut faults = board.faults();
    verdicts.check("readers saw whole states alone, and no call failed without a kill", faults);
    faults = survived.into_iter().flatten().collect();
    verdicts.check(&format!("{killed} kills survived in {} s", took.as_secs()), faults);
    if let Some(driver) = survivor {
        finale::play(&mut stage, &board, driver, verdicts);
    }
}

fn show(board: &Board, phases: &Phases) {
    let tally = &board.tally;
    println!("  where the kills hit, by the volumes whose calls they cut off:");
    for (phase, count) in phases.table() {
        println!("    {phase:<34} {count:>6}");
    }
    for (what, counter) in [
        ("publishes", &tally.publishes),
        ("calls about live volumes", &tally.refreshes),
        ("rotations", &tally.rotations),
        ("unpublishes", &tally.unpublishes),
        ("pods given up before they were published", &tally.given_up),
        ("calls that a kill cut off", &tally.unanswered),
        ("versions of Secrets", &tally.syncs),
        ("looks of readers", &tally.looks),
        ("files read and compared", &tally.files),
        ("looks begun anew after a switch", &tally.replaced),
    ] {
        println!("  {what:<42} {:>9}", Tally::get(counter));
    }
}

/// Ends the scene, also where this thread panics: the others would go on for ever.
struct StopAtEnd<'a>(&'a Board);

impl Drop for StopAtEnd<'_> {
    fn drop(&mut self) {
        self.0.stop();
    }
}

const PODS: usize = 6;
const READERS: usize = 3;
