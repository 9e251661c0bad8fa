//! Somebody exchanges directories for symlinks while volumes come and go.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Instant;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use super::*;
use kit::{PATIENCE, eventually};

#[test]
fn a_thread_that_swaps_directories_for_links_moves_no_mount_and_no_removal_outside() {
    let parts = ["pods", "uid-web", "volumes", "kubernetes.io~csi", "secrets", "mount"];
    for depth in 1..parts.len() {
        let (world, _provider) = node(&ALWAYS_DUE);
        let victim = Victim::new(&world);
        let pod = world.pod("web", "db");
        let swapped = world.path(&parts[..=depth].join("/"));
        fs::create_dir_all(&swapped).unwrap();
        // The victim's layout goes on where the real one is cut off.
        let bait = world.path("pods/bait");
        let inside = parts[2..].get(..depth - 1).unwrap_or_default().join("/");
        let link = victim.path.join(inside);
        symlink(&link, &bait).unwrap();

        let outcomes = attack(&world, &pod, &victim, || swap(&swapped, &bait, &link));
        restore(&swapped, &bait);
        let at = format!("{} swapped: {outcomes:?}", parts[depth]);
        assert!(outcomes.iter().all(|count| *count > 0), "the race was not run, {at}");
        eventually("the volume can be removed", || world.kubelet.unpublish(&pod).is_ok());
        assert_eq!(world.mounts().len(), 0, "{at}");
        victim.assert_is_untouched(&world, &at);
        println!("{at}");
        world.kubelet.publish(&pod).unwrap();
        assert_is_good(&pod, &at);
        assert_log_is_whole(&world);
    }
}

/// Publishes and unpublishes under attack; how many calls went well and how many were refused.
fn attack(world: &World, pod: &Pod, victim: &Victim, swap: impl Fn() + Sync) -> [usize; 2] {
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                swap();
                thread::yield_now();
            }
        });
        let _over = Over(&is_over);
        let mut outcomes = [0; 2];
        let rounds = rounds();
        let until = Instant::now() + PATIENCE;
        let mut round = 0;
        // On a busy machine the attacker may come too late for many rounds.
        while round < rounds || (outcomes.contains(&0) && Instant::now() < until) {
            round += 1;
            for outcome in
                [world.kubelet.publish(pod), world.kubelet.publish(pod), world.kubelet.unpublish(pod)]
            {
                outcomes[usize::from(outcome.is_err())] += 1;
            }
            victim.assert_is_untouched(world, "under attack");
        }
        outcomes
    })
}

/// Exchanges directory and link; lays the link anew when an unpublish has removed it in the directory's place.
fn swap(swapped: &Path, bait: &Path, link: &Path) {
    let is_exchanged = renameat_with(CWD, swapped, CWD, bait, RenameFlags::EXCHANGE).is_ok();
    if !is_exchanged && fs::symlink_metadata(swapped).is_ok_and(|found| found.is_dir()) {
        fs::remove_dir(bait).ok();
        symlink(link, bait).ok();
    }
}

/// Ends the attack, whether or not the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ends with the directory, if there is one, in its own place.
fn restore(swapped: &Path, bait: &Path) {
    if fs::symlink_metadata(swapped).is_ok_and(|found| found.is_symlink()) {
        fs::remove_file(swapped).unwrap();
    }
    if fs::symlink_metadata(bait).is_ok_and(|found| found.is_dir()) && !swapped.exists() {
        fs::rename(bait, swapped).unwrap();
    }
}

/// For each directory of the target's path; RACE_ROUNDS says how many where there is more time.
fn rounds() -> usize {
    let asked = std::env::var("RACE_ROUNDS").ok();
    asked.map_or(ROUNDS, |rounds| rounds.parse().expect("RACE_ROUNDS is a number"))
}

const ROUNDS: usize = 150;
