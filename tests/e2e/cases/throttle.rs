//! An API server that answers 429, by its own priority and fairness: the driver's account is given no seat at all.

use serde_json::json;

use super::Case;
use crate::access::SERVICE_ACCOUNT;
use crate::stage::{A_WHILE, Stage, THROTTLE};
use crate::workloads::{Workload, class};
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[Case {
    sentence: "a throttled driver asks less often, refreshes what is mounted, and catches up afterwards",
    play: throttled,
}];

fn throttled(stage: &mut Stage) {
    let namespace = stage.namespace("throttle");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    for number in 0..PODS {
        stage.admin.apply(&Workload::named(&namespace, &format!("before-{number}")).mounting("one").pod());
    }
    let before = stage.all_running(&namespace, "before-", PODS);
    throttle(stage);
    // The server takes a moment to go by its new rules, and a driver without news asks nothing.
    let mut turn = 0;
    until("the driver is throttled", || {
        turn += 1;
        stage.node.set_content("foo", &format!("turn {turn}"));
        stage.node.metric(REQUESTS, "code=\"429\"") > 0.0
    });
    stage.node.set_content("foo", "new");
    let asked = stage.node.metric(REQUESTS, "code=\"429\"");
    stage.admin.apply(&Workload::named(&namespace, "after").mounting("one").pod());
    std::thread::sleep(A_WHILE);
    let rate = (stage.node.metric(REQUESTS, "code=\"429\"") - asked) / A_WHILE.as_secs_f64();
    // A refresh needs no more than what the driver knows of the class already.
    stage.all_read(&before, "foo", "new");
    // Each call that waits for the API server asks again after the second that it was told to wait, and a random time.
    let most = f64::from(u32::try_from(PODS + 1).expect("a few"));
    assert!(rate <= most, "{rate} requests a second, of {most} calls");
    stage.remark(format!("{rate:.1} requests a second while all were refused, for {} volumes", PODS + 1));

    stage.lift_throttle();
    let after = stage.running(&namespace, "after");
    stage.all_read(&[before, vec![after]].concat(), "foo", "new");
}

/// Refuses every request of the driver.
fn throttle(stage: &Stage) {
    let [namespace, account] = SERVICE_ACCOUNT;
    stage.admin.apply(&json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "PriorityLevelConfiguration",
        "metadata": {"name": THROTTLE},
        "spec": {
            "type": "Limited",
            "limited": {
                "nominalConcurrencyShares": 0,
                "lendablePercent": 0,
                "borrowingLimitPercent": 0,
                "limitResponse": {"type": "Reject"},
            },
        },
    }));
    let rule = json!({
        "subjects": [{"kind": "ServiceAccount", "serviceAccount": {"namespace": namespace, "name": account}}],
        "resourceRules": [{
            "verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": true,
        }],
    });
    stage.admin.apply(&json!({
        "apiVersion": "flowcontrol.apiserver.k8s.io/v1",
        "kind": "FlowSchema",
        "metadata": {"name": THROTTLE},
        "spec": {
            "priorityLevelConfiguration": {"name": THROTTLE},
            "matchingPrecedence": 100,
            "distinguisherMethod": {"type": "ByUser"},
            "rules": [rule],
        },
    }));
}

const PODS: usize = 10;
const REQUESTS: &str = "secrets_store_csi_api_requests_total";
