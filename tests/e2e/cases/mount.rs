//! From a class and a pod to files, and back to nothing.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::Case;
use crate::stage::Stage;
use crate::workloads::{Workload, class};
use e2e::kinds;
use e2e::patience::until;
use kit::objects;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "a pod finds its secrets as files when it starts", play: files },
    Case { sentence: "a class of the old version v1alpha1 works as well", play: old_version },
    Case { sentence: "a pod can mount two classes", play: two_classes },
    Case { sentence: "a class of one namespace is not that of another", play: namespaces },
    Case {
        sentence: "the provider gets a token of the pod's service account for each audience",
        play: tokens,
    },
    Case { sentence: "a deleted pod takes its volume and its pod status with it", play: unmount },
    Case { sentence: "the driver counts what it does, under the names that dashboards know", play: metrics },
];

fn files(stage: &mut Stage) {
    let namespace = stage.namespace("mount");
    stage.admin.apply(&class(&namespace, "both", &["foo", "fookey"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("both").pod());
    let pod = stage.running(&namespace, "web");
    let volume = pod.volume("both");
    assert_eq!(volume.read("foo"), "secret");
    assert_eq!(volume.read("fookey").lines().nth(1), Some("This is mock key"));
    assert_eq!(volume.visible(), ["foo", "fookey"]);
    assert_eq!(pod.failures, Vec::<String>::new());
}

fn old_version(stage: &mut Stage) {
    let namespace = stage.namespace("v1alpha1");
    let mut old = class(&namespace, "old", &["foo", "fookey"]);
    old["apiVersion"] = json!("secrets-store.csi.x-k8s.io/v1alpha1");
    stage.admin.apply(&old);
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("old").pod());
    let pod = stage.running(&namespace, "web");
    assert_eq!(pod.volume("old").read("foo"), "secret");
    assert_eq!(pod.volume("old").read("fookey").lines().nth(1), Some("This is mock key"));
}

fn two_classes(stage: &mut Stage) {
    let namespace = stage.namespace("two");
    stage.admin.apply(&class(&namespace, "spc-0", &["foo"]));
    stage.admin.apply(&class(&namespace, "spc-1", &["fookey"]));
    let workload = Workload::named(&namespace, "web").mounting("spc-0").mounting("spc-1");
    stage.admin.apply(&workload.pod());
    let pod = stage.running(&namespace, "web");
    assert_eq!(pod.volume("spc-0").visible(), ["foo"]);
    assert_eq!(pod.volume("spc-1").visible(), ["fookey"]);
    let statuses = stage.admin.list(&kinds::pod_statuses(&namespace));
    let class_of = |status: &Value| status["status"]["secretProviderClassName"].to_string();
    let classes: BTreeSet<String> = statuses.iter().map(class_of).collect();
    assert_eq!(classes, ["\"spc-0\"", "\"spc-1\""].map(str::to_owned).into());
}

fn namespaces(stage: &mut Stage) {
    let (wrong, right) = (stage.namespace("wrong"), stage.namespace("right"));
    let parameters = objects::objects(&["foo"]);
    stage.admin.apply(&objects::class(&wrong, "same", "invalidprovider", parameters));
    stage.admin.apply(&class(&right, "same", &["foo"]));
    stage.admin.apply(&Workload::named(&right, "web").mounting("same").pod());
    stage.admin.apply(&Workload::named(&wrong, "web").mounting("same").pod());
    assert_eq!(stage.running(&right, "web").volume("same").read("foo"), "secret");
    stage.told(&wrong, "web", &["FailedMount", "invalidprovider"]);
    assert!(!stage.kubelet.pod(&wrong, "web").expect("it is there").is_running);
}

fn tokens(stage: &mut Stage) {
    let namespace = stage.namespace("tokens");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.node.tell_provider("/validate-token-requests?audience=aud1,aud2,nobody-asked");
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.told(&namespace, "web", &["service account token for audience nobody-asked is not set"]);
    stage.node.tell_provider("/validate-token-requests?audience=aud1,aud2");
    stage.running(&namespace, "web");
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

fn metrics(stage: &mut Stage) {
    let namespace = stage.namespace("metrics");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    let pod = stage.running(&namespace, "web");
    stage.node.set_content("foo", "other");
    stage.all_read(&[pod], "foo", "other");
    stage.admin.delete(&kinds::core(&namespace, "pods", "web"));
    stage.gone(&namespace, "web");
    for (upstream, documented) in [
        ("node_publish_total", "total_node_publish"),
        ("node_unpublish_total", "total_node_unpublish"),
        ("rotation_reconcile_total", "total_rotation_reconcile"),
    ] {
        let count = stage.node.metric(upstream, "os_type=\"linux\"");
        assert!(count > 0.0, "{upstream} is {count}");
        assert!(stage.node.metrics().contains(documented), "{documented} is missing");
    }
}
