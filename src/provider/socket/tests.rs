//! Sockets that providers, and others, have placed. The tests change owners, as root in the sandbox may.

use std::fs::{self, Permissions};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::net::UnixListener;

use super::*;

/// A directory of provider sockets with one of them listening.
struct Providers {
    directory: tempfile::TempDir,
    _listener: UnixListener,
}

impl Providers {
    fn new() -> Providers {
        let directory = tempfile::tempdir().unwrap();
        fs::set_permissions(directory.path(), Permissions::from_mode(0o755)).unwrap();
        let listener = UnixListener::bind(directory.path().join("vault.sock")).unwrap();
        Providers { directory, _listener: listener }
    }

    fn socket(&self) -> PathBuf {
        self.directory.path().join("vault.sock")
    }

    fn look(&self, trust: &ProviderTrust) -> Look {
        ProviderSocket::look(&ProviderName::parse("vault").unwrap(), &self.socket(), trust).unwrap()
    }

    #[track_caller]
    fn assert_refused(&self, trust: &ProviderTrust, why: &str) {
        let Look::Distrusted(distrust) = self.look(trust) else { panic!("not refused: {why}") };
        assert!(distrust.to_string().contains(why), "{distrust}");
        for check in [SocketCheck::Warn, SocketCheck::Off] {
            let relaxed = ProviderTrust { check, ..trust.clone() };
            assert!(matches!(self.look(&relaxed), Look::Good(_)), "relaxed: {why}");
        }
    }
}

fn pinned(name: &str, uid: u32) -> ProviderTrust {
    ProviderTrust::default().naming(name, uid)
}

#[test]
fn a_socket_of_root_in_a_directory_of_root_is_called() {
    let providers = Providers::new();
    let Look::Good(socket) = providers.look(&ProviderTrust::default()) else { panic!() };
    assert_eq!(socket.path(), providers.socket());
    // Whatever has the path later, calls go to what was looked at.
    fs::rename(providers.socket(), providers.directory.path().join("elsewhere")).unwrap();
    let _thief = UnixListener::bind(providers.socket()).unwrap();
    std::os::unix::net::UnixStream::connect(socket.address()).unwrap();
    providers._listener.set_nonblocking(true).unwrap();
    providers._listener.accept().expect("the look itself");
    providers._listener.accept().expect("the call");
}

#[test]
fn a_socket_that_another_uid_owns_is_refused_unless_it_is_pinned() {
    let providers = Providers::new();
    chown(providers.socket(), Some(1000), None).unwrap();
    providers.assert_refused(&ProviderTrust::default(), "belongs to uid 1000");
    providers.assert_refused(&pinned("gcp", 1000), "belongs to uid 1000");
    // This process listens, as root.
    providers.assert_refused(&pinned("vault", 1000), "a process of uid 0 listens there");
}

#[test]
fn a_directory_that_others_could_write_to_is_refused() {
    let providers = Providers::new();
    for mode in [0o777, 0o775, 0o1777, 0o757] {
        fs::set_permissions(providers.directory.path(), Permissions::from_mode(mode)).unwrap();
        providers.assert_refused(&ProviderTrust::default(), "others than its owner can write");
    }
    fs::set_permissions(providers.directory.path(), Permissions::from_mode(0o755)).unwrap();
    chown(providers.directory.path(), Some(3000), None).unwrap();
    providers.assert_refused(&ProviderTrust::default(), "the directory belongs to uid 3000");
    // A provider that runs as 3000 has to own it; the others are protected by the owner of their sockets.
    assert!(matches!(providers.look(&pinned("own", 3000)), Look::Good(_)));
    chown(providers.directory.path(), Some(1000), None).unwrap();
    assert!(matches!(providers.look(&ProviderTrust::default()), Look::Good(_)), "that of a known deployment");
}

#[test]
fn a_symlink_is_refused_even_to_a_good_socket() {
    let providers = Providers::new();
    fs::rename(providers.socket(), providers.directory.path().join("real.sock")).unwrap();
    symlink("real.sock", providers.socket()).unwrap();
    providers.assert_refused(&ProviderTrust::default(), "a symlink");
}

#[test]
fn what_is_no_socket_is_refused() {
    let providers = Providers::new();
    fs::remove_file(providers.socket()).unwrap();
    fs::write(providers.socket(), "").unwrap();
    let Look::Distrusted(distrust) = providers.look(&ProviderTrust::default()) else { panic!() };
    assert!(distrust.to_string().contains("no socket"), "{distrust}");
}

#[test]
fn a_socket_on_which_nobody_listens_is_absent_and_no_fault() {
    let providers = Providers::new();
    let path = providers.socket();
    drop(providers._listener);
    let name = ProviderName::parse("vault").unwrap();
    let look = ProviderSocket::look(&name, &path, &ProviderTrust::default()).unwrap();
    assert!(matches!(look, Look::Absent));
}
