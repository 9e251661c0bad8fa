//! The program's own manners: arguments, environment, and the driver that it starts.

use std::process::{Command, Output};

use super::stage::Stage;
use kit::driver::program;

fn run(arguments: &[&str], variables: &[(&str, &str)]) -> Output {
    let mut command = Command::new(program("secrets-store-csi-operator"));
    command.args(arguments).env_clear().envs(variables.iter().copied());
    command.output().unwrap()
}

#[test]
fn what_is_missing_or_wrong_is_said_at_once_and_in_one_line() {
    let server = ("KUBERNETES_SERVICE_HOST", "127.0.0.1");
    let port = ("KUBERNETES_SERVICE_PORT", "1");
    let driver = ("DRIVER_IMAGE", "driver");
    type Row<'a> = (&'a [&'a str], &'a [(&'a str, &'a str)], &'a str, i32);
    let rows: [Row<'_>; 5] = [
        (&["start"], &[server, port], "environment variable DRIVER_IMAGE must be set", 1),
        (
            &["start"],
            &[server, port, driver, ("LIVENESS_PROBE_IMAGE", "l")],
            "environment variable NODE_DRIVER_REGISTRAR_IMAGE must be set",
            1,
        ),
        (&["start"], &[driver], "could not find the API server", 1),
        (&["stop"], &[server, port, driver], "only flags may follow start", 2),
        (&["start", "--nope"], &[server, port, driver], "flag provided but not defined: -nope", 2),
    ];
    for (arguments, variables, expected, code) in rows {
        let output = run(arguments, variables);
        let text = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(code), "{arguments:?}: {text}");
        assert!(text.contains(expected), "{arguments:?}: {text}");
        assert!(text.ends_with('\n') && output.stdout.is_empty());
    }
}

#[test]
fn help_lists_the_flags_and_version_is_one_object() {
    let help = run(&["start", "--help"], &[]);
    let text = String::from_utf8(help.stderr).unwrap();
    assert!(help.status.success() && text.contains("-kubelet-root string"), "{text}");
    let version = run(&["--version"], &[]);
    assert!(version.status.success());
    let object: serde_json::Value = serde_json::from_slice(&version.stdout).unwrap();
    assert!(object["BuildVersion"].is_string());
}

#[test]
fn the_arguments_of_the_pods_are_ones_that_the_driver_takes() {
    let (stage, _operator) = Stage::installed();
    let arguments = stage.arguments();
    assert!(arguments.iter().any(|argument| argument.starts_with("--kubelet-registration-dir=")));
    let driver =
        |arguments: &[String]| Command::new(program("secrets-store-csi-driver")).args(arguments).output();
    let mut accepted = arguments.clone();
    accepted.push("--version".to_owned());
    let output = driver(&accepted).unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    accepted.push("--no-such-flag".to_owned());
    assert_eq!(driver(&accepted).unwrap().status.code(), Some(2), "the driver does read them all");
}

#[test]
fn the_operator_works_with_the_system_calls_of_its_list_and_without_a_capability() {
    let (stage, operator) = Stage::installed();
    stage.look(&operator, "it works");
    let read = |file: &str| std::fs::read_to_string(format!("/proc/{}/{file}", operator.id())).unwrap();
    let field = |status: &str, name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name)).unwrap();
        line.trim().to_owned()
    };
    let tasks = std::fs::read_dir(format!("/proc/{}/task", operator.id())).unwrap();
    let mut count = 0;
    for task in tasks {
        let name = task.unwrap().file_name().into_string().unwrap();
        let status = read(&format!("task/{name}/status"));
        let fields = ["NoNewPrivs:", "Seccomp:", "CapEff:", "CapPrm:"].map(|name| field(&status, name));
        assert_eq!(fields, ["1", "2", "0000000000000000", "0000000000000000"], "{status}");
        count += 1;
    }
    assert!(count > 2, "{count} threads");
    operator.terminate();
}
