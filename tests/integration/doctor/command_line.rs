//! What the doctor is asked, what it answers with, and where it takes the driver's settings from.

use std::process::Command;

use serde_json::Value;

use super::clinic::{Clinic, DRIVER, examine, run};
use kit::driver::program;
use kit::umask_lock;
use kit::world::World;

#[test]
fn on_a_healthy_node_nothing_is_wrong_and_everything_was_looked_at() {
    let clinic = Clinic::open();
    let report = clinic.examine(&["--pod=default/web", "--provider=test"]);
    assert_eq!(report.checks("wrong"), Vec::<&str>::new(), "{:#}", report.json);
    assert_eq!(report.checks("unknown"), Vec::<&str>::new(), "{:#}", report.json);
    // Of these a machine that runs tests may have the one or the other.
    let warnings = report.checks("warning");
    assert!(warnings.iter().all(|check| ["swap", "message-size"].contains(check)), "{:#}", report.json);
    assert_eq!(report.code, Some(0));
    assert_eq!(report.json["node"], "node-1");
}

#[test]
fn text_and_json_say_the_same() {
    let clinic = Clinic::open();
    clinic.world.api.deny("list", "pods");
    let report = clinic.examine(&[]);
    let flags = clinic.flags();
    let output = run(&flags.iter().map(String::as_str).collect::<Vec<_>>());
    let text = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(!text.contains('\u{1b}'), "no colour where no terminal is: {text}");
    assert!(text.lines().all(|line| line.chars().count() <= 120), "{text}");
    let counts = ["good", "warnings", "wrong", "unknown"].map(|name| report.json[name].as_u64().unwrap());
    let [good, warnings, wrong, unknown] = counts;
    assert_eq!(wrong, 1);
    let plural = if warnings == 1 { "" } else { "s" };
    let last = format!("{good} good, {warnings} warning{plural}, {wrong} wrong, {unknown} unknown");
    assert_eq!(text.lines().last(), Some(last.as_str()), "{text}");
    let flowing = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let findings = report.json["findings"].as_array().unwrap();
    for finding in
        findings.iter().filter(|finding| finding["check"] != "metrics" && finding["check"] != "token")
    {
        for field in ["check", "verdict", "what", "remedy"] {
            let said = finding[field].as_str().unwrap_or_default();
            let said = said.split_whitespace().collect::<Vec<_>>().join(" ");
            assert!(flowing.contains(&said), "{said:?} is not in {text}");
        }
    }
}

#[test]
fn a_wrong_command_line_exits_with_2_and_help_with_0() {
    let rows: [(&[&str], i32, &str); 6] = [
        (&["--output=xml"], 2, "it must be text or json"),
        (&["--nope"], 2, "flag provided but not defined: -nope"),
        (&["please"], 2, "\"please\" is no flag"),
        (&["--pod=web"], 2, "<namespace>/<name>"),
        (&["--endpoint=nonsense"], 2, "invalid endpoint"),
        (&["--help"], 0, "Usage of secrets-store-csi-driver doctor:"),
    ];
    for (flags, code, told) in rows {
        let output = run(&[&["--pid=-1"], flags].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(said.contains(told), "{flags:?}: {said}");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(code), 0), "{flags:?}");
    }
}

#[test]
fn without_anything_there_the_doctor_still_answers() {
    let world = World::without_driver(&[]);
    let endpoint = format!("--endpoint=unix://{}", world.path("none.sock").display());
    let report = examine(&["--pid=-1", &endpoint, "--metrics-addr=0"]);
    assert_eq!(report.code, Some(1));
    assert!(report.checks("wrong").contains(&"csi-socket"), "{:#}", report.json);
    assert!(report.checks("wrong").contains(&"api-server"), "{:#}", report.json);
    report.says("driver-process", "unknown", "not looked for", "");
}

#[test]
fn the_word_doctor_elsewhere_on_the_command_line_is_no_subcommand() {
    let output = Command::new(program("secrets-store-csi-driver"))
        .args(["--version", "doctor"])
        .output()
        .expect("the driver can be started");
    assert!(String::from_utf8(output.stdout).unwrap().starts_with("{\"BuildVersion\":"));
}

/// Where processes are told apart as in a pod: the doctor sees the driver of its own pod and no other.
#[test]
fn the_driver_that_runs_beside_it_is_found_with_its_flags() {
    let world = World::without_driver(&["--nodeid=node-of-the-flags"]);
    let script = "driver=$1 socket=$2; shift 2; \"$driver\" \"$@\" >/dev/null 2>&1 & \
                  until [ -S \"$socket\" ]; do sleep 0.05; done; \
                  \"$driver\" doctor --output=json; exit 0";
    let umask = umask_lock();
    let inside = Command::new("unshare")
        .args(["--pid", "--fork", "--mount-proc", "sh", "-c", script, "sh"])
        .arg(program("secrets-store-csi-driver"))
        .arg(world.path("csi/csi.sock"))
        .args(world.arguments())
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("KUBECONFIG")
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .expect("a namespace of processes can be made");
    drop(umask);
    let output = inside.wait_with_output().expect("it ends");
    let text = String::from_utf8(output.stdout).unwrap();
    let report: Value = serde_json::from_str(&text)
        .unwrap_or_else(|error| panic!("{error}: {text:?} {}", String::from_utf8_lossy(&output.stderr)));
    assert_eq!(report["node"], "node-of-the-flags", "{report:#}");
    let find = |check: &str| {
        let findings = report["findings"].as_array().unwrap();
        findings.iter().find(|finding| finding["check"] == check).unwrap().clone()
    };
    assert_eq!(find("driver-process")["verdict"], "good");
    assert_eq!(find("csi-name")["what"], format!("it calls itself {DRIVER}"));
    assert_eq!(find("node-id")["what"], "the node is node-of-the-flags");
}
