//! The volumes that an earlier process left alive.

use std::path::Path;

use publish::Publisher;
use sys::{mount, mountinfo, proc};
use volume::target::TargetPath;

/// Finds the volumes that an earlier process mounted. Those of the upstream driver are not told apart from other
/// drivers' tmpfs here; they are recognised when kubelet first asks for them.
pub(super) fn adopt_volumes(publisher: &Publisher, pods_dir: Option<&Path>) -> Vec<TargetPath> {
    let mut adopted = Vec::new();
    let text = match proc::read("/proc/self/mountinfo") {
        Ok(text) => text,
        Err(error) => {
            log::warn!(error:% = error; "could not read the list of mounts, volumes are found one by one");
            return adopted;
        }
    };
    for entry in mountinfo::parse(&text) {
        if entry.fs_type != "tmpfs" || entry.source != mount::SOURCE {
            continue;
        }
        let Some(Ok(target)) = entry.mount_point.to_str().map(|path| TargetPath::parse(path, pods_dir))
        else {
            continue;
        };
        match publisher.adopt(&target) {
            Ok(true) => adopted.push(target),
            Ok(false) => {}
            Err(error) => log::warn!(target_path:% = target, error:% = error; "could not look at a volume"),
        }
    }
    if !adopted.is_empty() {
        log::info!(volumes = adopted.len(); "found live volumes of an earlier process");
    }
    adopted
}
