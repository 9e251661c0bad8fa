//! An operator that is killed at any step of an installation, and the next one that goes on.

use serde_json::json;

use super::stage::{CSI_DRIVER, DAEMON_SET, FINALIZER, PIECES, REQUEST, Stage, store};
use crate::support::api_server::Matcher;

/// Kills the operator while that request is under way, and starts the next one.
fn killed_at(stage: &Stage, matcher: Matcher, until: impl Fn(&Stage) -> bool, change: impl FnOnce(&Stage)) {
    let operator = stage.operator();
    stage.wait("it leads", |api| api.count("create", "leases") + api.count("update", "leases") > 0);
    stage.api.hang(matcher);
    change(stage);
    stage.wait("it has come that far", |_| until(stage));
    // What hangs has to have been sent; a turn is a few milliseconds.
    std::thread::sleep(std::time::Duration::from_millis(100));
    operator.kill();
    stage.api.clear_faults();
    let next = stage.operator();
    stage.wait_installed();
    assert_eq!(stage.request()["metadata"]["finalizers"], json!([FINALIZER]));
    next.terminate();
}

#[test]
fn an_installation_goes_on_wherever_it_was_cut_off() {
    for (number, path) in PIECES.into_iter().enumerate() {
        let stage = Stage::new();
        let collection = path.rsplit_once('/').unwrap().0;
        let before = move |stage: &Stage| PIECES[..number].iter().all(|path| stage.api.get(path).is_some());
        killed_at(&stage, Matcher::verb("create").and_path(collection), before, |stage| {
            stage.ask(&json!({"managementState": "Managed"}));
        });
        for path in PIECES {
            assert!(stage.api.get(path).is_some(), "cut off at {collection}: {path}");
        }
    }
}

#[test]
fn an_installation_goes_on_that_was_cut_off_before_it_was_noted_or_reported() {
    for path in
        ["clustercsidrivers/secrets-store.csi.k8s.io", "clustercsidrivers/secrets-store.csi.k8s.io/status"]
    {
        let stage = Stage::new();
        let is_status = path.ends_with("/status");
        let until = move |stage: &Stage| !is_status || stage.api.get(DAEMON_SET).is_some();
        killed_at(&stage, Matcher::verb("patch").and_path(path), until, |stage| {
            stage.ask(&json!({"managementState": "Managed"}));
        });
    }
}

#[test]
fn a_roll_out_goes_on_that_was_cut_off() {
    for path in ["/csidrivers/", "/daemonsets/"] {
        let (stage, operator) = Stage::installed();
        operator.terminate();
        killed_at(
            &stage,
            Matcher::verb("update").and_path(path),
            |_| true,
            |stage| {
                stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
            },
        );
        assert!(stage.arguments().contains(&"--enable-secret-rotation=false".to_owned()), "{path}");
        assert_eq!(stage.api.get(CSI_DRIVER).unwrap()["spec"]["requiresRepublish"], false, "{path}");
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
        let later = PIECES.iter().rev().take_while(|piece| **piece != path).copied().collect::<Vec<_>>();
        stage.wait("it has come that far", |api| later.iter().all(|path| api.get(path).is_none()));
        operator.kill();
        stage.api.clear_faults();
        let _next = stage.operator();
        stage.wait("the object is gone", |api| api.get(REQUEST).is_none());
        assert!(PIECES.iter().all(|path| stage.api.get(path).is_none()), "cut off at {path}");
    }
}
