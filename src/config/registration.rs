//! How kubelet is to learn of the driver: from a sidecar, or from the driver itself.

use std::path::PathBuf;

use super::{ConfigError, DriverFlags, Endpoint};

/// What the driver needs to register itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KubeletRegistration {
    /// Kubelet's directory of plugins as this process sees it; absolute.
    pub dir: PathBuf,
    /// Path of the CSI socket as kubelet sees it; absolute, and short enough for a socket.
    pub endpoint: String,
}

impl KubeletRegistration {
    /// `None` where a sidecar registers the driver.
    pub(super) fn resolve(
        flags: &DriverFlags,
        endpoint: &Endpoint,
    ) -> Result<Option<KubeletRegistration>, ConfigError> {
        let dir = flags.kubelet_registration_dir.as_str();
        if dir.is_empty() {
            return Ok(None);
        }
        let refused = |must: &str| Err(ConfigError::value("kubelet-registration-dir", dir, must));
        if !dir.starts_with('/') {
            return refused("be an absolute path");
        }
        let Endpoint::Unix(socket) = endpoint else {
            return refused("be left out with a tcp endpoint: kubelet calls unix sockets alone");
        };
        if flags.node_id.is_empty() {
            return Err(ConfigError::value(
                "nodeid",
                "",
                "not be empty: kubelet registers no driver without it",
            ));
        }
        if !is_registrable(&flags.driver_name) {
            let must = "be at most 63 letters, digits, \"-\" and \".\", beginning and ending with a letter or \
                        digit: kubelet registers no other name";
            return Err(ConfigError::value("drivername", &flags.driver_name, must));
        }
        let endpoint = match flags.kubelet_registration_path.as_str() {
            "" => socket.display().to_string(),
            path => path.to_owned(),
        };
        if !endpoint.starts_with('/') || endpoint.len() > MAX_SOCKET_PATH_BYTES {
            let must = format!(
                "be an absolute path of at most {MAX_SOCKET_PATH_BYTES} bytes, as that of any socket"
            );
            return Err(ConfigError::value("kubelet-registration-path", endpoint, must));
        }
        Ok(Some(KubeletRegistration { dir: PathBuf::from(dir), endpoint }))
    }
}

/// The names that the API server takes into a CSINode, which are also good names for a file.
fn is_registrable(name: &str) -> bool {
    let is_part = |part: &str| {
        let at_end = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
        let is_inner = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
        at_end(part.bytes().next()) && at_end(part.bytes().last()) && part.bytes().all(is_inner)
    };
    name.len() <= 63 && name.split('.').all(is_part)
}

/// The kernel's room for a socket's path, without the zero at its end.
const MAX_SOCKET_PATH_BYTES: usize = 107;

#[cfg(test)]
mod tests {
    use super::*;
    use std::ffi::OsString;

    fn resolve(args: &[&str]) -> Result<Option<KubeletRegistration>, String> {
        let usual = ["--endpoint=unix:///csi/csi.sock", "--nodeid=node-1"];
        let flags = DriverFlags::parse(usual.iter().chain(args).map(OsString::from)).unwrap().flags;
        let endpoint = Endpoint::parse(&flags.endpoint).unwrap();
        KubeletRegistration::resolve(&flags, &endpoint).map_err(|error| error.to_string())
    }

    const DIR: &str = "--kubelet-registration-dir=/registration";

    #[test]
    fn the_driver_registers_itself_only_where_the_directory_is_given() {
        assert_eq!(resolve(&[]), Ok(None));
        assert_eq!(resolve(&["--kubelet-registration-dir="]), Ok(None));
        assert_eq!(resolve(&["--kubelet-registration-path=/x", "--endpoint=tcp://localhost:1"]), Ok(None));
    }

    #[test]
    fn kubelet_is_told_the_path_on_its_own_side() {
        let of = |endpoint: &str| {
            Ok(Some(KubeletRegistration {
                dir: PathBuf::from("/registration"),
                endpoint: endpoint.to_owned(),
            }))
        };
        assert_eq!(resolve(&[DIR]), of("/csi/csi.sock"));
        let path = "/var/lib/kubelet/plugins/csi-secrets-store/csi.sock";
        assert_eq!(resolve(&[DIR, &format!("--kubelet-registration-path={path}")]), of(path));
    }

    #[test]
    fn what_kubelet_could_not_register_is_refused_at_the_start() {
        let long = |length: usize| format!("--kubelet-registration-path=/{}", "x".repeat(length - 1));
        assert!(resolve(&[DIR, &long(107)]).is_ok());
        let rows: [(&[&str], &str); 7] = [
            (&["--kubelet-registration-dir=registration"], "--kubelet-registration-dir=\"registration\""),
            (&[DIR, "--endpoint=tcp://127.0.0.1:1"], "be left out with a tcp endpoint"),
            (&[DIR, "--nodeid="], "--nodeid=\"\""),
            (&[DIR, "--drivername=a/../b"], "--drivername=\"a/../b\""),
            (&[DIR, "--kubelet-registration-path=csi.sock"], "--kubelet-registration-path=\"csi.sock\""),
            (&[DIR, &long(108)], "at most 107 bytes"),
            (&[DIR, &format!("--endpoint=unix:///{}", "x".repeat(107))], "at most 107 bytes"),
        ];
        for (args, text) in rows {
            let error = resolve(args).unwrap_err();
            assert!(error.contains(text), "{args:?}: {error}");
        }
    }

    #[test]
    fn a_drivers_name_is_one_that_a_csinode_takes() {
        for name in ["secrets-store.csi.k8s.io", "d", "9.A", &"x".repeat(63)] {
            assert!(is_registrable(name), "{name}");
        }
        for name in ["", ".", ".d", "d.", "a..b", "-a", "a-", "a_b", "a/b", "a b", "é", &"x".repeat(64)] {
            assert!(!is_registrable(name), "{name}");
        }
    }
}
