//! The story itself: chapters in the order in which a pod lives them, each with what has to be true in it.

use std::fs;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use crate::narrator::{Failure, Narrator};
use crate::node::{self, CLASS, NAMESPACE, Node, POD, PROVIDER};
use crate::reader::Reader;
use crate::show;
use kit::objects::pod_status_path;
use kit::world::Pod;

/// Tells the whole story, up to the first expectation that does not hold.
pub fn tell(node: &mut Node, tell: &mut Narrator) -> Result<(), Failure> {
    let begun = Instant::now();
    introduction(node, tell);
    node_starts(node, tell)?;
    user_asks_for_secrets(node, tell);
    let pod = pod_starts(node, tell)?;
    api_server_is_told(node, tell)?;
    nothing_changes(node, &pod, tell)?;
    let mut reader = Reader::start(&pod.target, node.store.objects());
    secret_changes(node, &pod, &reader, tell)?;
    provider_fails(node, &pod, &reader, tell)?;
    provider_returns(node, &pod, &reader, tell)?;
    driver_crashes(node, &pod, &reader, tell)?;
    pod_ends(node, &pod, &mut reader, tell)?;
    node_stops(node, tell)?;
    tell.title(&format!(
        "\nThat was all: {} expectations, and every one of them held. It took {}.",
        tell.checks(),
        show::time(begun.elapsed())
    ));
    Ok(())
}

fn introduction(node: &Node, tell: &mut Narrator) {
    tell.title("Secrets Store CSI Driver: the life of a pod's secrets, on this machine, without a cluster");
    tell.say("The driver and the provider are the real programs, the mounts are the kernel's.");
    tell.say("The API server is a double, and this program plays kubelet.");
    match node.store.user_copy() {
        None => tell.say("All secrets below are made up, so they can be shown."),
        Some(copy) => {
            tell.say(&format!("The secrets are the files of {}.", shown(&copy.original().to_string_lossy())));
            tell.say("Your files stay as they are: a copy in memory is used, and removed at the end.");
            tell.say("Names, modes and sizes are shown, contents are not. Symbolic links are passed over.");
        }
    }
}

fn node_starts(node: &mut Node, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("A node starts");
    tell.say("Every node of a cluster runs the driver, which kubelet calls, and one program for each secret");
    tell.say("store, its provider, which the driver calls.");
    let begun = Instant::now();
    node.start_provider();
    tell.check(&format!("the provider serves after {}", since(begun)), true, String::new)?;
    let begun = Instant::now();
    node.start_driver();
    tell.check(
        &format!("the driver tells kubelet that it is ready after {}", since(begun)),
        true,
        String::new,
    )
}

fn user_asks_for_secrets(node: &Node, tell: &mut Narrator) {
    tell.chapter("Somebody needs secrets");
    tell.say("A class says which secrets a pod needs, and from where:");
    node.world.class(CLASS, PROVIDER, node.store.parameters());
    for line in show::class(&node::class(&node.world.api)) {
        tell.show(&line);
    }
}

fn pod_starts(node: &mut Node, tell: &mut Narrator) -> Result<Pod, Failure> {
    tell.chapter("A pod starts");
    tell.say(&format!(
        "The pod {POD:?} names that class. Before its containers start, kubelet asks the driver"
    ));
    tell.say("for the volume, and waits.");
    let pod = node.schedule_pod();
    let begun = Instant::now();
    let published = node.world.kubelet.publish(&pod);
    let took = since(begun);
    tell.succeeds(
        &format!("kubelet has the volume after {took}"),
        published.map_err(|status| status.message),
    )?;
    tell.say("This is what the containers see:");
    check_volume(node, &pod, "every file holds, byte for byte, what the store holds", tell)?;
    let files = volume_files(&pod)?;
    let is_plain = |file: &show::SeenFile| file.mode == 0o644 && file.owner == (0, 0);
    tell.check("every file belongs to root, who alone may write it", files.values().all(is_plain), || {
        "another mode or owner, see above".to_owned()
    })?;
    tell.say("This is the mount, as the kernel lists it:");
    let mounts = show::mounts_at(&pod.target).map_err(|error| Failure::new("mounts can be read", error))?;
    let place = node.world.path("");
    let place = pod.target.strip_prefix(&place).unwrap_or(&pod.target).display().to_string();
    for (kind, options) in &mounts {
        tell.show(&format!("{kind} on {place}"));
        tell.show(&format!("     ({options})"));
    }
    let is_memory = matches!(&mounts[..], [(kind, options)] if kind == "tmpfs"
        && ["nosuid", "nodev", "noexec"].iter().all(|wanted| options.split(',').any(|option| option == *wanted)));
    tell.check("it is memory, not disk, and on the node nothing in it can be run", is_memory, || {
        format!("{mounts:?}")
    })?;
    Ok(pod)
}

fn api_server_is_told(node: &Node, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("The API server learns what is mounted");
    let status = node::pod_status(&node.world.api);
    let status = status.ok_or_else(|| Failure::new("the API server has a pod status", "none"))?;
    for line in show::pod_status(&status) {
        tell.show(&line);
    }
    let objects = status["status"]["objects"].as_array().map_or(0, Vec::len);
    let wanted = node.store.objects().len();
    tell.check("it lists every secret by its version", objects == wanted, || {
        format!("{objects} of {wanted}")
    })?;
    if node.store.user_copy().is_none() {
        let text = status.to_string();
        check_no_secret_in(node, "no secret itself is in it", &text, tell)?;
    }
    Ok(())
}

fn nothing_changes(node: &Node, pod: &Pod, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("Nothing changes");
    tell.say("From now on kubelet calls again and again, about every 75 seconds. Mostly there is no news.");
    let before = generation(pod)?;
    node.world.api.forget_requests();
    publish_again(node, pod, tell)?;
    let after = generation(pod)?;
    tell.check("no file was touched", before == after, || format!("{after:?} instead of {before:?}"))?;
    let writes = ["create", "update", "patch", "delete"].map(|verb| node.world.api.count(verb, ""));
    tell.check("nothing was written to the API server", writes == [0; 4], || format!("{writes:?}"))
}

fn secret_changes(node: &mut Node, pod: &Pod, reader: &Reader, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("A secret changes in the store");
    tell.say("The application now reads all its files over and over, and will not stop until the pod ends.");
    reader.wait_for_another();
    let names = node.store.change(0);
    let place = if node.store.user_copy().is_some() { "copy" } else { "store" };
    tell.say(&format!("In the {place}, {} changed. Kubelet calls again.", listed(&names)));
    reader.expect(node.store.objects());
    let versions = versions(node);
    publish_again(node, pod, tell)?;
    check_volume(node, pod, "the files are the new ones", tell)?;
    reader.wait_for_latest();
    reader.wait_for_another();
    check_reader(
        reader,
        "the application saw the old files, then the new ones, never a mix and never a part",
        tell,
    )?;
    let now = self::versions(node);
    tell.check("the API server knows the new versions", now != versions, || format!("{now:?} as before"))
}

fn provider_fails(node: &mut Node, pod: &Pod, reader: &Reader, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("The provider fails");
    tell.say("Its process is killed. Meanwhile the store changes once more, and kubelet calls again.");
    tell.say("The driver tries three times, a second apart.");
    let before = show::contents(&volume_files(pod)?);
    node.kill_provider();
    let names = node.store.change(1);
    publish_again(node, pod, tell)?;
    let now = show::contents(&volume_files(pod)?);
    tell.check("the pod keeps the secrets that it has", now == before, || "other files".to_owned())?;
    let api = &node.world.api;
    let is_warning = |event: &serde_json::Value| event["type"] == "Warning";
    api.wait(PATIENCE, |api| api.events_for(POD).iter().any(is_warning));
    let warning = api.events_for(POD).into_iter().find(is_warning);
    let warning = warning.ok_or_else(|| Failure::new("the pod gets a warning", "no event"))?;
    tell.check("the pod's owner is told, by an event:", true, String::new)?;
    for line in wrapped(show::text(&warning["message"])) {
        tell.show(&line);
    }
    let condition = node.world.kubelet.stats(pod).map(|stats| stats.volume_condition.abnormal);
    tell.check("the volume says that it is not well", matches!(condition, Ok(true)), || {
        "it is well".to_owned()
    })?;
    reader.wait_for_another();
    check_reader(reader, "the application noticed nothing", tell)?;
    tell.say(&format!("What the pod does not have yet: the news of {}.", listed(&names)));
    Ok(())
}

fn provider_returns(node: &mut Node, pod: &Pod, reader: &Reader, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("The provider returns");
    node.start_provider();
    reader.expect(node.store.objects());
    publish_again(node, pod, tell)?;
    check_volume(node, pod, "the files are what the store holds by now", tell)?;
    let condition = node.world.kubelet.stats(pod).map(|stats| stats.volume_condition.abnormal);
    tell.check("the volume is well again", matches!(condition, Ok(false)), || "it is not".to_owned())?;
    reader.wait_for_latest();
    reader.wait_for_another();
    check_reader(reader, "the application saw one switch, to whole new files", tell)
}

fn driver_crashes(node: &mut Node, pod: &Pod, reader: &Reader, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("The driver crashes");
    let before = generation(pod)?;
    node.kill_driver();
    reader.wait_for_another();
    check_reader(reader, "kill -9, and the application goes on reading: the volume needs no driver", tell)?;
    let begun = Instant::now();
    node.start_driver();
    tell.check(&format!("a new driver is ready after {}", since(begun)), true, String::new)?;
    publish_again(node, pod, tell)?;
    let after = generation(pod)?;
    tell.check("it found the volume and left it as it was", before == after, || {
        format!("{after:?} instead of {before:?}")
    })
}

fn pod_ends(node: &Node, pod: &Pod, reader: &mut Reader, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("The pod ends");
    reader.wait_for_another();
    reader.stop();
    let counts: Vec<String> = reader.counts().iter().map(u64::to_string).collect();
    check_reader(
        reader,
        &format!(
            "in all, the application read {} times, a whole and current state each time",
            counts.join(" + ")
        ),
        tell,
    )?;
    let begun = Instant::now();
    let unpublished = node.world.kubelet.unpublish(pod);
    let took = since(begun);
    tell.succeeds(&format!("the volume is gone after {took}"), unpublished.map_err(|status| status.message))?;
    let mounts = node.world.mounts();
    tell.check("no mount is left", mounts.is_empty(), || format!("{mounts:?}"))?;
    let left = files_below(node.world.path("pods"));
    let is_empty = left.as_ref().is_ok_and(Vec::is_empty) && !pod.target.exists();
    tell.check("no file is left in kubelet's directory", is_empty, || format!("{left:?}"))?;
    let api = &node.world.api;
    api.delete(&format!("/api/v1/namespaces/{NAMESPACE}/pods/{POD}"));
    api.collect_garbage();
    let status = api.get(&pod_status_path(NAMESPACE, POD, CLASS));
    tell.check("with the pod, the API server forgets its pod status", status.is_none(), || {
        "it is there".to_owned()
    })
}

fn node_stops(node: &mut Node, tell: &mut Narrator) -> Result<(), Failure> {
    tell.chapter("The node stops");
    node.stop_driver();
    tell.check("the driver ends in good order", true, String::new)?;
    if let Some(copy) = node.store.user_copy() {
        let path = shown(&copy.original().to_string_lossy());
        return tell.succeeds(&format!("{path} is as it was"), copy.compare_original());
    }
    let log = node.driver_log();
    let lines = log.lines().count();
    check_no_secret_in(
        node,
        &format!("no secret is in the {lines} lines of its most detailed log"),
        &log,
        tell,
    )
}

/// Kubelet's next call, which has to succeed whatever it finds.
fn publish_again(node: &Node, pod: &Pod, tell: &mut Narrator) -> Result<(), Failure> {
    let begun = Instant::now();
    let published = node.world.kubelet.publish(pod);
    let took = since(begun);
    tell.succeeds(
        &format!("kubelet has its answer after {took}: all is well"),
        published.map_err(|s| s.message),
    )
}

/// Shows the volume and compares it with the store.
fn check_volume(node: &Node, pod: &Pod, expected: &str, tell: &mut Narrator) -> Result<(), Failure> {
    let files = volume_files(pod)?;
    for line in show::listing(&files, node.store.user_copy().is_none()) {
        tell.show(&line);
    }
    tell.check(expected, show::contents(&files) == *node.store.objects(), || {
        "other names or contents".to_owned()
    })
}

fn check_reader(reader: &Reader, expected: &str, tell: &mut Narrator) -> Result<(), Failure> {
    let fault = reader.fault();
    tell.check(expected, fault.is_none(), || fault.unwrap_or_default())
}

/// Only for secrets that are made up to be unmistakable.
fn check_no_secret_in(node: &Node, expected: &str, text: &str, tell: &mut Narrator) -> Result<(), Failure> {
    let known = node.store.every_value();
    let found = known.iter().filter(|value| text.contains(value.as_str())).count();
    tell.check(expected, found == 0, || format!("{found} of {}", known.len()))
}

fn volume_files(pod: &Pod) -> Result<std::collections::BTreeMap<String, show::SeenFile>, Failure> {
    show::files(&pod.target).map_err(|error| Failure::new("the volume can be read", error))
}

/// The directory that is live in the volume, and the mount that it lies in.
fn generation(pod: &Pod) -> Result<(PathBuf, u64), Failure> {
    use std::os::unix::fs::MetadataExt;
    let link = fs::read_link(pod.target.join("..data"));
    let device = fs::metadata(&pod.target).map(|root| root.dev());
    link.and_then(|link| Ok((link, device?))).map_err(|error| Failure::new("the volume is there", error))
}

fn versions(node: &Node) -> serde_json::Value {
    node::pod_status(&node.world.api).unwrap_or_default()["status"]["objects"].take()
}

/// Everything below a directory that is not a directory itself.
fn files_below(directory: PathBuf) -> std::io::Result<Vec<PathBuf>> {
    let (mut found, mut pending) = (Vec::new(), vec![directory]);
    while let Some(directory) = pending.pop() {
        for entry in fs::read_dir(directory)? {
            let entry = entry?;
            let list = if entry.file_type()?.is_dir() { &mut pending } else { &mut found };
            list.push(entry.path());
        }
    }
    Ok(found)
}

fn since(begun: Instant) -> String {
    show::time(begun.elapsed())
}

fn listed(names: &[String]) -> String {
    names.iter().map(|name| shown(name)).collect::<Vec<_>>().join(" and ")
}

fn shown(name: &str) -> String {
    show::plain(name)
}

/// Lines that fit a terminal.
fn wrapped(text: &str) -> Vec<String> {
    let mut lines = vec![String::new()];
    for word in show::plain(text).split(' ') {
        let line = lines.last_mut().expect("there is always a line");
        if line.is_empty() {
            line.push_str(word);
        } else if line.chars().count() + word.chars().count() < LINE_CHARS {
            line.push(' ');
            line.push_str(word);
        } else {
            lines.push(word.to_owned());
        }
    }
    lines
}

/// With the indentation of an exhibit, a line of a hundred characters.
const LINE_CHARS: usize = 94;
/// The event is posted by a thread of the driver.
const PATIENCE: Duration = Duration::from_secs(30);
