//! Configuration of the reference provider.

use std::ffi::OsString;
use std::path::PathBuf;

use base::cli::{self, Flag, Kind};
use config::{BindAddress, ConfigError, Endpoint};

/// The provider's flags as typed.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct ProviderFlags {
    endpoint: String,
    control_addr: String,
    secrets_dir: String,
}

/// What the reference provider needs to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderConfig {
    /// Where the driver calls it.
    pub endpoint: Endpoint,
    /// The HTTP switches that tests turn; `None` when off.
    pub control_addr: Option<BindAddress>,
    /// Directory whose files are the secrets; `None` for the fixed set.
    pub secrets_dir: Option<PathBuf>,
    /// How many arguments came after the first that is no flag, itself included. They have no effect.
    pub ignored_arguments: usize,
}

impl ProviderConfig {
    /// Reads the arguments, the program's own name excluded.
    pub fn parse(args: impl IntoIterator<Item = OsString>) -> Result<ProviderConfig, ConfigError> {
        let parsed = cli::parse("e2e-provider", PROVIDER_FLAGS, args)?;
        let flags = parsed.flags;
        Ok(ProviderConfig {
            endpoint: Endpoint::parse(&flags.endpoint)?,
            control_addr: BindAddress::from_flag("control-addr", &flags.control_addr)?,
            secrets_dir: (!flags.secrets_dir.is_empty()).then(|| PathBuf::from(flags.secrets_dir)),
            ignored_arguments: parsed.rest.len(),
        })
    }
}

/// The provider's flag table.
pub const PROVIDER_FLAGS: &[Flag<ProviderFlags>] = &[
    Flag {
        name: "endpoint",
        kind: Kind::Text(|f| &mut f.endpoint),
        default: "unix:///tmp/e2e-provider.sock",
        help: "where to listen for the driver",
    },
    Flag {
        name: "control-addr",
        kind: Kind::Text(|f| &mut f.control_addr),
        default: ":8080",
        help: "address of the HTTP switches for tests, 0 for none",
    },
    Flag {
        name: "secrets-dir",
        kind: Kind::Text(|f| &mut f.secrets_dir),
        default: "",
        help: "directory whose files are served as secrets, instead of the fixed foo and fookey",
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    fn provider(args: &[&str]) -> Result<ProviderConfig, ConfigError> {
        ProviderConfig::parse(args.iter().map(OsString::from))
    }

    #[test]
    fn without_flags_the_provider_has_its_defaults() {
        let expected = ProviderConfig {
            endpoint: Endpoint::Unix(PathBuf::from("/tmp/e2e-provider.sock")),
            control_addr: BindAddress::parse(":8080"),
            secrets_dir: None,
            ignored_arguments: 0,
        };
        assert_eq!(provider(&[]), Ok(expected));
    }

    #[test]
    fn every_flag_of_the_provider_has_its_effect() {
        let args = ["--endpoint=unix://x", "--control-addr=0", "--secrets-dir", "/s", "left", "over"];
        let expected = ProviderConfig {
            endpoint: Endpoint::Unix(PathBuf::from("/x")),
            control_addr: None,
            secrets_dir: Some(PathBuf::from("/s")),
            ignored_arguments: 2,
        };
        assert_eq!(provider(&args), Ok(expected));
    }

    #[test]
    fn errors_of_the_provider_have_their_exit_codes() {
        let rows = [("--help", 0), ("--nope", 2), ("--endpoint=x", 255), ("--control-addr=x", 1)];
        for (arg, code) in rows {
            assert_eq!(provider(&[arg]).unwrap_err().exit_code(), code, "{arg}");
        }
    }
}
