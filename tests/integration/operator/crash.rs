//! An operator that is killed at any step of an installation, and the next one that goes on.

use serde_json::json;

use super::stage::{CSI_DRIVER, FINALIZER, PIECES, REQUEST, Stage, store};
use api_server::Matcher;
use kit::driver::DriverProcess;

/// Kills the operator while that request is under way, and starts the next one.
fn killed_at(stage: &Stage, (verb, path): (&str, &str), change: impl FnOnce(&Stage)) -> DriverProcess {
    let operator = stage.operator();
    stage.wait("it leads", |api| api.count("create", "leases") + api.count("update", "leases") > 0);
    stage.api.hang(Matcher::verb(verb).and_path(path));
    change(stage);
    stage.wait("it has come that far", |api| {
        api.requests().iter().any(|seen| seen.verb == verb && seen.path.contains(path) && seen.code == 0)
    });
    operator.kill();
    stage.api.clear_faults();
    stage.operator()
}

#[test]
fn an_installation_goes_on_wherever_it_was_cut_off() {
    for path in PIECES {
        let stage = Stage::new();
        let collection = path.rsplit_once('/').unwrap().0;
        let _next = killed_at(&stage, ("create", collection), |stage| {
            stage.ask(&json!({"managementState": "Managed"}));
        });
        stage.wait_installed();
        assert_eq!(stage.request()["metadata"]["finalizers"], json!([FINALIZER]), "{collection}");
    }
}

#[test]
fn an_installation_goes_on_that_was_cut_off_before_it_was_noted_or_reported() {
    for path in
        ["clustercsidrivers/secrets-store.csi.k8s.io", "clustercsidrivers/secrets-store.csi.k8s.io/status"]
    {
        let stage = Stage::new();
        let _next = killed_at(&stage, ("patch", path), |stage| {
            stage.ask(&json!({"managementState": "Managed"}));
        });
        stage.wait_installed();
        assert_eq!(stage.request()["metadata"]["finalizers"], json!([FINALIZER]), "{path}");
    }
}

#[test]
fn a_roll_out_goes_on_that_was_cut_off() {
    for path in ["/csidrivers/", "/daemonsets/"] {
        let (stage, operator) = Stage::installed();
        operator.terminate();
        stage.api.forget_requests();
        let _next = killed_at(&stage, ("update", path), |stage| {
            stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
        });
        stage.wait("the pods and kubelet have it", |api| {
            stage.arguments().contains(&"--enable-secret-rotation=false".to_owned())
                && api.get(CSI_DRIVER).is_some_and(|object| object["spec"]["requiresRepublish"] == false)
        });
        stage.wait_installed();
    }
}

#[test]
fn a_removal_goes_on_wherever_it_was_cut_off() {
    for path in PIECES {
        let (stage, operator) = Stage::installed();
        operator.terminate();
        let operator = stage.operator();
        stage.api.hang(Matcher::verb("delete").and_path(path));
        stage.delete_request();
        stage.wait("it has come that far", |api| api.count("delete", path) > 0);
        operator.kill();
        stage.api.clear_faults();
        let _next = stage.operator();
        stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
        assert!(PIECES.iter().all(|path| stage.api.get(path).is_none()), "cut off at {path}");
    }
}
