//! The configuration of the driver, flag by flag.

use std::ffi::OsString;

use super::super::DRIVER_FLAGS;
use super::super::{SocketCheck, SocketOwner};
use super::*;

fn resolve(args: &[&str]) -> Result<Invocation, ConfigError> {
    let parsed = DriverFlags::parse(args.iter().map(OsString::from))?;
    DriverConfig::resolve(&parsed, |name| match name {
        "KUBERNETES_SERVICE_HOST" => Some("10.0.0.1".to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some("443".to_owned()),
        _ => None,
    })
}

fn config(args: &[&str]) -> DriverConfig {
    match resolve(args) {
        Ok(Invocation::Run(config)) => *config,
        other => panic!("{args:?} gave {other:?}"),
    }
}

fn error(args: &[&str]) -> String {
    resolve(args).unwrap_err().to_string()
}

fn paths(texts: &[&str]) -> Vec<PathBuf> {
    texts.iter().map(PathBuf::from).collect()
}

#[test]
fn without_flags_the_driver_has_upstreams_defaults_and_ours() {
    let expected = DriverConfig {
        endpoint: Endpoint::Unix(PathBuf::from("/tmp/csi.sock")),
        driver_name: "secrets-store.csi.k8s.io".to_owned(),
        node_id: String::new(),
        provider_dirs: paths(&[
            "/etc/kubernetes/secrets-store-csi-providers",
            "/var/run/secrets-store-csi-providers",
        ]),
        metrics_addr: BindAddress::parse(":8095"),
        health_addr: None,
        registration: None,
        rotation: Rotation::Off,
        max_call_recv_msg_size: 4_194_304,
        provider_health_check: None,
        log: LogSettings { json: false, verbosity: 0 },
        kubelet_pods_dir: None,
        volume_size_limit: 33_554_432,
        volume_inode_limit: 4096,
        provider_trust: ProviderTrust::default(),
        seccomp: Seccomp::Enforce,
        allow_attribute_override: false,
        max_concurrent_calls: 192,
        max_provider_calls: 128,
        shutdown_grace_period: Duration::from_secs(30),
        kube: KubeSource::InCluster { host: "10.0.0.1".to_owned(), port: 443 },
        notices: Vec::new(),
    };
    assert_eq!(config(&[]), expected);
}

#[test]
fn upstreams_manifest_and_the_flags_that_its_tests_append_are_read() {
    let config = config(&[
        "-v=5",
        "--endpoint=unix:///csi/csi.sock",
        "--nodeid=node-1",
        "--provider-volume=/var/run/secrets-store-csi-providers",
        "--additional-provider-volume-paths=/etc/kubernetes/secrets-store-csi-providers",
        "--metrics-addr=:8095",
        "--enable-secret-rotation=false",
        "--rotation-poll-interval=2m",
        "--provider-health-check=false",
        "--provider-health-check-interval=2m",
        "--enable-secret-rotation=true",
        "--rotation-poll-interval=30s",
    ]);
    assert_eq!(config.rotation, Rotation::Every(Duration::from_secs(30)));
    assert_eq!(config.endpoint, Endpoint::Unix(PathBuf::from("/csi/csi.sock")));
    assert_eq!((config.node_id.as_str(), config.log.verbosity), ("node-1", 5));
    assert_eq!(config.notices, []);
}

#[test]
fn every_other_flag_has_its_effect() {
    let config = config(&[
        "--drivername=d",
        "--log-format-json",
        "--metrics-backend=pROMETHEUS",
        "--max-call-recv-msg-size=0x10",
        "--provider-health-check",
        "--provider-health-check-interval=1.5s",
        "--kubelet-pods-dir=/var/lib/kubelet/pods",
        "--kubelet-registration-dir=/registration",
        "--kubelet-registration-path=/var/lib/kubelet/plugins/d/csi.sock",
        "--nodeid=n",
        "--health-addr=0.0.0.0:9808",
        "--volume-size-limit=2Gi",
        "--volume-inode-limit=10",
        "--allow-attribute-override",
        "--max-concurrent-calls=4096",
        "--max-provider-calls=4096",
        "--shutdown-grace-period=0",
        "--kube-api-server=https://api",
    ]);
    assert_eq!(config.driver_name, "d");
    assert!(config.log.json && config.allow_attribute_override);
    assert_eq!(config.max_call_recv_msg_size, 16);
    assert_eq!(config.provider_health_check, Some(Duration::from_millis(1500)));
    assert_eq!(config.kubelet_pods_dir, Some(PathBuf::from("/var/lib/kubelet/pods")));
    assert_eq!((config.volume_size_limit, config.volume_inode_limit), (2_147_483_648, 10));
    assert_eq!((config.max_concurrent_calls, config.max_provider_calls), (4096, 4096));
    assert_eq!(config.shutdown_grace_period, Duration::ZERO);
    assert!(matches!(config.kube, KubeSource::Explicit { .. }));
    assert_eq!(config.health_addr, BindAddress::parse("0.0.0.0:9808"));
    let endpoint = "/var/lib/kubelet/plugins/d/csi.sock".to_owned();
    let dir = PathBuf::from("/registration");
    assert_eq!(config.registration, Some(KubeletRegistration { dir, endpoint }));
}

#[test]
fn version_is_answered_before_anything_is_checked() {
    assert_eq!(resolve(&["--version", "--endpoint=x", "--metrics-addr=x"]), Ok(Invocation::Version));
    assert!(matches!(resolve(&["--version=false"]), Ok(Invocation::Run(_))));
    assert_eq!(resolve(&["--version", "--nope"]).unwrap_err().exit_code(), 2);
}

#[test]
fn provider_directories_are_searched_in_order_with_the_main_one_last() {
    let rows = [
        ("several", "/a,/b", "/z", ["/a", "/b", "/z"].as_slice()),
        ("empty list", "", "/z", &["/z"]),
        ("empty elements", ",/a,,/b,", "/z", &["/a", "/b", "/z"]),
        ("trimmed as a whole only", "  /a , /b\t", "/z", &["/a ", " /b", "/z"]),
        ("no main one", "/a", "", &["/a"]),
    ];
    for (name, additional, main, dirs) in rows {
        let args =
            [format!("--additional-provider-volume-paths={additional}"), format!("--provider-volume={main}")];
        assert_eq!(config(&args.each_ref().map(String::as_str)).provider_dirs, paths(dirs), "{name}");
    }
    let text = error(&["--additional-provider-volume-paths=", "--provider-volume="]);
    assert!(
        text.contains("--provider-volume") && text.contains("--additional-provider-volume-paths"),
        "{text}"
    );
}

#[test]
fn rotation_is_off_or_has_an_interval_that_is_never_negative() {
    let rows = [
        ("off whatever the interval", ["--rotation-poll-interval=1s"].as_slice(), Rotation::Off),
        ("default", &["--enable-secret-rotation"], Rotation::Every(Duration::from_secs(120))),
        (
            "zero",
            &["--enable-secret-rotation", "--rotation-poll-interval=0"],
            Rotation::Every(Duration::ZERO),
        ),
        (
            "negative",
            &["--enable-secret-rotation", "--rotation-poll-interval=-1m"],
            Rotation::Every(Duration::ZERO),
        ),
    ];
    for (name, args, rotation) in rows {
        assert_eq!(config(args).rotation, rotation, "{name}");
    }
}

#[test]
fn metrics_are_off_with_0_and_an_empty_address_is_an_error() {
    assert_eq!(config(&["--metrics-addr=0"]).metrics_addr, None);
    assert_eq!(config(&["--metrics-addr", ":9"]).metrics_addr.unwrap().listen_addr(), "[::]:9");
    assert!(
        error(&["--metrics-addr="]).starts_with(r#"could not use flag --metrics-addr="": it must be <host>"#)
    );
}

#[test]
fn health_has_a_listener_of_its_own_only_where_one_is_given() {
    for none in ["--health-addr=", "--health-addr=0"] {
        assert_eq!(config(&[none]).health_addr, None, "{none}");
    }
    assert!(
        error(&["--health-addr=9808"]).starts_with(r#"could not use flag --health-addr="9808": it must"#)
    );
}

#[test]
fn verbosity_beyond_32_bits_is_the_nearest_that_means_the_same() {
    for (typed, verbosity) in [("-v=-1", -1), ("-v=99999999999", i32::MAX), ("-v=-99999999999", 0)] {
        assert_eq!(config(&[typed]).log.verbosity, verbosity, "{typed}");
    }
}

#[test]
fn sizes_take_binary_suffixes() {
    let good = [("1", 1), ("32Mi", 33_554_432), ("4Ki", 4096), ("1Gi", 1 << 30), ("0x10Ki", 16_384)];
    for (text, size) in good {
        assert_eq!(config(&[&format!("--volume-size-limit={text}")]).volume_size_limit, size, "{text}");
    }
    for text in ["", "0", "0Mi", "-1", "1M", "1mi", "1 Mi", "Mi", "1.5Mi", "1KiKi", "9223372036854775807Gi"] {
        assert!(error(&[&format!("--volume-size-limit={text}")]).contains("--volume-size-limit"), "{text}");
    }
}

#[test]
fn the_pods_directory_must_be_absolute_and_clean() {
    for path in ["/", "/pods", "/var/lib/kubelet/pods", "/..."] {
        let typed = config(&[&format!("--kubelet-pods-dir={path}")]).kubelet_pods_dir;
        assert_eq!(typed, Some(PathBuf::from(path)), "{path}");
    }
    assert_eq!(config(&["--kubelet-pods-dir="]).kubelet_pods_dir, None);
    for path in ["pods", "./pods", "/a/", "//a", "/a//b", "/a/./b", "/a/../b", "/..", "."] {
        assert!(error(&[&format!("--kubelet-pods-dir={path}")]).contains("--kubelet-pods-dir"), "{path}");
    }
}

#[test]
fn unusable_values_are_named_with_what_they_must_be() {
    let rows = [
        (
            ["--max-provider-calls=193"].as_slice(),
            "could not use flag --max-provider-calls=\"193\": it must be from 1 to the value of \
             --max-concurrent-calls, which is 192",
        ),
        (
            &["--max-concurrent-calls=4097"],
            "could not use flag --max-concurrent-calls=\"4097\": it must be from 1 to 4096",
        ),
        (
            &["--max-call-recv-msg-size=0"],
            "could not use flag --max-call-recv-msg-size=\"0\": it must be from 1 to 2147483647",
        ),
        (&["--drivername="], "could not use flag --drivername=\"\": it must not be empty"),
        (
            &["--provider-health-check", "--provider-health-check-interval=-1us"],
            "could not use flag --provider-health-check-interval=\"-1000ns\": it must be longer than 0",
        ),
        (
            &["--shutdown-grace-period=-1s"],
            "could not use flag --shutdown-grace-period=\"-1000000000ns\": it must not be negative",
        ),
        (&["--volume-inode-limit=0"], "could not use flag --volume-inode-limit=\"0\": it must be at least 1"),
        (
            &["--metrics-backend=OpenCensus"],
            "unsupported metrics backend \"OpenCensus\": the only one is Prometheus",
        ),
    ];
    for (args, text) in rows {
        assert_eq!(error(args), text);
        assert_eq!(resolve(args).unwrap_err().exit_code(), 1, "{args:?}");
    }
    for args in [["--max-provider-calls=0"], ["--max-concurrent-calls=0"], ["--max-concurrent-calls=-1"]] {
        assert_eq!(resolve(&args).unwrap_err().exit_code(), 1, "{args:?}");
    }
}

#[test]
fn values_of_what_is_off_or_beyond_the_top_are_no_error() {
    assert_eq!(config(&["--provider-health-check-interval=0"]).provider_health_check, None);
    assert_eq!(config(&["--max-call-recv-msg-size=99999999999"]).max_call_recv_msg_size, 2_147_483_647);
}

#[test]
fn calls_to_one_provider_follow_all_calls_unless_they_are_given() {
    let rows = [
        ("neither", [].as_slice(), (192, 128)),
        ("fewer calls", &["--max-concurrent-calls=64"], (64, 42)),
        ("more calls", &["--max-concurrent-calls=4096"], (4096, 2730)),
        ("a single call", &["--max-concurrent-calls=1"], (1, 1)),
        ("provider calls alone", &["--max-provider-calls=192"], (192, 192)),
        ("both", &["--max-concurrent-calls=64", "--max-provider-calls=64"], (64, 64)),
    ];
    for (name, args, limits) in rows {
        let config = config(args);
        assert_eq!((config.max_concurrent_calls, config.max_provider_calls), limits, "{name}");
    }
    // Typed as the default is typed all the same.
    let text = error(&["--max-concurrent-calls=64", "--max-provider-calls=128"]);
    assert!(text.contains("--max-provider-calls=\"128\""), "{text}");
}

#[test]
fn a_bad_endpoint_exits_with_255() {
    let error = resolve(&["--endpoint=csi.sock"]).unwrap_err();
    assert_eq!(error.exit_code(), 255);
    assert!(error.to_string().starts_with("invalid endpoint: csi.sock"), "{error}");
}

#[test]
fn flags_without_effect_are_accepted_and_noted() {
    let removed = |flag| Notice::Removed { flag };
    let fixed = |flag| Notice::FixedLog { flag };
    let rows = [
        ("--filtered-watch-secret=true", vec![removed("filtered-watch-secret")]),
        ("--filtered-watch-secret=false", vec![removed("filtered-watch-secret")]),
        ("--grpc-supported-providers=azure;gcp", vec![removed("grpc-supported-providers")]),
        ("--vmodule=a=1", vec![fixed("vmodule")]),
        ("--logtostderr=false", vec![fixed("logtostderr")]),
        ("--logtostderr", vec![]),
        ("--alsologtostderr", vec![fixed("alsologtostderr")]),
        ("--alsologtostderrthreshold=WARNING", vec![fixed("alsologtostderrthreshold")]),
        ("--alsologtostderrthreshold=0", vec![]),
        ("--stderrthreshold=INFO", vec![fixed("stderrthreshold")]),
        ("--legacy_stderr_threshold_behavior=false", vec![fixed("legacy_stderr_threshold_behavior")]),
        ("--legacy_stderr_threshold_behavior", vec![]),
        ("--log_dir=/x", vec![fixed("log_dir")]),
        ("--log_file=/x", vec![fixed("log_file")]),
        ("--log_file_max_size=1", vec![fixed("log_file_max_size")]),
        ("--log_backtrace_at=a.go:1", vec![fixed("log_backtrace_at")]),
        ("--log_backtrace_at=:0", vec![]),
        ("--add_dir_header", vec![fixed("add_dir_header")]),
        ("--skip_headers", vec![fixed("skip_headers")]),
        ("--skip_log_headers", vec![fixed("skip_log_headers")]),
        ("--one_output", vec![fixed("one_output")]),
        ("--enable-pprof", vec![Notice::NoProfiling]),
        ("--enable-pprof=false", vec![]),
        ("--pprof-port=1", vec![]),
        ("--kubelet-registration-path=/csi/csi.sock", vec![Notice::NoRegistration]),
        ("--kubelet-registration-path=", vec![]),
    ];
    for (arg, notices) in rows {
        assert_eq!(config(&[arg]).notices, notices, "{arg}");
    }
}

#[test]
fn arguments_that_are_not_read_are_noted() {
    let config = config(&["--enable-secret-rotation", "true", "--nodeid=x"]);
    assert_eq!(config.notices, [Notice::IgnoredArguments { count: 2 }]);
    assert_eq!(config.node_id, "");
}

#[test]
fn every_flag_that_is_noted_is_in_the_table() {
    for name in REMOVED.iter().chain(&FIXED_LOG) {
        assert!(DRIVER_FLAGS.iter().any(|flag| flag.name == *name), "{name}");
    }
}

#[test]
fn what_the_driver_gives_up_and_whom_it_believes_can_be_relaxed_by_name_alone() {
    let relaxed =
        config(&["--seccomp=log", "--provider-socket-check=warn", "--provider-socket-owners= a=1,b=2 "]);
    assert_eq!(relaxed.seccomp, Seccomp::Log);
    assert_eq!(relaxed.provider_trust.check, SocketCheck::Warn);
    let owners = ["a", "b", "gcp", "aws"].map(|name| relaxed.provider_trust.owner(name));
    assert_eq!(
        owners,
        [
            SocketOwner::Exactly(1),
            SocketOwner::Exactly(2),
            SocketOwner::RootOr(1000),
            SocketOwner::Exactly(0)
        ]
    );
    let off = config(&["--seccomp=off", "--provider-socket-check=off", "--provider-socket-owners="]);
    assert_eq!((off.seccomp, off.provider_trust.check), (Seccomp::Off, SocketCheck::Off));
    assert_eq!(off.provider_trust, ProviderTrust { check: SocketCheck::Off, ..ProviderTrust::default() });
    for (wrong, must) in [
        ("--seccomp=no", "enforce, log or off"),
        ("--provider-socket-check=", "enforce, warn or off"),
        ("--provider-socket-owners=gcp", "such as gcp=1000"),
        ("--provider-socket-owners=gcp=root", "such as gcp=1000"),
        ("--provider-socket-owners=gcp=-1", "such as gcp=1000"),
        ("--provider-socket-owners==1", "such as gcp=1000"),
        ("--provider-socket-owners=a b=1", "such as gcp=1000"),
        ("--provider-socket-owners=a=1,gcp=0,a=2", "a has two entries"),
        ("--provider-socket-owners=a=1, a=1", "a has two entries"),
    ] {
        assert!(error(&[wrong]).contains(must), "{wrong}: {}", error(&[wrong]));
    }
}
