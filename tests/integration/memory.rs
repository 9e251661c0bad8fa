//! The driver's memory, read as only an attacker with every right could: what was freed is overwritten.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::json;

use crate::support::eventually;
use crate::support::objects::{self, objects};
use crate::support::provider::answer;
use crate::support::world::World;

/// In an annotation, which no type of ours has a place for: only libraries ever hold it, while they read.
const CANARY: &str = "canary-in-what-a-library-has-read-71d0";

/// How often the canary is in what the process can write to.
fn copies(process: u32) -> usize {
    let memory = File::open(format!("/proc/{process}/mem")).unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
    let writable = maps.lines().filter(|line| line.contains(" rw"));
    let ranges = writable.filter_map(|line| {
        let (from, to) = line.split(' ').next()?.split_once('-')?;
        Some((u64::from_str_radix(from, 16).ok()?, u64::from_str_radix(to, 16).ok()?))
    });
    let mut found = 0;
    for (from, to) in ranges {
        let mut content = vec![0; usize::try_from(to - from).unwrap()];
        // A range may go away meanwhile.
        if memory.read_exact_at(&mut content, from).is_ok() {
            found += content.windows(CANARY.len()).filter(|window| *window == CANARY.as_bytes()).count();
        }
    }
    found
}

#[test]
fn what_a_library_has_freed_is_overwritten() {
    let world = World::start(&[]);
    let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"x")])));
    let mut class = objects::class("default", "db", "test", objects(&["password"]));
    class["metadata"]["annotations"] = json!({ "note": CANARY.repeat(1000) });
    world.api.put(class.clone());
    let pod = world.pod("web", "db");
    world.kubelet.publish(&pod).unwrap();
    world.kubelet.unpublish(&pod).unwrap();

    // A connection that is kept has a buffer that is in use: let another answer fill it, once.
    class["metadata"]["name"] = json!("other");
    class["metadata"]["annotations"] = json!({ "note": "x".repeat(16 * 1024) });
    world.api.put(class);
    let other = world.pod("other", "other");
    world.kubelet.publish(&other).unwrap();
    world.kubelet.unpublish(&other).unwrap();
    eventually("no copy is left in the driver's memory", || copies(world.driver().id()) == 0);
}
