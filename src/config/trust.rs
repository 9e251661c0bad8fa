//! Which provider sockets are believed.

use std::collections::BTreeMap;
use std::fmt;

use super::{ConfigError, DriverFlags};

/// Who may listen on a provider's socket, and what becomes of one where somebody else might.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ProviderTrust {
    /// What becomes of a socket that does not pass.
    pub check: SocketCheck,
    /// The uids that the administrator named, by provider.
    pub named: BTreeMap<String, u32>,
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

/// As whom a provider runs: the socket is his, and he listens on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SocketOwner {
    /// This uid and no other.
    Exactly(u32),
    /// Root, or the uid of a deployment that is known.
    RootOr(u32),
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
        let typed = &flags.provider_socket_owners;
        let refuse = |must: &str| Err(ConfigError::value("provider-socket-owners", typed, must));
        let mut trust = ProviderTrust { check, ..ProviderTrust::default() };
        for pair in typed.split(',').map(str::trim).filter(|pair| !pair.is_empty()) {
            let Some((name, uid)) = named(pair) else {
                let must =
                    "be pairs of a provider's name and its uid, such as gcp=1000, with commas between them";
                return refuse(must);
            };
            if trust.named.insert(name.to_owned(), uid).is_some() {
                return refuse(&format!("name each provider once: {name} has two entries"));
            }
        }
        Ok(trust)
    }

    /// The same, for a provider that runs as `uid` and nobody else.
    #[must_use]
    pub fn naming(mut self, provider: &str, uid: u32) -> ProviderTrust {
        self.named.insert(provider.to_owned(), uid);
        self
    }

    /// Who may own this provider's socket and listen on it.
    pub fn owner(&self, provider: &str) -> SocketOwner {
        if let Some(uid) = self.named.get(provider) {
            return SocketOwner::Exactly(*uid);
        }
        let known = KNOWN.iter().find(|(name, _)| *name == provider);
        known.map_or(SocketOwner::Exactly(ROOT), |(_, uid)| SocketOwner::RootOr(*uid))
    }

    /// True when a directory of provider sockets may belong to `uid`: to root, or to a provider that puts its socket
    /// there itself.
    pub fn may_own_directory(&self, uid: u32) -> bool {
        let is_known = |(name, _): &(&str, u32)| self.owner(name).admits(uid);
        uid == ROOT || self.named.values().any(|named| *named == uid) || KNOWN.iter().any(is_known)
    }
}

impl SocketOwner {
    /// True when `uid` is one of his.
    pub fn admits(self, uid: u32) -> bool {
        match self {
            SocketOwner::Exactly(named) => uid == named,
            SocketOwner::RootOr(known) => uid == ROOT || uid == known,
        }
    }
}

impl fmt::Display for SocketOwner {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            SocketOwner::Exactly(uid) => write!(f, "{uid}"),
            SocketOwner::RootOr(uid) => write!(f, "{ROOT} or {uid}"),
        }
    }
}

/// The provider and the uid of an entry.
fn named(pair: &str) -> Option<(&str, u32)> {
    let (name, uid) = pair.split_once('=')?;
    let is_name = !name.is_empty() && !name.contains(|letter: char| !may_be_in_a_name(letter));
    is_name.then_some((name, uid.parse().ok()?))
}

/// What a typing error is not: a class's name for its provider has nothing else.
fn may_be_in_a_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_' || letter == '-'
}

/// Who runs the providers that nobody said anything about.
const ROOT: u32 = 0;

/// Deployments that do not run as root, or not always, so that a cluster that has them needs no flag. Only a directory
/// that was given to such a uid lets a process of that uid place a socket at all.
const KNOWN: [(&str, u32); 3] = [
    // The first free uid of its Red Hat image, which adds a user without a number; root in its other image.
    ("conjur", 1000),
    // Its manifests since v1.5; root before.
    ("gcp", 1000),
    // HashiCorp's UBI image; root in the other one.
    ("vault", 65532),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn root_stands_beside_a_known_uid_and_alone_everywhere_else() {
        let trust = ProviderTrust::default();
        let rows = [
            ("gcp", vec![0, 1000]),
            ("vault", vec![0, 65532]),
            ("conjur", vec![0, 1000]),
            ("aws", vec![0]),
            ("GCP", vec![0]),
        ];
        for (name, admitted) in rows {
            let owner = trust.owner(name);
            let found: Vec<u32> =
                [0, 1, 1000, 65532, 65534].into_iter().filter(|uid| owner.admits(*uid)).collect();
            assert_eq!(found, admitted, "{name}");
        }
    }

    #[test]
    fn a_named_uid_replaces_its_own_providers_default_and_no_other() {
        let trust = ProviderTrust::default().naming("gcp", 0).naming("aws", 2000);
        assert_eq!(trust.owner("gcp"), SocketOwner::Exactly(0), "root alone");
        assert_eq!(trust.owner("aws"), SocketOwner::Exactly(2000), "and not root");
        assert_eq!(trust.owner("vault"), SocketOwner::RootOr(65532));
        assert_eq!(trust.owner("conjur"), SocketOwner::RootOr(1000));
    }

    #[test]
    fn a_directory_may_belong_to_whoever_a_provider_may_run_as() {
        let trust = ProviderTrust::default().naming("aws", 2000);
        for (uid, may) in [(0, true), (1000, true), (65532, true), (2000, true), (2001, false)] {
            assert_eq!(trust.may_own_directory(uid), may, "{uid}");
        }
        let root = trust.clone().naming("gcp", 0);
        assert!(root.may_own_directory(1000), "that of conjur");
        let root = root.naming("conjur", 0).naming("vault", 0).naming("aws", 0);
        for uid in [1000, 65532, 2000] {
            assert!(!root.may_own_directory(uid), "{uid}");
        }
    }
}
