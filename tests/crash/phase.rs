//! What the driver was about when it was killed, as the volume that it left tells.

use std::collections::BTreeMap;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::board::{Call, Event};
use crash::volume::{is_mounted, root_mode};

/// How often a kill has hit each phase.
#[derive(Default)]
pub struct Phases(BTreeMap<&'static str, u64>);

impl Phases {
    pub fn count(&mut self, phase: &'static str) {
        *self.0.entry(phase).or_default() += 1;
    }

    /// Phases in the order of a volume's life, also those that no kill has hit.
    pub fn table(&self) -> Vec<(&'static str, u64)> {
        ALL.iter().map(|phase| (*phase, self.0.get(phase).copied().unwrap_or_default())).collect()
    }
}

/// In which phase a call was cut off. The driver is dead, so nothing moves.
pub fn of(call: &Call) -> &'static str {
    let target = &call.pod.target;
    let is_open = root_mode(target).is_some_and(|mode| mode != 0o700);
    let live = std::fs::read_link(target.join("..data")).ok();
    let names = names(target);
    let other = names.iter().find(|name| {
        name.starts_with("..2") && live.as_ref().is_none_or(|live| live.as_os_str() != name.as_str())
    });
    let other_is_open = other.is_some_and(|name| mode(&target.join(name)) != Some(0o700));
    let has_link = names.iter().any(|name| name == "..data_tmp");
    let stage = |filling, linking, pointing, otherwise| match other {
        _ if has_link => pointing,
        Some(_) if other_is_open => linking,
        Some(_) => filling,
        None => otherwise,
    };
    match call.kind {
        Event::Unpublish if !is_mounted(target) && root_mode(target).is_none() => REMOVED,
        Event::Unpublish if !is_mounted(target) => UNMOUNTED,
        Event::Unpublish if is_open => UNPUBLISHING,
        Event::Unpublish if names.is_empty() => EMPTIED,
        Event::Unpublish => EMPTYING,
        Event::Refresh if live != call.before => {
            if other.is_some() {
                DROPPING
            } else {
                REFRESHED
            }
        }
        Event::Refresh => stage(REFILLING, RELINKING, REPOINTING, REFRESHING),
        _ if !is_mounted(target) => PUBLISHING,
        _ if is_open => OPENED,
        _ if live.is_some() => SWITCHED,
        _ => stage(FILLING, LINKING, POINTING, MOUNTED),
    }
}

fn names(target: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(target) else { return Vec::new() };
    entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect()
}

fn mode(path: &Path) -> Option<u32> {
    std::fs::metadata(path).ok().map(|found| found.mode() & 0o7777)
}

/// Before anything of a start was seen, and when no call was in hand.
pub const STARTING: &str = "while it starts";
pub const IDLE: &str = "between calls";

const PUBLISHING: &str = "publish: before the mount";
const MOUNTED: &str = "publish: mounted, provider asked";
const FILLING: &str = "publish: files are written";
const LINKING: &str = "publish: names are linked";
const POINTING: &str = "publish: about to switch";
const SWITCHED: &str = "publish: switched, still closed";
const OPENED: &str = "publish: open, not answered";
const REFRESHING: &str = "rotation: before the write";
const REFILLING: &str = "rotation: files are written";
const RELINKING: &str = "rotation: names are linked";
const REPOINTING: &str = "rotation: about to switch";
const DROPPING: &str = "rotation: old content goes";
const REFRESHED: &str = "rotation: written, not answered";
const UNPUBLISHING: &str = "unpublish: before it closes";
const EMPTYING: &str = "unpublish: content goes";
const EMPTIED: &str = "unpublish: about to unmount";
const UNMOUNTED: &str = "unpublish: unmounted";
const REMOVED: &str = "unpublish: gone, not answered";

const ALL: [&str; 20] = [
    STARTING,
    PUBLISHING,
    MOUNTED,
    FILLING,
    LINKING,
    POINTING,
    SWITCHED,
    OPENED,
    REFRESHING,
    REFILLING,
    RELINKING,
    REPOINTING,
    DROPPING,
    REFRESHED,
    UNPUBLISHING,
    EMPTYING,
    EMPTIED,
    UNMOUNTED,
    REMOVED,
    IDLE,
];
