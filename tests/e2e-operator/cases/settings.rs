//! What becomes of settings of the object: rotation and tokens.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Case;
use crate::operand::{self, CSI_DRIVER};
use crate::stage::{A_WHILE, DRIVER, Stage};
use e2e::patience::{throughout, until};

/// See the sentences.
pub const CASES: &[Case] = &[
    Case { sentence: "without settings secrets are renewed every two minutes", play: usual_rotation },
    Case { sentence: "an age of five minutes reaches every driver", play: own_rotation },
    Case {
        sentence: "a rotation that says how but nothing about it is refused, and changes nothing",
        play: refused,
    },
    Case { sentence: "rotation that is turned off is off for the driver and for kubelet", play: no_rotation },
    Case { sentence: "rotation that is turned on again, every minute, is on for both", play: back_on },
    Case {
        sentence: "audiences that somebody wrote by hand stay while the object says nothing",
        play: silent,
    },
    Case {
        sentence: "audiences that somebody wrote by hand stay while they are nobody's to manage",
        play: unmanaged,
    },
    Case {
        sentence: "managed audiences take the place of what was there, in order, and stay so",
        play: managed,
    },
    Case {
        sentence: "tokens that were managed cannot be given up, and an empty list asks for none",
        play: given_up,
    },
    Case { sentence: "the log level of the object reaches the driver", play: log_level },
    Case { sentence: "a change of the object reaches the cluster within a second", play: at_once },
];

fn usual_rotation(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.rotates(true, "2m");
}

fn own_rotation(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&store(&json!({"secretRotation": custom(300)})));
    stage.rotates(true, "5m");
}

fn refused(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&store(&json!({"secretRotation": custom(300)})));
    stage.rotates(true, "5m");
    let empty = json!({"spec": {"driverConfig": {"secretsStore": {"secretRotation": {"custom": null}}}}});
    let refusal =
        stage.admin.ask("PATCH", DRIVER, Some(&empty)).expect_err("it says how but nothing about it");
    assert!(refusal.message.contains("custom is required when type is Custom"), "{refusal}");
    stage.rotates(true, "5m");
}

fn no_rotation(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&store(&json!({"secretRotation": {"type": "None"}})));
    stage.rotates(false, "2m");
}

fn back_on(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&store(&json!({"secretRotation": {"type": "None"}})));
    stage.rotates(false, "2m");
    let uid = stage.csi_driver()["metadata"]["uid"].clone();
    stage.ask_for(&store(&json!({"secretRotation": custom(60)})));
    stage.rotates(true, "1m");
    assert_eq!(stage.csi_driver()["metadata"]["uid"], uid, "kubelet was without a CSIDriver for a while");
}

fn silent(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stays_by_hand(stage, &json!({"managementState": "Managed", "logLevel": "Debug"}));
}

fn unmanaged(stage: &mut Stage) {
    stage.start_operator();
    let unmanaged = json!({"tokenRequests": {"type": "Unmanaged"}});
    stage.ask_for(&store(&unmanaged));
    let mut louder = store(&unmanaged);
    louder["logLevel"] = json!("Debug");
    stays_by_hand(stage, &louder);
}

/// Writes an audience into the CSIDriver; it stays, also when the operator has something to do, which `next` gives it.
fn stays_by_hand(stage: &Stage, next: &Value) {
    stage.is_installed();
    let by_hand = json!([{"audience": "by-hand", "expirationSeconds": 1200}]);
    stage.admin.patch(CSI_DRIVER, &json!({"spec": {"tokenRequests": by_hand}}));
    throughout(A_WHILE, "the audience is there", || stage.csi_driver()["spec"]["tokenRequests"] == by_hand);
    stage.ask_for(next);
    until("the driver logs more", || argument(stage, "--v=").as_deref() == Some("4"));
    stage.ask_for(&{
        let mut off = next.clone();
        off["driverConfig"]["driverType"] = json!("SecretsStore");
        off["driverConfig"]["secretsStore"]["secretRotation"] = json!({"type": "None"});
        off
    });
    stage.rotates(false, "2m");
    assert_eq!(stage.csi_driver()["spec"]["tokenRequests"], by_hand);
}

fn managed(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    stage.admin.patch(CSI_DRIVER, &json!({"spec": {"tokenRequests": [{"audience": "by-hand"}]}}));
    let one = json!([{"audience": "vault", "expirationSeconds": 3600}]);
    asks_for(stage, &one);
    let two = json!([{"audience": "vault"}, {"audience": "", "expirationSeconds": 7200}]);
    asks_for(stage, &two);
    stage.admin.patch(CSI_DRIVER, &json!({"spec": {"tokenRequests": [{"audience": "by-hand"}]}}));
    until("the managed audiences are back", || stage.csi_driver()["spec"]["tokenRequests"] == two);
    let more = [two.as_array().cloned().unwrap_or_default(), vec![json!({"audience": "more"})]].concat();
    stage.admin.patch(CSI_DRIVER, &json!({"spec": {"tokenRequests": more}}));
    until("the one too many is gone", || stage.csi_driver()["spec"]["tokenRequests"] == two);
}

fn given_up(stage: &mut Stage) {
    stage.start_operator();
    asks_for(stage, &json!([{"audience": "vault"}]));
    let unmanaged = json!({"type": "Unmanaged", "managed": null});
    let change = json!({"spec": {"driverConfig": {"secretsStore": {"tokenRequests": unmanaged}}}});
    let refusal = stage.admin.ask("PATCH", DRIVER, Some(&change)).expect_err("once managed, always managed");
    assert!(refusal.message.contains("has to stay so"), "{refusal}");
    stage.ask_for(&tokens(&json!([])));
    until("no token is asked for", || stage.csi_driver()["spec"]["tokenRequests"].is_null());
    stage.admin.patch(CSI_DRIVER, &json!({"spec": {"tokenRequests": [{"audience": "by-hand"}]}}));
    until("still no token is asked for", || stage.csi_driver()["spec"]["tokenRequests"].is_null());
}

fn asks_for(stage: &Stage, audiences: &Value) {
    stage.ask_for(&tokens(audiences));
    until(&format!("the CSIDriver asks for {audiences}"), || {
        stage.admin.get(CSI_DRIVER).is_some_and(|driver| &driver["spec"]["tokenRequests"] == audiences)
    });
}

fn log_level(stage: &mut Stage) {
    stage.start_operator();
    for (level, verbosity) in [("Normal", "2"), ("TraceAll", "8"), ("", "2")] {
        stage.ask_for(&json!({"managementState": "Managed", "logLevel": level}));
        until(&format!("the verbosity is {verbosity}"), || {
            argument(stage, "--v=").as_deref() == Some(verbosity)
        });
    }
}

fn at_once(stage: &mut Stage) {
    stage.start_operator();
    stage.ask_for(&json!({"managementState": "Managed"}));
    stage.is_installed();
    // The best of some: a machine on which others work, too, is slow now and then, and an operator that only looks once
    // in a while never is so fast.
    let took = [("1m", 60), ("3m", 180), ("4m", 240), ("5m", 300)].map(|(interval, seconds)| {
        let begun = Instant::now();
        stage.ask_for(&store(&json!({"secretRotation": custom(seconds)})));
        stage.rotates(true, interval);
        begun.elapsed()
    });
    let best = took.iter().min().expect("there are some");
    assert!(*best < Duration::from_secs(1), "it took {} ms at best", best.as_millis());
    stage.remark(format!("it took {} ms at best", best.as_millis()));
}

fn argument(stage: &Stage, beginning: &str) -> Option<String> {
    stage.admin.get(&operand::daemon_set()).and_then(|set| operand::argument(&set, beginning))
}

fn custom(seconds: u32) -> Value {
    json!({"type": "Custom", "custom": {"minimumRefreshAge": seconds}})
}

fn store(store: &Value) -> Value {
    json!({
        "managementState": "Managed",
        "driverConfig": {"driverType": "SecretsStore", "secretsStore": store},
    })
}

fn tokens(audiences: &Value) -> Value {
    store(&json!({"tokenRequests": {"type": "Managed", "managed": {"audiences": audiences}}}))
}
