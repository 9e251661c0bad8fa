//! The driver's memory, read as only an attacker with every right could: what was freed is overwritten.

use std::fs::File;
use std::os::unix::fs::FileExt;

use serde_json::json;

use api_server::{ApiServer, Settings};
use kit::eventually;
use kit::objects::{self, objects};
use kit::provider::answer;
use kit::world::World;

/// In an annotation, which no type of ours has a place for: only libraries ever hold it, while they read.
const CANARY: &str = "canary-in-what-a-library-has-read-71d0";

/// How often the text is in what the process can write to.
fn copies(process: u32, text: &str) -> usize {
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
            found += content.windows(text.len()).filter(|window| *window == text.as_bytes()).count();
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
    eventually("no copy is left in the driver's memory", || copies(world.driver().id(), CANARY) == 0);
}

#[test]
fn a_token_that_was_replaced_is_in_no_buffer_of_a_connection_that_idles() {
    const OLD: &str = "canary-bearer-token-that-is-replaced-2f81";
    const NEW: &str = "canary-bearer-token-that-replaces-it-90ce";
    let api = ApiServer::with(Settings { tls: true, token: Some(OLD.to_owned()) });
    let (token, authority) = (file_with(OLD), file_with(&api.ca_pem()));
    let world = World::start(&[
        &format!("--kube-api-server={}", api.url()),
        &format!("--kube-ca-file={}", authority.path().display()),
        &format!("--kube-token-file={}", token.path().display()),
    ]);
    let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"x")])));
    api.put(objects::class("default", "db", "test", objects(&["password"])));
    // As many at a time as it takes for several connections.
    let pods: Vec<_> = (0..16).map(|number| world.pod(&format!("web-{number}"), "db")).collect();
    std::thread::scope(|scope| {
        for pod in &pods {
            scope.spawn(|| world.kubelet.publish(pod).unwrap());
        }
    });
    let process = world.driver().id();
    assert!(copies(process, OLD) > 0, "the driver has it in use");

    std::fs::write(token.path(), NEW).unwrap();
    api.set_token(NEW);
    world.kubelet.publish(&world.pod("one-more", "db")).unwrap();
    // The library keeps the header of a request whose answer still comes: a watch is that long, and no longer.
    api.end_watches();
    eventually("the old token is nowhere in the driver's memory", || copies(process, OLD) == 0);
    assert!(copies(process, NEW) > 0, "the driver has the new one in use");
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}
