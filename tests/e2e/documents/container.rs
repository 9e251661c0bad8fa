//! What `kubectl exec` finds of a pod that runs: its volumes, where it mounts them, and its variables.

use std::path::Path;

use super::{kinds, write};
use crate::stage::Stage;

/// Writes it down for every pod that runs, in the form that `kubectl.sh` reads.
pub fn lay_out(stage: &Stage, directory: &Path) {
    for seen in stage.kubelet.all().into_iter().filter(|seen| seen.is_running) {
        let files = directory.join(&seen.namespace).join(&seen.name);
        let uid = files.join("uid");
        if std::fs::read_to_string(&uid).is_ok_and(|known| known == seen.uid) {
            continue;
        }
        let Some(pod) = stage.admin.get(&kinds::core(&seen.namespace, "pods", &seen.name)) else { continue };
        std::fs::create_dir_all(&files).expect("the directory takes others");
        let container = &pod["spec"]["containers"][0];
        let mounts = container["volumeMounts"].as_array().into_iter().flatten().filter_map(|mount| {
            let (_, volume) = seen.volumes.iter().find(|(name, _)| mount["name"] == name.as_str())?;
            let path = mount["mountPath"].as_str().unwrap_or_default();
            assert!(path.starts_with("/mnt/"), "the runner can only mount below /mnt, and not at {path}");
            Some(format!("{}\t{path}\n", volume.target.display()))
        });
        write(&files.join("mounts"), &mounts.collect::<String>());
        let quoted = |value: &str| format!("'{}'", value.replace('\'', "'\\''"));
        let variables = seen.variables.iter().map(|(name, value)| format!("{name}={}\n", quoted(value)));
        write(&files.join("variables"), &variables.collect::<String>());
        // Last: it says that the others are complete.
        write(&uid, pod["metadata"]["uid"].as_str().unwrap_or_default());
    }
}
