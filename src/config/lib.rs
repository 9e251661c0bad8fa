//! From command line and environment to types.
//!
//! Two steps. Reading the flags yields exactly what was typed and touches nothing outside. Resolving turns
//! that into a configuration in which every value is usable, or into an error that says what to change. The
//! environment is an argument of the second step; the rest of the program never reads it. Nothing here opens
//! a file or a socket.

#![cfg_attr(test, allow(clippy::disallowed_methods, reason = "tests set their own stage"))]

mod address;
mod driver;
mod driver_flags;
mod endpoint;
mod kube;
mod registration;
mod seccomp;
mod trust;

use std::fmt;

pub use self::address::BindAddress;
pub use self::driver::{DriverConfig, Invocation, LogSettings, Notice, Rotation};
pub use self::driver_flags::{DRIVER_FLAGS, DriverFlags};
pub use self::endpoint::{Endpoint, InvalidEndpoint};
pub use self::kube::{KubeError, KubeFlags, KubeSource, ServerUrl};
pub use self::registration::KubeletRegistration;
pub use self::seccomp::Seccomp;
pub use self::trust::{ProviderTrust, SocketCheck, SocketOwner};

use base::cli::CliError;

/// Why the program cannot start as configured.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfigError {
    /// Help was asked for, or the command line is wrong.
    Cli(CliError),
    /// The listen address is no endpoint.
    Endpoint(InvalidEndpoint),
    /// `--metrics-backend` names something other than Prometheus.
    MetricsBackend {
        /// The value of the flag.
        name: String,
    },
    /// A flag's value is readable but unusable.
    Value {
        /// Name of the flag, without dashes.
        flag: &'static str,
        /// What was typed.
        value: String,
        /// What it must be, to follow the word "must".
        must: String,
    },
    /// The API server cannot be determined.
    Kube(KubeError),
    /// A variable of the environment is missing.
    Variable {
        /// Its name.
        name: &'static str,
        /// Why it is needed.
        why: &'static str,
    },
    /// A word on the command line that is neither a flag nor a value of one.
    Argument {
        /// The word.
        argument: String,
    },
}

impl ConfigError {
    /// The process exit code: 0 for help, 2 for a wrong command line, 255 for a bad endpoint, 1 for the rest.
    pub fn exit_code(&self) -> u8 {
        match self {
            ConfigError::Cli(error) => error.exit_code(),
            ConfigError::Endpoint(_) => 255,
            ConfigError::Argument { .. } => 2,
            ConfigError::MetricsBackend { .. }
            | ConfigError::Value { .. }
            | ConfigError::Kube(_)
            | ConfigError::Variable { .. } => 1,
        }
    }

    /// That of a flag whose value is of no use; `must` follows that word.
    pub fn value(flag: &'static str, value: impl fmt::Display, must: impl Into<String>) -> ConfigError {
        ConfigError::Value { flag, value: value.to_string(), must: must.into() }
    }
}

/// The process environment, for `resolve`. Text that is not UTF-8 is passed on with marks in it, so that it
/// fails where it is used and not as if it were absent.
#[expect(clippy::disallowed_methods, reason = "here is where the environment is read")]
pub fn process_environment(name: &str) -> Option<String> {
    std::env::var_os(name).map(|value| value.to_string_lossy().into_owned())
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ConfigError::Cli(error) => error.fmt(f),
            ConfigError::Endpoint(error) => error.fmt(f),
            ConfigError::MetricsBackend { name } => {
                write!(f, "unsupported metrics backend {name:?}: the only one is Prometheus")
            }
            ConfigError::Value { flag, value, must } => {
                write!(f, "could not use flag --{flag}={value:?}: it must {must}")
            }
            ConfigError::Kube(error) => error.fmt(f),
            ConfigError::Variable { name, why } => {
                write!(f, "environment variable {name} must be set: {why}")
            }
            ConfigError::Argument { argument } => {
                write!(f, "could not use argument {argument:?}: only flags may follow start, see --help")
            }
        }
    }
}

impl std::error::Error for ConfigError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            ConfigError::Cli(error) => Some(error),
            ConfigError::Endpoint(error) => Some(error),
            ConfigError::Kube(error) => Some(error),
            ConfigError::MetricsBackend { .. }
            | ConfigError::Value { .. }
            | ConfigError::Variable { .. }
            | ConfigError::Argument { .. } => None,
        }
    }
}

impl From<CliError> for ConfigError {
    fn from(error: CliError) -> ConfigError {
        ConfigError::Cli(error)
    }
}

impl From<InvalidEndpoint> for ConfigError {
    fn from(error: InvalidEndpoint) -> ConfigError {
        ConfigError::Endpoint(error)
    }
}

impl From<KubeError> for ConfigError {
    fn from(error: KubeError) -> ConfigError {
        ConfigError::Kube(error)
    }
}

#[cfg(test)]
mod tests {
    use base::cli;

    use super::*;

    #[test]
    fn each_kind_of_error_has_its_exit_code() {
        let usage = || String::new();
        let rows = [
            ("help", ConfigError::Cli(CliError::Help { usage: usage() }), 0),
            (
                "usage",
                ConfigError::Cli(CliError::Usage {
                    problem: cli::Problem::NeedsArgument { name: "v" },
                    usage: usage(),
                }),
                2,
            ),
            ("endpoint", ConfigError::Endpoint(InvalidEndpoint { text: "x".into() }), 255),
            ("backend", ConfigError::MetricsBackend { name: "x".into() }, 1),
            ("value", ConfigError::value("v", 1, "be 2"), 1),
            ("kube", ConfigError::Kube(KubeError::NotFound), 1),
        ];
        for (name, error, code) in rows {
            assert_eq!(error.exit_code(), code, "{name}");
        }
    }
}
