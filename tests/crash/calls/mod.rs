//! Kills and errors at each system call of a publish, a rotation and an unpublish.
//!
//! Each call of kubelet's is recorded once, to learn which system calls it makes and how often. Then it is tried once
//! for each of them: in one the driver is killed as it makes that call, in another the call fails. Kubelet tries again,
//! and the same has to hold as ever: readers see whole states alone, a failed publish leaves nothing, the next try
//! succeeds, and in the end nothing is left.

mod lane;
mod points;
mod strace;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};
use std::thread;

use crate::board::{Board, locked};
use crate::finale;
use crate::options::Options;
use crate::report::Progress;
use crash::verdicts::Verdicts;
use kit::random::Random;
use lane::{Case, Lane, Op, Who};
use strace::Injection;

/// What became of the cases of one system call.
#[derive(Default)]
struct Row {
    kills: Count,
    errors: Count,
}

#[derive(Default)]
struct Count {
    tried: u64,
    /// The call came, and all held.
    survived: u64,
    /// The call did not come this time.
    missed: u64,
}

type Rows = BTreeMap<(Op, Who, String), Row>;

/// Tries all cases, or a sample of them, and says what holds.
pub fn play(options: &Options, random: &mut Random, verdicts: &mut Verdicts) {
    println!("\nkills and errors at system calls");
    let mut lanes: Vec<Lane> = ["a", "b"].map(|name| Lane::new(name, random)).into();
    let mut cases = Vec::new();
    for op in [Op::Publish, Op::Resume, Op::Rotate, Op::Unpublish] {
        match lanes[0].record(op) {
            Ok(logs) => {
                for (who, log) in logs {
                    cases.extend(points::of(op, who, &log));
                }
            }
            Err(fault) => return verdicts.check("every call can be recorded", [fault]),
        }
    }
    let all = cases.len();
    let (kills, errors): (Vec<Case>, Vec<Case>) =
        cases.into_iter().partition(|case| matches!(case.injection, Injection::Kill { .. }));
    println!("  {} kills and {} errors are possible", kills.len(), errors.len());
    let most = if options.full || !options.case.is_empty() { usize::MAX } else { MOST };
    let mut cases = kills;
    cases.extend(points::sample(errors, most));
    if cases.len() < all {
        println!("  {} of {all} are tried, evenly spread; with FULL=1 all", cases.len());
    }
    cases.retain(|case| case.to_string().contains(&options.case));
    let queue = Mutex::new(VecDeque::from(cases));
    let (rows, faults) = (Mutex::new(Rows::new()), Mutex::new(Vec::new()));
    let progress = Mutex::new(Progress::start());
    thread::scope(|scope| {
        for lane in &mut lanes {
            let mut random = random.fork();
            let (queue, rows, faults, progress) = (&queue, &rows, &faults, &progress);
            scope.spawn(move || {
                loop {
                    let Some(case) = locked(queue).pop_front() else { break };
                    let outcome = lane.try_case(&case);
                    locked(rows).entry(case.place()).or_default().count(&case, &outcome);
                    if let Err(fault) = outcome {
                        let mut faults = locked(faults);
                        faults.push(format!("{case}: {fault}"));
                        if faults.len() >= ENOUGH {
                            locked(queue).clear();
                        }
                        drop(faults);
                        // Whatever is wrong there must not spoil the next case.
                        *lane = Lane::new("again", &mut random);
                    }
                    locked(progress).line(|| format!("{} to go", locked(queue).len()));
                }
                lane.stop();
            });
        }
    });
    let took = locked(&progress).end();
    show(&locked(&rows), verdicts);
    println!("  took {} s", took.as_secs());
    let mut faults = locked(&faults).clone();
    verdicts.check("each of them is survived", faults);
    faults = locked(&rows)
        .iter()
        .filter(|((_, _, call), row)| points::CHANGING.contains(&call.as_str()) && row.is_missed())
        .map(|((op, who, call), _)| format!("{op:?} {who:?} {call}"))
        .collect();
    verdicts.check("each system call that changes something is hit", faults);
    for mut lane in lanes {
        let board = Arc::new(Board::new(0));
        let driver = lane.stage.spawn();
        match lane.stage.wait_until_up(&driver) {
            Ok(()) => finale::play(&mut lane.stage, &board, driver, verdicts),
            Err(fault) => verdicts.check("the driver starts after all of it", [fault]),
        }
    }
}

impl Case {
    /// Name of the system call.
    fn call(&self) -> &str {
        match &self.injection {
            Injection::None => "",
            Injection::Kill { call, .. } | Injection::Error { call, .. } => call,
        }
    }

    fn place(&self) -> (Op, Who, String) {
        (self.op, self.who, self.call().to_owned())
    }
}

impl Row {
    fn count(&mut self, case: &Case, outcome: &Result<bool, String>) {
        let count =
            if matches!(case.injection, Injection::Kill { .. }) { &mut self.kills } else { &mut self.errors };
        count.tried += 1;
        count.survived += u64::from(*outcome == Ok(true));
        count.missed += u64::from(*outcome == Ok(false));
    }

    fn is_missed(&self) -> bool {
        [&self.kills, &self.errors].iter().any(|count| count.tried > 0 && count.missed == count.tried)
    }
}

fn show(rows: &Rows, verdicts: &mut Verdicts) {
    println!(
        "  {:<10} {:<8} {:<14} {:>6} {:>9} {:>7} {:>9} {:>7}",
        "call", "process", "system call", "kills", "survived", "errors", "survived", "missed"
    );
    let (mut passed, mut failed) = (0, 0);
    for ((op, who, call), Row { kills, errors }) in rows {
        let missed = kills.missed + errors.missed;
        println!(
            "  {:<10} {:<8} {call:<14} {:>6} {:>9} {:>7} {:>9} {missed:>7}",
            format!("{op:?}"),
            format!("{who:?}"),
            kills.tried,
            kills.survived,
            errors.tried,
            errors.survived,
        );
        passed += kills.survived + errors.survived;
        failed += kills.tried + errors.tried - kills.survived - errors.survived - missed;
    }
    println!("  {passed} injections survived, {failed} not");
    verdicts.add(passed, failed);
}

/// Faults after which no further case is tried.
const ENOUGH: usize = 20;
/// Errors that are tried, of several for each system call. Kills are tried all.
const MOST: usize = 700;
