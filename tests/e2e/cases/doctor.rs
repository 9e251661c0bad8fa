//! What the doctor says of a real API server, asked with the driver's own service account.

use serde_json::Value;

use super::Case;
use crate::stage::Stage;
use crate::workloads::{Workload, class};
use e2e::kinds;
use e2e::patience::until;

/// See the sentences.
pub const CASES: &[Case] = &[
    Case {
        sentence: "with the shipped objects and roles the doctor finds nothing wrong",
        play: nothing_wrong,
    },
    Case { sentence: "without its role the doctor names what the driver may not do", play: role_taken },
    Case { sentence: "the doctor tells what keeps a pod from starting", play: pod_without_class },
];

fn nothing_wrong(stage: &mut Stage) {
    let namespace = stage.namespace("healthy");
    stage.admin.apply(&class(&namespace, "one", &["foo"]));
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("one").pod());
    stage.running(&namespace, "web");
    let report = stage.node.examine(&[&format!("--pod={namespace}/web"), "--provider=e2e-provider"]);
    assert_eq!(checks(&report, "wrong"), Vec::<&str>::new(), "{report:#}");
    // No kubelet looks for drivers here.
    assert_eq!(checks(&report, "unknown"), ["registration"], "{report:#}");
    for check in
        ["api-server", "api-version", "clock", "token", "permission", "permission-sync", "crd", "csidriver"]
    {
        assert!(checks(&report, "good").contains(&check), "{check}: {report:#}");
    }
    let report = report.to_string();
    let token = &stage.token.current().expect("the driver has a token").token;
    assert!(!report.contains(token.as_str()), "the token is in the report");
}

fn role_taken(stage: &mut Stage) {
    stage.admin.delete(&kinds::access("clusterrolebindings", "secretproviderclasses-rolebinding"));
    let mut report = Value::Null;
    until("the doctor names the verbs on each resource", || {
        report = stage.node.examine(&[]);
        let findings = report["findings"].as_array().into_iter().flatten();
        let told: Vec<&str> = findings
            .filter(|finding| finding["check"] == "permission" && finding["verdict"] == "wrong")
            .filter_map(|finding| finding["what"].as_str())
            .collect();
        let says = |text: &str| told.iter().any(|what| what.contains(text));
        says("may not create events")
            && says("may not get, list, watch pods")
            && says("may not get, list, watch secretproviderclasses:")
            && says("may not get, create, update secretproviderclasspodstatuses")
            && says("may not get csidrivers secrets-store.csi.k8s.io")
    });
    assert_eq!(checks(&report, "wrong"), ["permission"], "{report:#}");
    assert!(checks(&report, "unknown").contains(&"csidriver"), "{report:#}");
}

fn pod_without_class(stage: &mut Stage) {
    let namespace = stage.namespace("no-class");
    stage.admin.apply(&Workload::named(&namespace, "web").mounting("absent").pod());
    let report = stage.node.examine(&[&format!("--pod={namespace}/web")]);
    assert_eq!(checks(&report, "wrong"), ["pod-class"], "{report:#}");
}

/// The names of the checks with that verdict, each once.
fn checks<'a>(report: &'a Value, verdict: &str) -> Vec<&'a str> {
    let findings = report["findings"].as_array().into_iter().flatten();
    let with = findings.filter(|finding| finding["verdict"] == verdict);
    let mut names: Vec<&str> = with.filter_map(|finding| finding["check"].as_str()).collect();
    names.dedup();
    names
}
