//! After the last wave: all pods have ended, and nothing may be left of them, or of the driver when it is told to stop.

use std::path::{Path, PathBuf};

use crate::stage::{CANARIES, Stage};
use crash::content::ALWAYS;
use crash::verdicts::Verdicts;
use kit::eventually;

/// Plays the end, and says what holds.
pub fn play(stage: &mut Stage, verdicts: &mut Verdicts) {
    let is_alive = stage.driver.is_there() && stage.mounter.is_there();
    let ended = (!is_alive).then(|| "one of them has ended".to_owned());
    verdicts.check("the driver and its mounter are the processes that they were", ended);
    if stage.ledger.is_stopped() || !is_alive {
        // What is left where there is a fault says nothing new; what the driver says of it may.
        let log = stage.mirror.world.driver().log();
        let lines: Vec<&str> = log.lines().collect();
        println!(
            "the end of the driver's log:\n{}",
            lines[lines.len().saturating_sub(LOG_LINES)..].join("\n")
        );
        return;
    }
    verdicts.check("no mount is left", shown(stage.mirror.world.mounts()));
    let mut left =
        others_in(&stage.mirror.world.path(""), |name| ["csi", "pods", "providers"].contains(&name));
    left.extend(others_in(&stage.mirror.world.path("pods"), |_| false));
    left.extend(others_in(&stage.mirror.world.path("csi"), |name| name == "csi.sock"));
    left.extend(others_in(&stage.mirror.world.path("providers"), |name| name.ends_with(".sock")));
    verdicts.check("no directory and no temporary name is left", shown(left));
    verdicts.check("no Secret and no pod status is left", objects(stage));

    let mounter = stage.mounter;
    let mut process = stage.mirror.world.take_driver();
    process.signal("TERM");
    let status = process.wait();
    eventually("the mounter has ended", || !mounter.is_there());
    let bad = (!status.success()).then(|| format!("{status}, log:\n{}", process.log()));
    verdicts.check("told to stop, it ends in good order, and its mounter with it", bad);

    let log = process.log();
    let said = |is_it: fn(&str) -> bool| {
        log.lines().filter(|line| is_it(line)).map(str::to_owned).collect::<Vec<_>>()
    };
    verdicts.check("nothing panicked", said(tells_of_a_bug));
    verdicts.check(
        &format!("no secret is in the {} lines of its log", log.lines().count()),
        said(tells_a_secret),
    );
}

/// With all owners gone, the collector of the API server removes what they owned, and the driver brings nothing back.
fn objects(stage: &Stage) -> Vec<String> {
    stage.remove_owners();
    stage.mirror.leftovers()
}

/// What is in a directory beside what is known.
fn others_in(directory: &Path, is_known: impl Fn(&str) -> bool) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let others = entries.flatten().filter(|entry| !is_known(&entry.file_name().to_string_lossy()));
    others.map(|entry| entry.path()).collect()
}

fn shown(paths: Vec<PathBuf>) -> impl Iterator<Item = String> {
    paths.into_iter().map(|path| path.display().to_string())
}

fn tells_of_a_bug(line: &str) -> bool {
    ["panicked", "this is a bug"].iter().any(|words| line.contains(words))
}

/// A file of a state begins with its class, a number and its path, in base64 with the beginning of its class.
fn tells_a_secret(line: &str) -> bool {
    let has_begin = |path: &str| {
        let places = line.match_indices(path).map(|(place, _)| &line[..place]);
        places
            .filter_map(|before| before.strip_suffix(' '))
            .any(|before| before.ends_with(|c: char| c.is_ascii_digit()))
    };
    CANARIES.iter().chain(&ENCODED).any(|canary| line.contains(canary))
        || ALWAYS.iter().any(|path| has_begin(path))
}

/// `class-`, `small-` and `of-pod-`, with which the names of all classes begin, as far as base64 tells them.
const ENCODED: [&str; 3] = ["Y2xhc3Mt", "c21hbGwt", "b2YtcG9k"];
const LOG_LINES: usize = 40;
