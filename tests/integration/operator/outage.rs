//! An API server that is away, slow, or forgets.

use serde_json::json;

use super::stage::{DAEMON_SET, PIECES, Stage, store};
use api_server::{Close, Matcher};

#[test]
fn the_operator_outlives_an_api_server_that_is_away_and_catches_up() {
    let stage = Stage::new();
    let operator = stage.operator_in("one", &["--lease-duration=120s", "--lease-renew-deadline=90s"]);
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
    stage.api.stop();
    operator.wait_for_log("could not get or keep the lease");
    // While nobody sees it.
    stage.api.delete(DAEMON_SET);
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.api.resume();
    stage.wait("it has caught up", |_| {
        stage.arguments().contains(&"--enable-secret-rotation=false".to_owned())
    });
    stage.wait_installed();
}

#[test]
fn an_operator_that_starts_before_the_api_server_waits_for_it() {
    let stage = Stage::new();
    // Its port stays taken, or the server of another test could get it.
    stage.api.close_next(usize::MAX, Matcher::any(), Close::Before);
    let operator = stage.operator();
    operator.wait_for_log("the API server does not answer, trying again");
    stage.api.clear_faults();
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
}

#[test]
fn answers_that_are_lost_make_no_second_object_and_no_lasting_error() {
    let stage = Stage::new();
    let _operator = stage.operator();
    stage.wait("it leads", |api| api.count("create", "leases") > 0);
    for path in PIECES {
        let collection = path.rsplit_once('/').unwrap().0;
        stage.api.close_next(1, Matcher::verb("create").and_path(collection), Close::After);
    }
    stage.ask(&json!({"managementState": "Managed"}));
    stage.wait_installed();
}

#[test]
fn conflicts_are_looked_at_anew() {
    let (stage, _operator) = Stage::installed();
    stage.api.fail_next(3, Matcher::verb("update").and_path("/daemonsets/"), 409, None);
    stage.ask(&store(json!({"secretRotation": {"type": "None"}})));
    stage.wait("it is rolled out", |_| {
        stage.arguments().contains(&"--enable-secret-rotation=false".to_owned())
    });
    stage.wait_installed();
}

#[test]
fn watches_that_end_or_are_forgotten_are_taken_up_again() {
    let (stage, _operator) = Stage::installed();
    stage.api.forget_history();
    stage.api.end_watches();
    stage.api.delete(DAEMON_SET);
    stage.wait("it is made again", |api| api.get(DAEMON_SET).is_some());
}
