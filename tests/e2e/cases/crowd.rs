//! As many pods as three full nodes have.

use std::thread;
use std::time::{Duration, Instant};

use super::Case;
use crate::kubelet::Seen;
use crate::stage::Stage;
use crate::workloads::{Workload, class};
use e2e::kinds;
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "300 pods that share 30 classes start, get new secrets, and go without a trace",
    play: crowd,
}];

fn crowd(stage: &mut Stage) {
    let namespace = stage.namespace("crowd");
    stage.kubelet.republish_every(Duration::from_secs(5));
    for number in 0..CLASSES {
        stage.admin.apply(&class(&namespace, &format!("class-{number}"), &["foo"]));
    }
    let begun = Instant::now();
    create(stage, &namespace, |workload, _| workload);
    let pods = stage.all_running(&namespace, "pod-", PODS);
    stage.remark(format!("all run {:.1} s after the first was created", begun.elapsed().as_secs_f64()));
    stage.remark(mounting_times(&pods));
    let statuses = stage.admin.list(&kinds::pod_statuses(&namespace)).len();
    assert_eq!(statuses, PODS, "pod statuses");

    let begun = Instant::now();
    stage.node.set_content("foo", "new");
    stage.all_read(&pods, "foo", "new");
    stage.remark(format!("all have the new secret {:.1} s after it changed", begun.elapsed().as_secs_f64()));

    let begun = Instant::now();
    stage.admin.delete(&format!("/api/v1/namespaces/{namespace}/pods"));
    until("every pod is gone", || stage.kubelet.pods(&namespace, "").is_empty());
    let left: Vec<_> =
        pods.iter().filter(|pod| pod.volumes.iter().any(|(_, at)| at.target.exists())).collect();
    assert!(left.is_empty(), "{} volumes are left", left.len());
    until("every pod status is gone", || stage.admin.list(&kinds::pod_statuses(&namespace)).is_empty());
    stage.remark(format!("all are gone {:.1} s after their deletion", begun.elapsed().as_secs_f64()));
}

/// Creates the pods, ten for each class, with a few hands at a time.
pub fn create(stage: &Stage, namespace: &str, finish: fn(Workload, usize) -> Workload) {
    thread::scope(|scope| {
        for hand in 0..HANDS {
            scope.spawn(move || {
                for number in (hand..PODS).step_by(HANDS) {
                    let class = format!("class-{}", number % CLASSES);
                    let workload = Workload::named(namespace, &format!("pod-{number}")).mounting(&class);
                    stage.admin.apply(&finish(workload, number).pod());
                }
            });
        }
    });
}

/// How long kubelet waited for the volumes of these pods.
pub fn mounting_times(pods: &[Seen]) -> String {
    let mut times: Vec<Duration> = pods.iter().filter_map(|pod| pod.mounting).collect();
    times.sort();
    let at = |percent: usize| times[(times.len() * percent / 100).min(times.len() - 1)].as_millis();
    format!("mounting took {} ms in the middle, {} ms at p99, {} ms at most", at(50), at(99), at(100))
}

/// Pods.
pub const PODS: usize = 300;
/// Classes, each of ten pods.
pub const CLASSES: usize = 30;
const HANDS: usize = 8;
