//! The driver as two processes: what each of them still may, and what becomes of one when the other ends.

use std::fs;
use std::path::Path;
use std::process::Command;

use kit::driver::{DriverProcess, program};
use kit::eventually;
use kit::objects::objects;
use kit::provider::{ScriptedProvider, answer};
use kit::world::World;

/// The mounter of the driver with this id: its one child.
pub fn mounter_of(driver: u32) -> u32 {
    let children = fs::read_to_string(format!("/proc/{driver}/task/{driver}/children")).unwrap();
    let children: Vec<u32> = children.split_whitespace().map(|id| id.parse().unwrap()).collect();
    let [mounter] = children[..] else { panic!("the driver has one child, not {children:?}") };
    let line = fs::read_to_string(format!("/proc/{mounter}/cmdline")).unwrap();
    assert_eq!(line.split('\0').nth(1), Some("mounter"), "{line:?}");
    mounter
}

/// The fields of a thread's status.
fn status(thread: &Path) -> String {
    fs::read_to_string(thread.join("status")).unwrap()
}

fn field<'a>(status: &'a str, name: &str) -> &'a str {
    let value = status.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
    value.unwrap_or_else(|| panic!("{name} is a field of {status}")).trim()
}

fn threads(process: u32) -> Vec<std::path::PathBuf> {
    fs::read_dir(format!("/proc/{process}/task")).unwrap().map(|entry| entry.unwrap().path()).collect()
}

fn has_ended(process: u32) -> bool {
    !Path::new(&format!("/proc/{process}")).exists()
}

const SYS_ADMIN: u64 = 1 << 21;

#[test]
fn only_the_mounter_may_mount_and_every_thread_of_both_is_confined() {
    let world = World::start(&[]);
    let _provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
        Ok(answer("v1", &[("password", 0, b"x")]))
    });
    world.class("db", "test", objects(&["password"]));
    world.kubelet.publish(&world.pod("web", "db")).unwrap();

    let driver = world.driver().id();
    let mounter = mounter_of(driver);
    assert!(threads(driver).len() > 5, "it works with several threads");
    assert_eq!(threads(mounter).len(), 1);
    for (process, kept) in [(driver, 0x400b), (mounter, SYS_ADMIN)] {
        for thread in threads(process) {
            let status = status(&thread);
            for set in ["CapEff", "CapPrm", "CapBnd"] {
                let held = u64::from_str_radix(field(&status, set), 16).unwrap();
                assert_eq!(held & !kept, 0, "{set} of {}", thread.display());
                assert_eq!(held & SYS_ADMIN != 0, process == mounter, "{set} of {}", thread.display());
            }
            let others = ["CapInh", "CapAmb"].map(|set| field(&status, set).trim_matches('0'));
            assert_eq!(others, ["", ""], "{}", thread.display());
            assert_eq!(field(&status, "NoNewPrivs"), "1", "{}", thread.display());
            assert_eq!(field(&status, "Seccomp"), "2", "{}", thread.display());
        }
        let limits = fs::read_to_string(format!("/proc/{process}/limits")).unwrap();
        let core = limits.lines().find(|line| line.starts_with("Max core file size")).unwrap();
        assert_eq!(core.split_whitespace().nth(4), Some("0"), "{core}");
        // The files of a process that is not dumpable are root's; these threads are root's either way.
        let executable = fs::read_to_string(format!("/proc/{process}/maps")).unwrap();
        let is_writable_code =
            |line: &&str| line.split(' ').nth(1).is_some_and(|mode| mode.starts_with("rwx"));
        assert_eq!(executable.lines().find(is_writable_code), None);
    }
}

#[test]
fn the_memory_of_the_driver_stays_out_of_swap() {
    let world = World::start(&[]);
    let status = status(Path::new(&format!("/proc/{}", world.driver().id())));
    let kib = |name| field(&status, name).split(' ').next().unwrap().parse::<u64>().unwrap();
    if world.driver().log().contains("could not keep this process's memory out of swap") {
        // Only where the kernel lets nobody do it: in a user namespace.
        assert_ne!(
            fs::read_to_string("/proc/self/uid_map").unwrap().split_whitespace().nth(2),
            Some("4294967295")
        );
        return;
    }
    assert!(kib("VmLck") >= kib("RssAnon"), "{status}");
}

#[test]
fn a_driver_whose_mounter_dies_ends_and_the_next_one_takes_up_its_volumes() {
    let mut world = World::start(&[]);
    let _provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
        Ok(answer("v1", &[("password", 0, b"x")]))
    });
    world.class("db", "test", objects(&["password"]));
    let pod = world.pod("web", "db");
    world.kubelet.publish(&pod).unwrap();

    let killed = Command::new("kill").arg("-KILL").arg(mounter_of(world.driver().id()).to_string()).status();
    assert!(killed.unwrap().success());
    let mut driver = world.take_driver();
    let (status, log) = (driver.wait(), driver.log());
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("the mounter has ended (signal: 9"), "{log}");
    assert_eq!(pod.read("password"), "x", "the pod keeps what it has");

    world.start_driver();
    world.kubelet.publish(&pod).unwrap();
    world.kubelet.unpublish(&pod).unwrap();
    assert!(!pod.target.exists());
}

#[test]
fn a_mounter_whose_driver_is_killed_ends() {
    let mut world = World::start(&[]);
    let mounter = mounter_of(world.driver().id());
    world.take_driver().kill();
    eventually("the mounter ends", || has_ended(mounter));
}

#[test]
fn the_mounter_outlives_the_signals_that_are_for_the_driver() {
    let world = World::start(&[]);
    let _provider = ScriptedProvider::start(&world.environment, &world.providers(), "test", |_| {
        Ok(answer("v1", &[("password", 0, b"x")]))
    });
    world.class("db", "test", objects(&["password"]));
    let mounter = mounter_of(world.driver().id());
    for signal in ["-TERM", "-INT"] {
        assert!(Command::new("kill").args([signal, &mounter.to_string()]).status().unwrap().success());
    }
    world.kubelet.publish(&world.pod("web", "db")).unwrap();
    assert_eq!(mounter_of(world.driver().id()), mounter);
}

#[test]
fn the_list_of_system_calls_can_be_relaxed_and_the_log_says_so() {
    for (mode, kernels) in [("log", "2"), ("off", "0")] {
        let world = World::start(&[&format!("--seccomp={mode}")]);
        world.driver().wait_for_log(&format!("--seccomp={mode}: "));
        for process in [world.driver().id(), mounter_of(world.driver().id())] {
            for thread in threads(process) {
                let status = status(&thread);
                assert_eq!(field(&status, "Seccomp"), kernels, "{}", thread.display());
                // By itself: with a list, the kernel has to be promised the same.
                assert_eq!(field(&status, "NoNewPrivs"), "1", "{}", thread.display());
            }
        }
    }
}

#[test]
fn a_driver_without_its_pods_directory_says_so_and_ends() {
    let world = World::without_driver(&[]);
    fs::remove_dir(world.path("pods")).unwrap();
    let mut driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &world.arguments());
    let (status, log) = (driver.wait(), driver.log());
    assert_eq!(status.code(), Some(1), "{log}");
    assert!(log.contains("--kubelet-pods-dir"), "{log}");
}

#[test]
fn the_mounter_started_by_hand_says_whose_part_it_is() {
    let output = Command::new(program("secrets-store-csi-driver")).arg("mounter").output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(String::from_utf8_lossy(&output.stderr).contains("a part of the driver"));
}
