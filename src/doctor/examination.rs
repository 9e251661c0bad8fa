//! Runs the checks, each in a thread of its own and all within a bound: one that hangs costs its own line.

use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use super::finding::Finding;

/// A kind of check: the name under which its silence is told, and what it finds in a subject.
pub type Check<S> = (&'static str, fn(&S) -> Vec<Finding>);

/// What all checks find, in the order of the table. A check that is not done within `time` counts as not looked at.
pub fn examine<S: Send + Sync + 'static>(
    subject: &Arc<S>,
    checks: &[Check<S>],
    time: Duration,
) -> Vec<Finding> {
    let until = Instant::now() + time;
    let (sender, receiver) = mpsc::channel();
    let mut found: Vec<Option<Vec<Finding>>> = Vec::new();
    for (at, (name, check)) in checks.iter().enumerate() {
        let (subject, sender, check) = (Arc::clone(subject), sender.clone(), *check);
        // Never joined: it only reads, and ends with the process.
        let started = thread::Builder::new().name((*name).to_owned()).spawn(move || {
            // Nobody listens any more when it comes too late.
            sender.send((at, check(&subject))).is_ok()
        });
        found.push(started.err().map(|error| vec![Finding::unknown(name, format!("no thread: {error}"))]));
    }
    drop(sender);
    while found.iter().any(Option::is_none) {
        match receiver.recv_timeout(until.saturating_duration_since(Instant::now())) {
            Ok((at, findings)) => {
                found.get_mut(at).into_iter().for_each(|slot| *slot = Some(findings.clone()))
            }
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => break,
        }
    }
    let silent = |name| vec![Finding::unknown(name, "this check gave no answer in time")];
    checks.iter().zip(found).flat_map(|((name, _), found)| found.unwrap_or_else(|| silent(name))).collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    #[test]
    fn a_check_that_hangs_costs_its_own_line_and_no_more_than_the_bound() {
        let gate = Arc::new(Mutex::new(()));
        let held = gate.lock().unwrap();
        let checks: &[Check<Mutex<()>>] = &[
            ("first", |_| vec![Finding::good("first", "a"), Finding::good("also", "b")]),
            ("stuck", |gate| {
                drop(gate.lock());
                Vec::new()
            }),
            ("last", |_| vec![Finding::good("last", "c")]),
        ];
        let begun = Instant::now();
        let found = examine(&gate, checks, Duration::from_millis(300));
        assert!(begun.elapsed() < Duration::from_secs(20), "{:?}", begun.elapsed());
        let names: Vec<_> = found.iter().map(|finding| finding.check).collect();
        assert_eq!(names, ["first", "also", "stuck", "last"]);
        assert_eq!(found[2], Finding::unknown("stuck", "this check gave no answer in time"));
        drop(held);
    }
}
