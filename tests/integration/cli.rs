//! The command line, the log and the endpoint's file: what manifests, charts and people at a shell rely on.

use std::fs::{self, Permissions};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixListener;
use std::process::{Command, Output, Stdio};

use serde_json::Value;

use kit::driver::{DriverProcess, build, program};
use kit::world::World;

/// Runs the driver with arguments that make it end by itself.
fn run(arguments: &[&str]) -> Output {
    Command::new(program("secrets-store-csi-driver"))
        .args(arguments)
        .env_remove("KUBERNETES_SERVICE_HOST")
        .env_remove("KUBECONFIG")
        .stdin(Stdio::null())
        .output()
        .expect("the driver can be started")
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).expect("output is text")
}

/// Starts the driver of a world, expects it to give up with exit code 1, and returns its log.
fn failing_start(world: &World) -> String {
    let mut driver = DriverProcess::spawn(&program("secrets-store-csi-driver"), &world.arguments());
    assert_eq!(driver.wait().code(), Some(1), "log:\n{}", driver.log());
    driver.log()
}

#[test]
fn version_is_one_json_object_on_standard_output_and_nothing_else() {
    let [version, commit, date] = build();
    let expected =
        format!("{{\"BuildVersion\":\"{version}\",\"GitCommit\":\"{commit}\",\"BuildDate\":\"{date}\"}}\n");
    for arguments in [["--version"].as_slice(), &["-version=true"], &["--endpoint=nonsense", "--version"]] {
        let output = run(arguments);
        assert_eq!(text(&output.stdout), expected, "{arguments:?}");
        assert_eq!(text(&output.stderr), "", "{arguments:?}");
        assert_eq!(output.status.code(), Some(0), "{arguments:?}");
    }
}

#[test]
fn a_wrong_command_line_is_told_with_the_usage_and_exits_with_2() {
    let rows = [
        ("--nope", "flag provided but not defined: -nope\n"),
        ("-nope=1", "flag provided but not defined: -nope\n"),
        ("--log-format-json=maybe", "invalid boolean value \"maybe\" for -log-format-json: parse error\n"),
        ("--rotation-poll-interval=2", "invalid value \"2\" for flag -rotation-poll-interval: "),
        ("--endpoint", "flag needs an argument: -endpoint\n"),
        ("---v", "bad flag syntax: ---v\n"),
    ];
    for (argument, problem) in rows {
        let output = run(&[argument]);
        let told = text(&output.stderr);
        assert!(told.starts_with(problem), "{argument}: {told}");
        assert!(told.contains("\nUsage of secrets-store-csi:\n") && told.contains("\n  -v int\n"), "{told}");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(2), ""), "{argument}");
    }
}

#[test]
fn help_is_the_usage_and_no_error() {
    for argument in ["-h", "--h", "-help", "--help"] {
        let output = run(&[argument]);
        assert!(text(&output.stderr).starts_with("Usage of secrets-store-csi:\n"), "{argument}");
        assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), ""), "{argument}");
    }
}

#[test]
fn a_bad_endpoint_exits_with_255_and_says_what_an_endpoint_is() {
    for endpoint in ["csi.sock", "unix://", "http://x", ""] {
        let output = run(&[&format!("--endpoint={endpoint}")]);
        let told = text(&output.stderr);
        assert!(told.contains(&format!("invalid endpoint: {endpoint}")), "{told}");
        assert!(told.contains("it must be unix://<path> or tcp://<host>:<port>"), "{told}");
        assert_eq!(output.status.code(), Some(255), "{endpoint}");
    }
}

#[test]
fn of_a_repeated_flag_the_last_one_counts_with_one_dash_or_two() {
    let world = World::start(&["--drivername=one", "-drivername=two", "--drivername", "three", "-v=2"]);
    assert_eq!(world.plugin_name(), "three");
}

#[test]
fn removed_flags_are_accepted_and_warned_about() {
    let world = World::start(&["--filtered-watch-secret=true", "--grpc-supported-providers=azure;gcp"]);
    let log = world.driver().log();
    for flag in ["--filtered-watch-secret", "--grpc-supported-providers"] {
        let warning = log.lines().find(|line| line.contains(flag)).unwrap_or_else(|| panic!("{flag}: {log}"));
        assert!(warning.starts_with('W') && warning.contains("has been removed"), "{warning}");
    }
}

#[test]
fn a_kubeconfig_is_refused_with_the_flags_that_take_its_place() {
    let output = run(&["--kubeconfig=/root/.kube/config"]);
    let told = text(&output.stderr);
    for flag in ["--kube-api-server", "--kube-ca-file", "--kube-token-file"] {
        assert!(told.contains(flag), "{flag} is missing in: {told}");
    }
    assert!(told.contains("unrecoverable error encountered"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn plain_http_to_another_machine_is_refused() {
    let output = run(&["--kube-api-server=http://10.0.0.1:6443"]);
    let told = text(&output.stderr);
    assert!(told.contains("http would send the token in the clear"), "{told}");
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn a_tcp_endpoint_that_others_can_reach_is_refused() {
    let world = World::without_driver(&["--endpoint=tcp://0.0.0.0:0"]);
    let log = failing_start(&world);
    assert!(log.contains("use a unix socket"), "{log}");
}

#[test]
fn what_occupies_the_endpoint_is_an_error_and_left_alone() {
    let world = World::without_driver(&[]);
    let endpoint = world.path("csi/csi.sock");
    fs::create_dir(world.path("csi")).unwrap();
    fs::write(&endpoint, "precious").unwrap();
    let log = failing_start(&world);
    let error = log.lines().last().unwrap();
    assert!(error.starts_with('E') && error.contains("unrecoverable error encountered"), "{error}");
    assert!(error.contains("csi/csi.sock exists and is not a socket"), "{error}");
    assert_eq!(fs::read_to_string(&endpoint).unwrap(), "precious");
}

#[test]
fn a_socket_that_a_crash_left_behind_is_replaced() {
    let mut world = World::without_driver(&[]);
    let endpoint = world.path("csi/csi.sock");
    fs::create_dir(world.path("csi")).unwrap();
    drop(UnixListener::bind(&endpoint).unwrap());
    world.start_driver();
    assert_eq!(world.plugin_name(), "secrets-store.csi.k8s.io");
    // And again after the driver itself was killed.
    world.take_driver().kill();
    assert!(endpoint.exists(), "a killed process leaves its socket");
    world.start_driver();
}

#[test]
fn the_socket_is_for_its_owner_alone_and_so_is_a_directory_made_for_it() {
    let world = World::start(&[]);
    let socket = fs::metadata(world.path("csi/csi.sock")).unwrap();
    assert!(socket.file_type().is_socket());
    assert_eq!(socket.permissions().mode() & 0o7777, 0o600);
    let directory = fs::metadata(world.path("csi")).unwrap();
    assert_eq!(directory.permissions().mode() & 0o7777, 0o700);
}

#[test]
fn a_directory_that_kubelet_made_for_the_socket_alone_is_shut() {
    for (also, mode) in [(None, 0o700), (Some("somebody-elses"), 0o755)] {
        let mut world = World::without_driver(&[]);
        fs::create_dir(world.path("csi")).unwrap();
        also.into_iter().for_each(|name| fs::write(world.path("csi").join(name), "").unwrap());
        fs::set_permissions(world.path("csi"), Permissions::from_mode(0o755)).unwrap();
        world.start_driver();
        let found = fs::metadata(world.path("csi")).unwrap().permissions().mode() & 0o7777;
        assert_eq!(found, mode, "{also:?}");
    }
}

/// One publish that fails, so that the log has an error with values.
fn log_of_a_failure(flags: &[&str]) -> String {
    let mut world = World::start(flags);
    let pod = world.pod("web", "missing");
    world.kubelet.publish(&pod).unwrap_err();
    world.take_driver().terminate()
}

#[test]
fn json_logs_are_json_lines_with_the_known_keys_first() {
    let log = log_of_a_failure(&["--log-format-json", "-v=5"]);
    for line in log.lines() {
        let record: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
        let positions: Vec<_> =
            ["{\"level\":\"", "\",\"timestamp\":\"", "\",\"caller\":\"", "\",\"message\":\""]
                .iter()
                .map(|key| line.find(key).unwrap_or_else(|| panic!("{key} is missing: {line}")))
                .collect();
        assert!(positions[0] == 0 && positions.is_sorted(), "{line}");
        assert!(["error", "warn", "info", "debug"].contains(&record["level"].as_str().unwrap()), "{line}");
        let time = record["timestamp"].as_str().unwrap();
        assert_eq!(shape(time), "0000-00-00T00:00:00.000000Z", "{line}");
        let caller = record["caller"].as_str().unwrap();
        let (place, module) = caller.split_once('$').unwrap();
        assert!(shape(place).trim_end_matches('0').ends_with(".rs:"), "{caller}");
        assert!(!module.is_empty(), "{caller}");
    }
    let failure = log.lines().find(|line| line.contains("could not publish the volume")).unwrap();
    let failure: Value = serde_json::from_str(failure).unwrap();
    assert_eq!(failure["level"], "error");
    assert_eq!(failure["pod"], "default/web");
    let error = failure["error"].as_str().unwrap();
    assert!(error.contains("failed to get secretproviderclass default/missing"), "{error}");
}

#[test]
fn text_logs_have_klogs_shape() {
    let log = log_of_a_failure(&["-v=5"]);
    for line in log.lines() {
        let (head, rest) = line.split_once("] ").unwrap_or_else(|| panic!("no head: {line}"));
        let words: Vec<&str> = head.split_whitespace().collect();
        let [day, time, pid, place] = words[..] else { panic!("{line}") };
        assert!(matches!(day.as_bytes()[0], b'I' | b'W' | b'E'), "{line}");
        assert_eq!(shape(&day[1..]), "0000", "{line}");
        assert_eq!(shape(time), "00:00:00.000000", "{line}");
        assert!(pid.parse::<u32>().is_ok(), "{line}");
        assert!(shape(place).trim_end_matches('0').ends_with(".rs:"), "{line}");
        assert!(rest.starts_with('"'), "{line}");
    }
    let failure = log.lines().find(|line| line.contains("could not publish the volume")).unwrap();
    assert!(failure.starts_with('E') && failure.contains(" pod=\"default/web\" "), "{failure}");
}

/// The text with every digit as 0.
fn shape(text: &str) -> String {
    text.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect()
}
