//! The driver registers itself with kubelet: it is offered when it answers, tried again until it is taken, and gone
//! before the driver is.

mod callers;
mod probes;
mod start;

use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::time::Instant;

use serde_json::json;

use kit::eventually;
use kit::gate::Gate;
use kit::plugin_watcher::{PluginWatcher, Sight};
use kit::provider::answer;
use kit::world::World;

const NAME: &str = "secrets-store.csi.k8s.io";
const REGISTERED: &str = "secrets_store_csi_kubelet_registered";
const NOT_READY: &str = "waiting for kubelet's registration\n";

/// A node with kubelet's directory, whose driver is to register itself and is not started yet.
fn node(flags: &[&str]) -> World {
    let mut world = World::without_driver(&[]);
    std::fs::create_dir(world.path("registry")).unwrap();
    world.add_flags(&[&format!("--kubelet-registration-dir={}", world.path("registry").display())]);
    world.add_flags(flags);
    world
}

fn kubelet(world: &World) -> PluginWatcher {
    PluginWatcher::start(&world.environment, &world.path("registry"), |path| PathBuf::from(path))
}

fn socket(world: &World) -> PathBuf {
    world.path(&format!("registry/{NAME}-reg.sock"))
}

/// Waits until the driver says that it is ready but for kubelet.
fn await_unregistered(world: &World) {
    eventually("nothing but kubelet is waited for", || {
        world.http_get("/readyz") == (503, NOT_READY.to_owned())
    });
    assert_eq!(world.metric(REGISTERED), Some(0.0));
    assert_eq!(world.http_get("/healthz"), (200, "ok".to_owned()), "alive without kubelet");
}

fn await_registered(world: &World) {
    eventually("the driver is ready", || world.http_get("/readyz").0 == 200);
    assert_eq!(world.metric(REGISTERED), Some(1.0));
    assert_eq!(world.http_get("/healthz"), (200, "ok".to_owned()));
}

#[test]
fn kubelet_registers_the_driver_at_its_first_try() {
    let mut world = node(&["--nodeid=node-7"]);
    let kubelet = kubelet(&world);
    world.start_driver();
    kubelet.await_registration(NAME);
    await_registered(&world);
    let sights = kubelet.sights();
    let [Sight::Created, Sight::Introduced(info), Sight::Node(node), Sight::Accepted] = &sights[..] else {
        panic!("{sights:?}");
    };
    let endpoint = world.path("csi/csi.sock").display().to_string();
    assert_eq!((info.type_.as_str(), info.name.as_str()), ("CSIPlugin", NAME));
    assert_eq!((&info.endpoint, &info.supported_versions[..]), (&endpoint, &["1.0.0".to_owned()][..]));
    assert_eq!(node, "node-7");
    assert_eq!(world.driver().count_log("kubelet registered the driver"), 1, "{}", world.driver().log());
}

#[test]
fn kubelet_is_told_the_path_on_the_node() {
    let path = "/var/lib/kubelet/plugins/csi-secrets-store/csi.sock";
    let mut world = node(&["--drivername=other.example.com", &format!("--kubelet-registration-path={path}")]);
    let real = world.path("csi/csi.sock");
    let kubelet = PluginWatcher::start(&world.environment, &world.path("registry"), move |asked| {
        assert_eq!(asked, path);
        real.clone()
    });
    world.start_driver();
    kubelet.await_registration("other.example.com");
    assert_eq!(kubelet.endpoint_of("other.example.com").as_deref(), Some(path));
    assert!(world.path("registry/other.example.com-reg.sock").exists());
}

#[test]
fn the_socket_is_private_and_nothing_else_is_left_in_kubelets_directory() {
    let mut world = node(&[]);
    world.start_driver();
    await_unregistered(&world);
    eventually("the socket is there", || socket(&world).exists());
    let found = std::fs::symlink_metadata(socket(&world)).unwrap();
    assert!(found.file_type().is_socket());
    assert_eq!(found.permissions().mode() & 0o777, 0o600);
    assert_eq!(std::fs::read_dir(world.path("registry")).unwrap().count(), 1);
    // So that it was never anybody else's, not even between its making and its mode.
    let status = std::fs::read_to_string(format!("/proc/{}/status", world.driver().id())).unwrap();
    assert!(status.lines().any(|line| line == "Umask:\t0077"), "{status}");
}

#[test]
fn kubelet_has_no_error_to_log_when_the_driver_starts_stops_or_crashes() {
    let mut world = node(&[]);
    let mut kubelet = kubelet(&world);
    for life in ["the first start", "after a stop", "after a crash", "after a start of kubelet's"] {
        world.start_driver();
        await_registered(&world);
        eventually("kubelet has said so", || kubelet.sights().last() == Some(&Sight::Accepted));
        assert_eq!(kubelet.complaints(), [""; 0], "{life}");
        match life {
            "the first start" => drop(world.take_driver().terminate()),
            "after a stop" => drop(world.take_driver().kill()),
            _ => {
                // This one also watches every directory that it finds.
                kubelet = self::kubelet(&world);
                kubelet.await_registration(NAME);
                drop(world.take_driver().terminate());
            }
        }
        assert_eq!(kubelet.complaints(), [""; 0], "the end of {life}");
        assert!(
            !kubelet.sights().iter().any(|sight| matches!(sight, Sight::Failed(_))),
            "{:?}",
            kubelet.sights()
        );
    }
}

#[test]
fn the_double_of_kubelet_complains_of_what_is_gone_when_it_looks_hidden_or_not() {
    let world = node(&[]);
    let kubelet = kubelet(&world);
    for name in [".hidden", "plain"] {
        let path = world.path(&format!("registry/{name}"));
        let complaint = format!("stat file {} failed", path.display());
        eventually("it was gone by then", || {
            std::fs::create_dir(&path).unwrap();
            std::fs::remove_dir(&path).unwrap();
            kubelet.complaints().iter().any(|told| told.starts_with(&complaint))
        });
    }
    assert_eq!(kubelet.sights(), []);
}

#[test]
fn until_kubelet_comes_the_driver_is_alive_but_not_ready() {
    let mut world = node(&[]);
    world.start_driver();
    await_unregistered(&world);
    let _kubelet = kubelet(&world);
    await_registered(&world);
}

#[test]
fn without_the_flag_no_socket_is_made_and_nobody_waits_for_kubelet() {
    let world = World::start(&[]);
    std::fs::create_dir(world.path("registry")).unwrap();
    eventually("the driver is ready", || world.http_get("/readyz").0 == 200);
    assert_eq!(world.metric(REGISTERED), None);
    let threads = threads(&world);
    assert!(!threads.iter().any(|name| name == "registration"), "{threads:?}");
}

#[test]
fn a_refused_driver_comes_again_after_pauses_that_grow_until_it_is_taken() {
    let mut world = node(&[]);
    let kubelet = kubelet(&world);
    for number in 1..=3 {
        kubelet.refuse_next(&format!("not today {number}"));
    }
    world.start_driver();
    kubelet.await_registration(NAME);
    await_registered(&world);

    let sights = kubelet.timed_sights();
    let kinds: Vec<_> = sights.iter().map(|(_, sight)| sight).collect();
    for round in kinds.chunks(4).take(3) {
        assert!(
            matches!(round, [Sight::Created, Sight::Introduced(_), Sight::Refused, Sight::Removed]),
            "{kinds:?}"
        );
    }
    assert!(
        matches!(kinds[12..], [Sight::Created, Sight::Introduced(_), Sight::Node(_), Sight::Accepted]),
        "{kinds:?}"
    );
    let times = |wanted: &Sight| -> Vec<Instant> {
        sights.iter().filter(|(_, sight)| sight == wanted).map(|(time, _)| *time).collect()
    };
    let pauses = times(&Sight::Created).into_iter().skip(1).zip(times(&Sight::Refused));
    for ((made, refused), least) in pauses.zip([1.0, 2.0, 4.0]) {
        let pause = (made - refused).as_secs_f64();
        // What kubelet's round and a busy machine add, they may also take away at its beginning.
        assert!(pause > least - 0.3, "{pause} s instead of {least} s");
    }
    let log = world.driver().log();
    for (number, pause) in [(1, 1), (2, 2), (3, 4)] {
        let line = log.lines().find(|line| line.contains(&format!("not today {number}"))).unwrap_or(&log);
        assert!(line.contains("kubelet did not register the driver"), "{line}");
        assert!(line.contains(&format!("retry_seconds={pause}")), "{line}");
    }
    assert_eq!(world.driver().count_log("kubelet registered the driver"), 1, "{log}");
}

#[test]
fn a_refused_driver_serves_its_volumes_all_the_same() {
    let mut world = node(&[]);
    let kubelet = kubelet(&world);
    for _ in 0..20 {
        kubelet.refuse_next("never");
    }
    world.start_driver();
    let _provider = world.provider("test", |_| Ok(answer("v1", &[("password", 0, b"hunter2")])));
    world.class("db", "test", json!({"objects": "some"}));
    let pod = world.pod("web", "db");
    eventually("kubelet has refused it", || kubelet.count(&Sight::Refused) > 0);
    world.kubelet.publish(&pod).unwrap();
    await_unregistered(&world);
    assert_eq!(pod.read("password"), "hunter2");
}

#[test]
fn an_endpoint_that_kubelet_does_not_find_is_told_with_the_flag_that_sets_it() {
    let mut world = node(&["--kubelet-registration-path=/nowhere/csi.sock"]);
    let kubelet = kubelet(&world);
    world.start_driver();
    world.driver().wait_for_log("set it with --kubelet-registration-path");
    assert_eq!(kubelet.endpoint_of(NAME), None);
    await_unregistered(&world);
}

#[test]
fn a_stopping_driver_is_forgotten_before_its_csi_socket_is_closed() {
    let mut world = node(&["--shutdown-grace-period=1h"]);
    let kubelet = kubelet(&world);
    world.start_driver();
    kubelet.await_registration(NAME);
    let gate = Gate::default();
    let held = gate.clone();
    let provider = world.provider("test", move |_| {
        held.wait();
        Ok(answer("v1", &[("password", 0, b"hunter2")]))
    });
    world.class("db", "test", json!({"objects": "some"}));
    let pod = world.pod("web", "db");
    std::thread::scope(|scope| {
        let publish = scope.spawn(|| world.kubelet.publish(&pod));
        eventually("the provider has the call", || provider.calls() == 1);
        world.driver().signal("TERM");
        eventually("kubelet forgets the driver", || kubelet.endpoint_of(NAME).is_none());
        assert!(!socket(&world).exists());
        assert!(!publish.is_finished(), "the call is still in hand");
        gate.open();
        assert_eq!(publish.join().unwrap(), Ok(()));
    });
    let mut driver = world.take_driver();
    assert_eq!(driver.wait().code(), Some(0), "{}", driver.log());
    assert_eq!(std::fs::read_dir(world.path("registry")).unwrap().count(), 0);
}

#[test]
fn the_socket_of_a_crash_is_replaced_and_kubelet_registers_anew() {
    let mut world = node(&[]);
    let kubelet = kubelet(&world);
    world.start_driver();
    // Not only introduced: what kubelet says last would be said to the next driver.
    eventually("kubelet has said that it registered it", || kubelet.count(&Sight::Accepted) == 1);
    world.take_driver().kill();
    assert!(socket(&world).exists(), "a crash leaves it");
    world.start_driver();
    await_registered(&world);
    eventually("and so for the next", || kubelet.count(&Sight::Accepted) == 2);
    assert_eq!(std::fs::read_dir(world.path("registry")).unwrap().count(), 1);
}

#[test]
fn the_socket_of_a_registrar_that_is_gone_is_replaced() {
    let mut world = node(&[]);
    drop(UnixListener::bind(socket(&world)).unwrap());
    world.start_driver();
    let kubelet = kubelet(&world);
    kubelet.await_registration(NAME);
}

#[test]
fn a_socket_that_somebody_removes_comes_back_and_is_registered_again() {
    let mut world = node(&[]);
    let kubelet = kubelet(&world);
    world.start_driver();
    await_registered(&world);
    drop(kubelet);
    std::fs::remove_file(socket(&world)).unwrap();
    await_unregistered(&world);
    world.driver().wait_for_log("somebody removed or replaced the registration socket");
    let kubelet = self::kubelet(&world);
    kubelet.await_registration(NAME);
    await_registered(&world);
}

#[test]
fn a_socket_that_somebody_replaces_is_taken_back() {
    let mut world = node(&[]);
    world.start_driver();
    await_unregistered(&world);
    eventually("the socket is there", || socket(&world).exists());
    std::fs::remove_file(socket(&world)).unwrap();
    let _registrar = UnixListener::bind(socket(&world)).unwrap();
    world.driver().wait_for_log("nor a node-driver-registrar beside this one");
    let kubelet = kubelet(&world);
    kubelet.await_registration(NAME);
}

#[test]
fn what_is_no_socket_of_ours_is_never_removed() {
    let mut world = node(&[]);
    world.start_driver();
    await_unregistered(&world);
    eventually("the socket is there", || socket(&world).exists());
    std::fs::remove_file(socket(&world)).unwrap();
    std::fs::write(socket(&world), "precious").unwrap();
    world.driver().wait_for_log("exists and is not a socket");
    await_unregistered(&world);
    world.take_driver().terminate();
    assert_eq!(std::fs::read_to_string(socket(&world)).unwrap(), "precious");
}

#[test]
fn a_kubelet_that_starts_again_finds_the_driver_without_its_doing() {
    let mut world = node(&[]);
    let before = kubelet(&world);
    world.start_driver();
    await_registered(&world);
    drop(before);
    let after = kubelet(&world);
    after.await_registration(NAME);
    let sights = after.sights();
    assert!(matches!(sights[..2], [Sight::Created, Sight::Introduced(_)]), "{sights:?}");
    await_registered(&world);
    assert_eq!(world.driver().count_log("kubelet registered the driver"), 1, "{}", world.driver().log());
}

#[test]
fn a_registered_driver_that_kubelet_then_refuses_is_not_ready_any_more() {
    let mut world = node(&[]);
    let before = kubelet(&world);
    world.start_driver();
    await_registered(&world);
    drop(before);
    // Refuses from its first look on.
    let texts = ["not yet"; 3].map(str::to_owned).into();
    let after = PluginWatcher::refusing(&world.environment, &world.path("registry"), texts, |path| {
        PathBuf::from(path)
    });
    await_unregistered(&world);
    after.await_registration(NAME);
    await_registered(&world);
}

#[test]
fn it_costs_one_thread_and_the_health_listener_three() {
    let mut world = node(&["--health-addr=127.0.0.1:0"]);
    let _kubelet = kubelet(&world);
    world.start_driver();
    await_registered(&world);
    let threads = threads(&world);
    let mut ours: Vec<_> = threads.iter().map(String::as_str).collect();
    ours.retain(|name| name.starts_with("health") || name.starts_with("registration"));
    assert_eq!(ours, ["health-0", "health-1", "health-http", "registration"], "{threads:?}");
    let workers = threads.iter().filter(|name| *name == "worker").count();
    assert!(workers <= 4, "no pool of its own: {threads:?}");
}

/// Names of the driver's threads, sorted.
fn threads(world: &World) -> Vec<String> {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", world.driver().id())).unwrap().flatten();
    // A thread may end while it is looked at.
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.path().join("comm")).ok());
    let mut names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    names.sort();
    names
}
