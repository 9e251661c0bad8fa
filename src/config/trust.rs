//! Which provider sockets are believed.

use std::collections::BTreeMap;

use super::{ConfigError, DriverFlags};

/// Who may listen on a provider's socket, and what becomes of one where somebody else might.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderTrust {
    /// What becomes of a socket that does not pass.
    pub check: SocketCheck,
    /// Uid of those providers that do not run as root.
    pub owners: BTreeMap<String, u32>,
}

/// What becomes of a provider's socket that does not pass.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SocketCheck {
    /// It is not called.
    #[default]
    Enforce,
    /// It is called, and the log says what is wrong.
    Warn,
    /// Nobody looks.
    Off,
}

impl ProviderTrust {
    pub(super) fn resolve(flags: &DriverFlags) -> Result<ProviderTrust, ConfigError> {
        let check = match flags.provider_socket_check.as_str() {
            "enforce" => SocketCheck::Enforce,
            "warn" => SocketCheck::Warn,
            "off" => SocketCheck::Off,
            other => {
                return Err(ConfigError::value("provider-socket-check", other, "be enforce, warn or off"));
            }
        };
        let owners = flags.provider_socket_owners.split(',').map(str::trim).filter(|pair| !pair.is_empty());
        let owners = owners.map(|pair| {
            let pinned = pair.split_once('=').and_then(|(name, uid)| {
                let is_name = !name.is_empty() && !name.contains(|letter: char| !may_be_in_a_name(letter));
                is_name.then_some((name.to_owned(), uid.parse().ok()?))
            });
            let must =
                "be pairs of a provider's name and its uid, such as gcp=1000, with commas between them";
            pinned.ok_or_else(|| {
                ConfigError::value("provider-socket-owners", &flags.provider_socket_owners, must)
            })
        });
        Ok(ProviderTrust { check, owners: owners.collect::<Result<_, _>>()? })
    }

    /// The uid that may listen as this provider.
    pub fn owner(&self, provider: &str) -> u32 {
        self.owners.get(provider).copied().unwrap_or(ROOT)
    }
}

/// What a typing error is not: a class's name for its provider has nothing else.
fn may_be_in_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

/// Who runs the providers that nobody said anything about.
const ROOT: u32 = 0;
