//! Command lines and the environment: from any words to a configuration in which every value is usable, or to an error
//! that can be shown.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use base::cli::{self, CliError, Flag, Kind};
use config::{
    BindAddress, DRIVER_FLAGS, DriverConfig, DriverFlags, Endpoint, Invocation, KubeSource, Rotation,
    ServerUrl,
};
use reference_provider::command_line::{PROVIDER_FLAGS, ProviderConfig};

use crate::input::Input;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (host, port) = (input.text(), input.text());
    let words: Vec<OsString> =
        input.rest().split(|byte| *byte == 0).map(|word| OsStr::from_bytes(word).to_owned()).collect();
    driver(&words, &host, &port);
    provider(&words);
    divided(&words);
    for word in words.iter().filter_map(|word| word.to_str()) {
        let value = word.split_once('=').map_or(word, |(_, value)| value);
        integer(value);
        url(value);
        address(value);
    }
}

fn driver(words: &[OsString], host: &str, port: &str) {
    let parsed = match DriverFlags::parse(words.to_vec()) {
        Ok(parsed) => parsed,
        Err(error) => return refused(&error),
    };
    let names: Vec<_> = parsed.typed.iter().map(|flag| flag.name).collect();
    assert!(names.iter().all(|name| DRIVER_FLAGS.iter().any(|flag| flag.name == *name)), "{names:?}");
    assert!(words.ends_with(&parsed.rest));
    last_one_wins(words, &parsed.rest);
    let environment = |name: &str| match name {
        "KUBERNETES_SERVICE_HOST" => Some(host.to_owned()),
        "KUBERNETES_SERVICE_PORT" => Some(port.to_owned()),
        _ => None,
    };
    match DriverConfig::resolve(&parsed, environment) {
        Ok(Invocation::Version) => {}
        Ok(Invocation::Run(config)) => {
            usable(&config);
            assert_eq!(DriverConfig::resolve(&parsed, environment), Ok(Invocation::Run(config)));
        }
        Err(error) => {
            let text = error.to_string();
            assert!(!text.is_empty() && !text.contains('\n'), "{text:?}");
            assert!([1, 2, 255].contains(&error.exit_code()), "{text}");
            assert!(
                std::error::Error::source(&error).is_none_or(|source| text.contains(&source.to_string()))
            );
        }
    }
}

/// One more flag in front of what is no flag is read like all others.
fn last_one_wins(words: &[OsString], rest: &[OsString]) {
    let mut more = words[..words.len() - rest.len()].to_vec();
    // Two dashes end the flags and are in neither part.
    if more.last().is_some_and(|word| word == "--") {
        more.pop();
    }
    more.push("--v=41".into());
    // The last flag may have been waiting for those two dashes as its value.
    if let Ok(parsed) = DriverFlags::parse(more) {
        let is_last = parsed.typed.iter().any(|flag| flag.name == "v");
        assert!(!is_last || parsed.flags.log().verbosity == 41 || parsed.rest.len() == 1);
    }
}

fn usable(config: &DriverConfig) {
    assert!(!config.driver_name.is_empty());
    assert!(!config.provider_dirs.is_empty());
    assert!(config.volume_size_limit > 0 && config.volume_inode_limit > 0);
    assert!((1..=4096).contains(&config.max_concurrent_calls));
    assert!((1..=config.max_concurrent_calls).contains(&config.max_provider_calls));
    assert!((1..=i32::MAX as usize).contains(&config.max_call_recv_msg_size));
    assert!(config.provider_health_check.is_none_or(|interval| !interval.is_zero()));
    assert!(matches!(config.rotation, Rotation::Off | Rotation::Every(_)));
    assert!(config.kubelet_pods_dir.as_ref().is_none_or(|dir| dir.is_absolute()));
    if let Some(registration) = &config.registration {
        assert!(registration.dir.is_absolute() && !config.node_id.is_empty());
        assert!(matches!(config.endpoint, Endpoint::Unix(_)));
    }
    assert_eq!(Endpoint::parse(&config.endpoint.to_string()).ok().as_ref(), Some(&config.endpoint));
    for address in [&config.metrics_addr, &config.health_addr].into_iter().flatten() {
        let again = BindAddress::parse(&address.listen_addr()).unwrap();
        assert_eq!((again.port(), again.listen_addr()), (address.port(), address.listen_addr()));
    }
    // Whatever the notation was: a token goes over TLS, or to this machine.
    let server = config.kube.server();
    assert_eq!(ServerUrl::parse(server.as_str()).as_ref(), Ok(&server));
    assert_eq!(server.to_string(), server.as_str());
    if let KubeSource::InCluster { .. } = config.kube {
        assert!(server.as_str().starts_with("https://"));
        assert!(config.kube.ca_file().is_some() && config.kube.token_file().is_some());
    }
    for notice in &config.notices {
        assert!(!notice.to_string().contains('\n'));
    }
}

/// The problem on one line, and below it the whole usage.
fn refused(error: &CliError) {
    let text = error.to_string();
    match error {
        CliError::Help { usage } => assert!(text == *usage && error.exit_code() == 0),
        CliError::Usage { problem, usage } => {
            assert_eq!(text, format!("{problem}\n{usage}"));
            assert!(!problem.to_string().chars().any(char::is_control), "{problem}");
            assert_eq!(error.exit_code(), 2);
        }
    }
}

fn provider(words: &[OsString]) {
    match ProviderConfig::parse(words.to_vec()) {
        Ok(config) => assert!(config.ignored_arguments <= words.len()),
        Err(error) => {
            assert!([0, 1, 2, 255].contains(&error.exit_code()) && !error.to_string().is_empty());
            assert!(std::error::Error::source(&error).is_none_or(|source| !source.to_string().is_empty()));
        }
    }
}

#[derive(Default)]
struct Other {
    pod: String,
    is_short: bool,
}

const OTHER: &[Flag<Other>] = &[
    Flag { name: "pod", kind: Kind::Text(|f| &mut f.pod), default: "", help: "a pod" },
    Flag { name: "short", kind: Kind::Bool(|f| &mut f.is_short), default: "false", help: "a switch" },
];

/// Two tables over one command line: every word goes to one of them, in order, and none is lost.
fn divided(words: &[OsString]) {
    let (mut first, other) = cli::divide(OTHER, DRIVER_FLAGS, words.to_vec());
    assert_eq!(first.len() + other.len(), words.len());
    let mut rest = other.iter().peekable();
    first.reverse();
    for word in words {
        // Where both could be meant they are the same word.
        if first.last() == Some(word) && rest.peek() != Some(&word) {
            first.pop();
        } else if rest.next_if_eq(&word).is_none() {
            assert_eq!(first.pop().as_ref(), Some(word));
        }
    }
    let (again, none) = cli::divide(PROVIDER_FLAGS, OTHER, words.to_vec());
    assert_eq!(again.len() + none.len(), words.len());
}

/// Go's strconv.ParseInt with base 0, by another road.
fn integer(text: &str) {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    let lower = digits.to_ascii_lowercase();
    let (base, body) = match lower.get(..2) {
        Some("0x") => (16, &lower[2..]),
        Some("0b") => (2, &lower[2..]),
        Some("0o") => (8, &lower[2..]),
        _ if lower.len() > 1 && lower.starts_with('0') => (8, &lower[1..]),
        _ => (10, &lower[..]),
    };
    let has_prefix = body.len() < lower.len();
    let are_underscores_between =
        !body.ends_with('_') && !body.contains("__") && (has_prefix || !body.starts_with('_'));
    let plain = body.replace('_', "");
    let is_number = !plain.is_empty() && plain.chars().all(|c| c.is_digit(base));
    let expected = (is_number && are_underscores_between).then(|| {
        let value = plain.trim_start_matches('0').chars().try_fold(0_i128, |value, c| {
            let value = value * i128::from(base) + i128::from(c.to_digit(base).unwrap_or(0));
            Some(value).filter(|value| *value <= 1 << 64)
        });
        let sign = if text.starts_with('-') { -1 } else { 1 };
        value.and_then(|value| i64::try_from(sign * value).ok())
    });
    match (cli::parse_int(text), expected) {
        (Ok(value), Some(Some(expected))) => assert_eq!(value, expected, "{text:?}"),
        (Err(cli::InvalidValue::Range), Some(None) | None) | (Err(cli::InvalidValue::Syntax), None) => {}
        (read, expected) => panic!("{text:?}: {read:?}, expected {expected:?}"),
    }
}

fn url(text: &str) {
    let Ok(url) = ServerUrl::parse(text) else { return };
    assert_eq!(ServerUrl::parse(url.as_str()), Ok(url.clone()));
    let (scheme, rest) = url.as_str().split_once("://").unwrap();
    assert!(rest.bytes().all(|byte| byte.is_ascii_graphic() && !b"@?#\\\"<>".contains(&byte)), "{url}");
    let authority = rest.split('/').next().unwrap();
    let is_local = ["localhost", "127.", "[::1]", "[::ffff:127.", "["]
        .iter()
        .any(|start| authority.to_ascii_lowercase().starts_with(start));
    assert!(scheme == "https" || (scheme == "http" && is_local), "{url}");
}

fn address(text: &str) {
    if let Ok(endpoint) = Endpoint::parse(text) {
        assert_eq!(Endpoint::parse(&endpoint.to_string()).ok().as_ref(), Some(&endpoint), "{text:?}");
        assert!(!matches!(&endpoint, Endpoint::Unix(path) if !path.is_absolute()), "{text:?}");
    }
    if let Some(address) = BindAddress::parse(text) {
        let listen = address.listen_addr();
        assert!(listen.ends_with(&format!(":{}", address.port())), "{listen}");
        assert_eq!(address.is_every_interface(), text.starts_with(':'), "{text:?}");
    }
}
