//! From a class and a pod to files, and back to nothing.

use crate::kinds;
use crate::patience::until;
use crate::runner::Case;
use crate::stage::Stage;
use crate::workloads::{Workload, class};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "a pod finds its secrets as files when it starts", play: files },
    Case { sentence: "a deleted pod takes its volume and its pod status with it", play: unmount },
];

fn files(stage: &mut Stage) {
    let namespace = stage.namespace("mount");
    stage.admin.apply(&class(&namespace, "both", &["foo", "fookey"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("both").pod());
    let pod = stage.running(&namespace, "web");
    let volume = pod.volume("both");
    assert_eq!(volume.read("foo"), "secret");
    assert!(volume.read("fookey").contains("This is mock key"));
    let status = format!("{}/web-{namespace}-both", kinds::pod_statuses(&namespace));
    let status = stage.admin.get(&status).expect("there is a pod status");
    assert_eq!(status["status"]["mounted"], true);
}

fn unmount(stage: &mut Stage) {
    let namespace = stage.namespace("unmount");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    stage.admin.delete(&kinds::core(&namespace, "pods", "web"));
    stage.gone(&namespace, "web");
    let volume = pod.volume("one");
    assert!(!volume.is_mounted() && !volume.target.exists(), "{} is left", volume.target.display());
    until("the pod status is gone", || stage.admin.list(&kinds::pod_statuses(&namespace)).is_empty());
    let log = stage.node.driver_log();
    assert!(!log.contains("failed to clean and unmount target path"));
}
