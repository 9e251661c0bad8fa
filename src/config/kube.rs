//! Which API server to talk to, and as whom.
//!
//! Decides from flags and environment alone; files are opened, and re-read, by the client. The threat: a
//! bearer token sent in the clear or to a host that a cunningly written URL hides. Plain HTTP is therefore
//! for this machine only, and a URL may hold nothing but scheme, host, port and path.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr};
use std::path::{Path, PathBuf};

/// The flags about the API server, as typed; empty means not given.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct KubeFlags {
    /// `--kube-api-server`
    pub api_server: String,
    /// `--kube-ca-file`
    pub ca_file: String,
    /// `--kube-token-file`
    pub token_file: String,
    /// `--kubeconfig`
    pub kubeconfig: String,
}

/// Where the API server is and which files speak for us.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubeSource {
    /// Kubernetes told the pod through its environment; the service account's files are at their usual place.
    InCluster {
        /// Host name or address; an IPv6 address has no brackets.
        host: String,
        /// TCP port.
        port: u16,
    },
    /// The flags say it.
    Explicit {
        /// URL of the server.
        server: ServerUrl,
        /// Certificates that sign for the server; `None` when only the flag for the server was given.
        ca_file: Option<PathBuf>,
        /// The bearer token.
        token_file: Option<PathBuf>,
    },
}

/// `https://host[:port][/path]`, or `http://` on a loopback host; without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerUrl(String);

/// Why the API server is not known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KubeError {
    /// A kubeconfig file was named by flag or environment.
    Kubeconfig {
        /// `flag --kubeconfig` or `environment variable KUBECONFIG`.
        origin: &'static str,
    },
    /// A file was named, and no server to use it with.
    FileWithoutServer {
        /// Name of the flag, without dashes.
        flag: &'static str,
    },
    /// Neither flags nor environment name a server.
    NotFound,
    /// The environment's host or port is unusable.
    Environment {
        /// Name of the variable.
        variable: &'static str,
        /// Its value.
        value: String,
    },
    /// The flag's value is no URL of an API server.
    Url {
        /// The value.
        url: String,
    },
    /// Plain HTTP to another machine.
    PlainHttp {
        /// The value of the flag.
        url: String,
    },
}

impl KubeSource {
    /// Decides. `environment` answers for the variables `KUBERNETES_SERVICE_HOST`, `KUBERNETES_SERVICE_PORT`
    /// and `KUBECONFIG`; empty ones count as absent.
    pub fn resolve(
        flags: &KubeFlags,
        environment: impl Fn(&str) -> Option<String>,
    ) -> Result<KubeSource, KubeError> {
        let variable = |name: &str| environment(name).filter(|value| !value.is_empty());
        if !flags.kubeconfig.is_empty() {
            return Err(KubeError::Kubeconfig { origin: "flag --kubeconfig" });
        }
        if !flags.api_server.is_empty() {
            return Ok(KubeSource::Explicit {
                server: ServerUrl::parse(&flags.api_server)?,
                ca_file: path(&flags.ca_file),
                token_file: path(&flags.token_file),
            });
        }
        for (flag, value) in [("kube-ca-file", &flags.ca_file), ("kube-token-file", &flags.token_file)] {
            if !value.is_empty() {
                return Err(KubeError::FileWithoutServer { flag });
            }
        }
        match (variable(HOST_VARIABLE), variable(PORT_VARIABLE)) {
            (Some(host), Some(port)) => in_cluster(host, port),
            _ if variable("KUBECONFIG").is_some() => {
                Err(KubeError::Kubeconfig { origin: "environment variable KUBECONFIG" })
            }
            _ => Err(KubeError::NotFound),
        }
    }

    /// URL of the server, without a slash at the end.
    pub fn server(&self) -> ServerUrl {
        match self {
            KubeSource::InCluster { host, port } if host.contains(':') => {
                ServerUrl(format!("https://[{host}]:{port}"))
            }
            KubeSource::InCluster { host, port } => ServerUrl(format!("https://{host}:{port}")),
            KubeSource::Explicit { server, .. } => server.clone(),
        }
    }

    /// The file of certificates that sign for the server.
    pub fn ca_file(&self) -> Option<&Path> {
        match self {
            KubeSource::InCluster { .. } => Some(Path::new(IN_CLUSTER_CA_FILE)),
            KubeSource::Explicit { ca_file, .. } => ca_file.as_deref(),
        }
    }

    /// The file of the bearer token; it is rewritten from time to time.
    pub fn token_file(&self) -> Option<&Path> {
        match self {
            KubeSource::InCluster { .. } => Some(Path::new(IN_CLUSTER_TOKEN_FILE)),
            KubeSource::Explicit { token_file, .. } => token_file.as_deref(),
        }
    }
}

impl ServerUrl {
    /// Reads a URL that holds scheme, host and perhaps port and path, and nothing else.
    pub fn parse(text: &str) -> Result<ServerUrl, KubeError> {
        let invalid = || KubeError::Url { url: text.to_owned() };
        let (scheme, rest) = text.split_once("://").ok_or_else(invalid)?;
        let scheme = scheme.to_ascii_lowercase();
        let (authority, path) = rest.find('/').map_or((rest, ""), |slash| rest.split_at(slash));
        let host = host_of(authority).ok_or_else(invalid)?;
        if !path.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"/-._~%".contains(&byte)) {
            return Err(invalid());
        }
        match scheme.as_str() {
            "https" => {}
            "http" if is_loopback(host) => {}
            "http" => return Err(KubeError::PlainHttp { url: text.to_owned() }),
            _ => return Err(invalid()),
        }
        Ok(ServerUrl(format!("{scheme}://{authority}{}", path.trim_end_matches('/'))))
    }

    /// The URL as text, without a slash at the end.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ServerUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Display for KubeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            KubeError::Kubeconfig { origin } => {
                write!(f, "could not use the {origin}: kubeconfig files are not read, {THREE_FLAGS}")
            }
            KubeError::FileWithoutServer { flag } => {
                write!(f, "could not use flag --{flag}: it needs --kube-api-server")
            }
            KubeError::NotFound => write!(
                f,
                "could not find the API server: {HOST_VARIABLE} and {PORT_VARIABLE} are not both set as \
                 they are in a pod; {THREE_FLAGS}"
            ),
            KubeError::Environment { variable, value } => write!(
                f,
                "could not use environment variable {variable}={value:?}: it must be what Kubernetes sets \
                 in a pod"
            ),
            KubeError::Url { url } => write!(
                f,
                "could not use flag --kube-api-server={url:?}: it must be https://<host>[:<port>][/<path>]"
            ),
            KubeError::PlainHttp { url } => write!(
                f,
                "could not use flag --kube-api-server={url:?}: http would send the token in the clear and is \
                 allowed for loopback hosts only, use https"
            ),
        }
    }
}

impl std::error::Error for KubeError {}

fn in_cluster(host: String, port: String) -> Result<KubeSource, KubeError> {
    let bare = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(&host);
    if !is_name(bare) && bare.parse::<Ipv6Addr>().is_err() {
        return Err(KubeError::Environment { variable: HOST_VARIABLE, value: host });
    }
    match parse_port(&port) {
        Some(port) => Ok(KubeSource::InCluster { host: bare.to_owned(), port }),
        None => Err(KubeError::Environment { variable: PORT_VARIABLE, value: port }),
    }
}

/// The host of `host[:port]`, without the brackets of an IPv6 address.
fn host_of(authority: &str) -> Option<&str> {
    let (host, port) = match authority.strip_prefix('[') {
        Some(rest) => {
            let (address, after) = rest.split_once(']')?;
            address.parse::<Ipv6Addr>().ok()?;
            (address, after)
        }
        None => {
            let (name, after) =
                authority.find(':').map_or((authority, ""), |colon| authority.split_at(colon));
            is_name(name).then_some((name, after))?
        }
    };
    if !port.is_empty() {
        parse_port(port.strip_prefix(':')?)?;
    }
    Some(host)
}

/// A DNS name or an IPv4 address.
fn is_name(text: &str) -> bool {
    !text.is_empty()
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-' | b'_'))
}

fn parse_port(text: &str) -> Option<u16> {
    let is_digits = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|port| is_digits && *port != 0)
}

fn is_loopback(host: &str) -> bool {
    host.eq_ignore_ascii_case("localhost")
        || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn path(text: &str) -> Option<PathBuf> {
    (!text.is_empty()).then(|| PathBuf::from(text))
}

const HOST_VARIABLE: &str = "KUBERNETES_SERVICE_HOST";
const PORT_VARIABLE: &str = "KUBERNETES_SERVICE_PORT";
const IN_CLUSTER_CA_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/ca.crt";
const IN_CLUSTER_TOKEN_FILE: &str = "/var/run/secrets/kubernetes.io/serviceaccount/token";
const THREE_FLAGS: &str = "outside a cluster use --kube-api-server, --kube-ca-file and --kube-token-file";

#[cfg(test)]
mod tests {
    use super::*;

    const IN_CLUSTER: &[(&str, &str)] = &[(HOST_VARIABLE, "10.0.0.1"), (PORT_VARIABLE, "443")];

    fn flags(api_server: &str, ca_file: &str, token_file: &str, kubeconfig: &str) -> KubeFlags {
        let [api_server, ca_file, token_file, kubeconfig] =
            [api_server, ca_file, token_file, kubeconfig].map(str::to_owned);
        KubeFlags { api_server, ca_file, token_file, kubeconfig }
    }

    fn resolve(flags: &KubeFlags, environment: &[(&str, &str)]) -> Result<KubeSource, KubeError> {
        KubeSource::resolve(flags, |name| {
            environment.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned())
        })
    }

    #[test]
    fn in_a_cluster_the_environment_names_the_server() {
        let rows = [
            ("ipv4", "10.0.0.1", "https://10.0.0.1:443"),
            ("name", "kubernetes.default.svc", "https://kubernetes.default.svc:443"),
            ("ipv6 gets brackets", "fd00::1", "https://[fd00::1]:443"),
            ("ipv6 keeps its brackets", "[fd00::1]", "https://[fd00::1]:443"),
        ];
        for (name, host, url) in rows {
            let source =
                resolve(&KubeFlags::default(), &[(HOST_VARIABLE, host), (PORT_VARIABLE, "443")]).unwrap();
            assert_eq!(source.server().as_str(), url, "{name}");
            assert_eq!(source.ca_file(), Some(Path::new(IN_CLUSTER_CA_FILE)), "{name}");
            assert_eq!(source.token_file(), Some(Path::new(IN_CLUSTER_TOKEN_FILE)), "{name}");
        }
    }

    #[test]
    fn flags_win_over_the_environment() {
        let source = resolve(&flags("https://api:6443/", "/ca", "/token", ""), IN_CLUSTER).unwrap();
        let server = ServerUrl("https://api:6443".to_owned());
        let (ca_file, token_file) = (Some(PathBuf::from("/ca")), Some(PathBuf::from("/token")));
        assert_eq!(source, KubeSource::Explicit { server, ca_file, token_file });
        let source = resolve(&flags("http://127.0.0.1:8001", "", "", ""), &[]).unwrap();
        assert_eq!((source.ca_file(), source.token_file()), (None, None));
    }

    #[test]
    fn a_kubeconfig_is_answered_with_the_three_flags_to_use() {
        let none = KubeFlags::default();
        let rows = [
            ("flag", resolve(&flags("", "", "", "/k"), IN_CLUSTER)),
            ("flag beside the three", resolve(&flags("https://api", "/ca", "/token", "/k"), &[])),
            ("environment", resolve(&none, &[("KUBECONFIG", "/k")])),
            ("nothing", resolve(&none, &[])),
            ("half of the environment", resolve(&none, &[(HOST_VARIABLE, "10.0.0.1")])),
            (
                "empty environment",
                resolve(&none, &[(HOST_VARIABLE, ""), (PORT_VARIABLE, ""), ("KUBECONFIG", "")]),
            ),
        ];
        for (name, outcome) in rows {
            let text = outcome.unwrap_err().to_string();
            for flag in ["--kube-api-server", "--kube-ca-file", "--kube-token-file"] {
                assert!(text.contains(flag), "{name}: {text}");
            }
        }
        assert!(resolve(&none, &[IN_CLUSTER, &[("KUBECONFIG", "/k")]].concat()).is_ok());
    }

    #[test]
    fn a_file_without_a_server_is_refused() {
        for (flag, typed) in [("kube-ca-file", ["/f", ""]), ("kube-token-file", ["", "/f"])] {
            let outcome = resolve(&flags("", typed[0], typed[1], ""), IN_CLUSTER);
            assert_eq!(outcome, Err(KubeError::FileWithoutServer { flag }));
        }
    }

    #[test]
    fn an_environment_that_is_no_host_and_port_is_refused() {
        let rows = [
            ("host with path", "10.0.0.1/x", "443", HOST_VARIABLE),
            ("host with user", "a@b", "443", HOST_VARIABLE),
            ("host with port", "10.0.0.1:1", "443", HOST_VARIABLE),
            ("port out of range", "10.0.0.1", "65536", PORT_VARIABLE),
            ("port 0", "10.0.0.1", "0", PORT_VARIABLE),
            ("port as url", "10.0.0.1", "tcp://10.0.0.1:443", PORT_VARIABLE),
        ];
        for (name, host, port, expected) in rows {
            match resolve(&KubeFlags::default(), &[(HOST_VARIABLE, host), (PORT_VARIABLE, port)]) {
                Err(KubeError::Environment { variable, .. }) => assert_eq!(variable, expected, "{name}"),
                other => panic!("{name} gave {other:?}"),
            }
        }
    }

    #[test]
    fn plain_http_is_for_loopback_hosts_only() {
        for url in [
            "http://127.0.0.1:8001",
            "http://127.1.2.3",
            "http://localhost",
            "HTTP://LOCALHOST:1",
            "http://[::1]:1",
        ] {
            assert!(ServerUrl::parse(url).is_ok(), "{url}");
        }
        for url in [
            "http://10.0.0.1:8001",
            "http://localhost.example",
            "http://127.0.0.1.example",
            "http://127.1",
            "http://2130706433",
            "http://[fd00::1]",
            "http://0.0.0.0",
            "http://[::]",
        ] {
            assert_eq!(ServerUrl::parse(url), Err(KubeError::PlainHttp { url: url.to_owned() }), "{url}");
        }
    }

    #[test]
    fn a_url_holds_scheme_host_port_and_path_and_nothing_else() {
        let good = [
            ("https://api", "https://api"),
            ("https://api:6443/", "https://api:6443"),
            ("HTTPS://api/k8s/clusters/c-1/", "https://api/k8s/clusters/c-1"),
            ("https://[fd00::1]:6443", "https://[fd00::1]:6443"),
        ];
        for (text, url) in good {
            assert_eq!(ServerUrl::parse(text).unwrap().as_str(), url);
        }
        for url in [
            "",
            "api:6443",
            "https://",
            "https:///x",
            "ftp://api",
            "unix:///x",
            "https://user@api",
            "http://localhost@example.com",
            "http://localhost\\@example.com",
            "http://localhost#@example.com",
            "https://api?x=1",
            "https://api/x?y",
            "https://api/x#y",
            "https://api:0",
            "https://api:",
            "https://api:+1",
            "https://api:1:2",
            "https://fd00::1",
            "https://[fd00::1",
            "https://[fd00::1]x",
            "https://[api]",
            "https://a b",
            "https://api/a b",
            "https://api\r\nHost: x",
        ] {
            assert_eq!(ServerUrl::parse(url), Err(KubeError::Url { url: url.to_owned() }), "{url:?}");
        }
    }
}
