//! After the last restart: every volume comes to be whole, every Secret to have what its volume has, and then kubelet
//! takes all of it down and nothing is left.

use std::path::Path;
use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::board::{Board, locked};
use crate::process;
use crate::stage::{REGISTRY, Stage, driver_program, is_owned, replica_set_path, secret_name};
use crash::content::{ALWAYS, State};
use crash::copy::state;
use crash::verdicts::Verdicts;
use crash::volume;
use kit::driver::DriverProcess;
use kit::mirror::SECRETS_PATH;
use kit::world::Pod;

/// Plays the end with a driver that is not killed any more, and says what holds.
pub fn play(stage: &mut Stage, board: &Board, driver: DriverProcess, verdicts: &mut Verdicts) {
    stage.is_frozen.store(true, Ordering::SeqCst);
    stage.mirror.world.start_driver_as(driver);
    let pods: Vec<(usize, Pod)> = board
        .slots
        .iter()
        .enumerate()
        .filter_map(|(place, slot)| Some((place, locked(&slot.pod).clone()?)))
        .collect();
    let failed = |pod: &Pod, what: &str| format!("{}: {what}", pod.name);

    let faults = pods.iter().filter_map(|(_, pod)| publish(stage, pod).err().map(|why| failed(pod, &why)));
    verdicts.check("every volume is published, whole and without leftovers", faults);
    let faults = pods.iter().filter_map(|(place, pod)| secret(stage, *place, pod).err());
    verdicts.check("every Secret holds what its volume holds", faults);

    let faults = pods.iter().filter_map(|(_, pod)| {
        let unpublished = stage.kubelet().unpublish(pod).map_err(|status| status.to_string());
        unpublished.and_then(|()| stage.delete_pod(pod)).err().map(|why| failed(pod, &why))
    });
    verdicts.check("every volume can be unpublished", faults);
    verdicts.check("no mount is left", volume_mounts(stage));
    let known = ["csi", "pods", "providers", REGISTRY];
    let mut left = others_in(&stage.mirror.world.path(""), &known);
    left.extend(others_in(&stage.mirror.world.path("pods"), &[]));
    verdicts.check("no directory and no temporary name is left", left);
    verdicts.check("no Secret and no pod status is left", objects(stage, board));

    let driver = stage.mirror.world.take_driver();
    drop(driver.terminate());
    verdicts.check("no process is left", named(&process::strays(&driver_program(), &[])));
    let mut left = others_in(&stage.mirror.world.path("csi"), &["csi.sock", "refresh-times"]);
    left.extend(others_in(&stage.mirror.world.path(REGISTRY), &[]));
    verdicts.check("no file is left but the socket and the times that the next start takes up", left);
}

/// Twice: the second call finds nothing to do.
fn publish(stage: &Stage, pod: &Pod) -> Result<(), String> {
    for _ in 0..2 {
        stage.kubelet().publish(pod).map_err(|status| status.to_string())?;
        volume::is_at_rest(pod)?;
    }
    Ok(())
}

/// The Secret of a class comes to hold the state of the one pod of that class.
fn secret(stage: &Stage, place: usize, pod: &Pod) -> Result<(), String> {
    let bytes = std::fs::read(pod.target.join(ALWAYS[0])).map_err(|error| error.to_string())?;
    let wanted = State::named_in(&bytes).ok_or("the volume names no state")?;
    let name = secret_name(place);
    let path = format!("{SECRETS_PATH}/{name}");
    let found = || {
        stage.mirror.world.api.get(&path).ok_or("there is none".to_owned()).and_then(|secret| state(&secret))
    };
    if stage.mirror.world.api.wait(SYNC_PATIENCE, |_| found().as_ref() == Ok(&wanted)) {
        return Ok(());
    }
    let found = found().map_or_else(|why| why, |state| state.to_string());
    Err(format!("{name} is of {wanted} no copy: {found}"))
}

/// With all owners gone, the collector of the API server removes what they owned, and the driver brings nothing back.
fn objects(stage: &Stage, board: &Board) -> Vec<String> {
    let api = &stage.mirror.world.api;
    for class in (0..board.slots.len()).filter(|class| is_owned(*class)) {
        api.delete(&replica_set_path(class));
    }
    api.collect_garbage();
    stage.mirror.leftovers()
}

/// What is in a directory beside these names.
fn others_in(directory: &Path, known: &[&str]) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(directory) else { return Vec::new() };
    let names = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned());
    names.filter(|name| !known.contains(&name.as_str())).collect()
}

fn volume_mounts(stage: &Stage) -> Vec<String> {
    stage.mirror.world.mounts().iter().map(|path| path.display().to_string()).collect()
}

fn named(ids: &[u32]) -> Vec<String> {
    ids.iter().map(|id| format!("process {id}")).collect()
}

const SYNC_PATIENCE: Duration = Duration::from_secs(10);
