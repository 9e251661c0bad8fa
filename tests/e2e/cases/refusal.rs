//! Pods that cannot start: their owners learn why from the pod's events, and they start once that is put right.

use serde_json::json;

use super::Case;
use crate::stage::Stage;
use crate::workloads::{PROVIDER, Workload, class};
use kit::objects;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "a pod without its class says so in its events, and starts once it is there",
        play: no_class,
    },
    Case {
        sentence: "a pod whose provider is not on the node starts once the class names another",
        play: no_provider,
    },
    Case { sentence: "a class without parameters is refused by name", play: no_parameters },
];

fn no_class(stage: &mut Stage) {
    let namespace = stage.namespace("negative");
    let deployment = Workload::named(&namespace, "web").mounting("e2e-provider-sync").deployment(1);
    stage.admin.apply(&deployment);
    let pods = e2e::patience::until_some("the Deployment has made a pod", || {
        stage.kubelet.pods(&namespace, "web").pop()
    });
    let class_name = format!("{namespace}/e2e-provider-sync");
    let refused = format!("failed to get secretproviderclass {class_name}");
    stage.told(&namespace, &pods.name, &["FailedMount", &refused, "not found"]);
    stage.admin.apply(&class(&namespace, "e2e-provider-sync", &["foo"]));
    let pod = stage.running(&namespace, &pods.name);
    assert_eq!(pod.volume("e2e-provider-sync").read("foo"), "secret");
}

fn no_provider(stage: &mut Stage) {
    let namespace = stage.namespace("no-provider");
    let mut class = objects::class(&namespace, "one", "absent", objects::objects(&["foo"]));
    stage.admin.apply(&class);
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.told(&namespace, "web", &["FailedMount", "absent"]);
    class["spec"]["provider"] = json!(PROVIDER);
    stage.admin.apply(&class);
    stage.running(&namespace, "web");
}

fn no_parameters(stage: &mut Stage) {
    let namespace = stage.namespace("no-parameters");
    stage.admin.apply(&objects::class(&namespace, "empty", PROVIDER, json!({})));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("empty").pod());
    stage.told(&namespace, "web", &["FailedMount", "empty"]);
    // And once more by the driver itself, which does not depend on kubelet's patience.
    stage.told(&namespace, "web", &["SecretsStorePublishFailed", "empty"]);
}
