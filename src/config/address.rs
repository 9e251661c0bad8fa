//! The address of a plain HTTP listener in Go's notation, where the host may be left out.

use std::net::Ipv6Addr;

use super::ConfigError;

/// `host:port` with a numeric port. Without a host it means every interface.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BindAddress {
    host: String,
    port: u16,
}

impl BindAddress {
    /// Reads `host:port`, `[v6]:port` or `:port`. `None` where the text is none of these.
    pub fn parse(text: &str) -> Option<BindAddress> {
        let (host, port) = text.rsplit_once(':')?;
        if !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let port = port.parse().ok()?;
        let is_good_host = match host.strip_prefix('[') {
            Some(rest) => rest.strip_suffix(']').is_some_and(|address| address.parse::<Ipv6Addr>().is_ok()),
            None => host.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'-')),
        };
        is_good_host.then(|| BindAddress { host: host.to_owned(), port })
    }

    /// The address that a flag names, `None` for "0".
    ///
    /// # Errors
    /// It is neither.
    pub fn from_flag(flag: &'static str, text: &str) -> Result<Option<BindAddress>, ConfigError> {
        if text == "0" {
            return Ok(None);
        }
        let must = "be <host>:<port> with a numeric port, :<port>, or 0 for none";
        BindAddress::parse(text).map(Some).ok_or_else(|| ConfigError::value(flag, text, must))
    }

    /// The port; 0 lets the kernel choose.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// True when no host was given, so that a listener may fall back to IPv4 where IPv6 is off.
    pub fn is_every_interface(&self) -> bool {
        self.host.is_empty()
    }

    /// What to hand to a listener: `:8095` becomes `[::]:8095`, which takes IPv4 connections too.
    pub fn listen_addr(&self) -> String {
        let host = if self.is_every_interface() { "[::]" } else { &self.host };
        format!("{host}:{}", self.port)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_become_what_a_listener_takes() {
        let rows = [
            (":8095", "[::]:8095", true),
            ("127.0.0.1:8095", "127.0.0.1:8095", false),
            ("0.0.0.0:0", "0.0.0.0:0", false),
            ("localhost:8095", "localhost:8095", false),
            ("[::1]:8095", "[::1]:8095", false),
            ("[::]:8095", "[::]:8095", false),
        ];
        for (text, listen, is_every_interface) in rows {
            let address = BindAddress::parse(text).unwrap();
            assert_eq!(address.listen_addr(), listen, "{text}");
            assert_eq!(address.is_every_interface(), is_every_interface, "{text}");
        }
        assert_eq!(BindAddress::parse(":8095").unwrap().port(), 8095);
    }

    #[test]
    fn what_names_no_host_and_port_is_refused() {
        for text in
            ["", "8095", ":", "localhost", "localhost:", ":http", ":65536", ":+1", "::1:80", "[x]:1", "a/b:1"]
        {
            assert_eq!(BindAddress::parse(text), None, "{text}");
        }
    }
}
