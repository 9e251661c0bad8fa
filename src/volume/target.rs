//! The path on which kubelet wants a volume.

use std::fmt;
use std::path::{Component, Path, PathBuf};

use base::text::quotable;

/// An absolute, clean path, and how far it is to be trusted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetPath {
    text: String,
    /// Directory that is opened as it is; everything below it is opened without following a symlink.
    root: PathBuf,
    /// The part below `root`, at least one component.
    below: PathBuf,
    /// True when `root` is kubelet's pods directory as the administrator named it.
    confined: bool,
}

impl TargetPath {
    /// Takes any absolute path without `.`, `..` and double slashes; with a pods directory only one below it.
    pub fn parse(text: &str, pods_dir: Option<&Path>) -> Result<TargetPath, TargetError> {
        let refuse = |fault| Err(TargetError { path: text.to_owned(), fault });
        if text.len() > MAX_PATH_BYTES {
            return refuse(TargetFault::TooLong);
        }
        let path = Path::new(text);
        if !path.is_absolute() {
            return refuse(TargetFault::Relative);
        }
        // `components` silently drops `.` and empty components: compare with what it keeps.
        let clean: PathBuf = path.components().collect();
        let has_dots = path.components().any(|part| matches!(part, Component::ParentDir));
        if has_dots || clean.as_os_str() != path.as_os_str() || text.contains('\0') {
            return refuse(TargetFault::Unclean);
        }
        let (root, confined) = match pods_dir {
            Some(pods_dir) => (pods_dir, true),
            None => (Path::new("/"), false),
        };
        match path.strip_prefix(root) {
            Ok(below) if below.components().next().is_some() => Ok(TargetPath {
                text: text.to_owned(),
                root: root.to_owned(),
                below: below.to_owned(),
                confined,
            }),
            Ok(_) | Err(_) => {
                refuse(if confined { TargetFault::Outside(root.to_owned()) } else { TargetFault::Root })
            }
        }
    }

    /// The path as kubelet sent it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The directory to start from.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The components below [`TargetPath::root`].
    pub fn below(&self) -> &Path {
        &self.below
    }

    /// True when symlinks must not be followed on the way down.
    pub fn is_confined(&self) -> bool {
        self.confined
    }

    /// The pod's uid and the volume's name, when the path has the form that kubelet gives to the inline volumes
    /// of pods: `…/pods/<uid>/volumes/kubernetes.io~csi/<name>/mount`.
    pub fn kubelet_volume(&self) -> Option<KubeletVolume<'_>> {
        let mut parts = self.text.rsplit('/');
        let (mount, name, plugin, volumes, uid, pods) =
            (parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?, parts.next()?);
        let fits =
            mount == "mount" && plugin == "kubernetes.io~csi" && volumes == "volumes" && pods == "pods";
        (fits && !name.is_empty() && !uid.is_empty()).then_some(KubeletVolume { pod_uid: uid, name })
    }
}

/// What kubelet's own layout says about a target path.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KubeletVolume<'a> {
    /// The pod's uid.
    pub pod_uid: &'a str,
    /// The volume's name in the pod.
    pub name: &'a str,
}

impl fmt::Display for TargetPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A target path that is not taken, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TargetError {
    path: String,
    fault: TargetFault,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TargetFault {
    Outside(PathBuf),
    Relative,
    Root,
    TooLong,
    Unclean,
}

impl fmt::Display for TargetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Target path \"{}\" ", quotable(&self.path, 256))?;
        match &self.fault {
            TargetFault::Outside(pods) => write!(f, "is not below the pods directory {}", pods.display()),
            TargetFault::Relative => write!(f, "is not absolute"),
            TargetFault::Root => write!(f, "is the root directory"),
            TargetFault::TooLong => write!(f, "is longer than 4096 bytes"),
            TargetFault::Unclean => write!(f, "is not clean: it has '.', '..', '//' or a NUL byte"),
        }
    }
}

impl std::error::Error for TargetError {}

/// PATH_MAX of Linux.
const MAX_PATH_BYTES: usize = 4096;

#[cfg(test)]
mod tests {
    use super::*;

    const PODS: &str = "/var/lib/kubelet/pods";

    #[test]
    fn without_a_pods_directory_any_absolute_clean_path_is_taken() {
        for path in ["/tmp/csi/mount", "/a", "/var/lib/kubelet/pods/u/volumes/kubernetes.io~csi/v/mount"] {
            assert_eq!(TargetPath::parse(path, None).unwrap().as_str(), path);
        }
    }

    #[test]
    fn unclean_paths_are_refused_with_the_reason() {
        let long = format!("/{}", "a".repeat(5000));
        let cases = [
            ("relative/path", "is not absolute"),
            ("", "is not absolute"),
            ("/", "is the root directory"),
            ("/a/../b", "is not clean"),
            ("/a/./b", "is not clean"),
            ("/a//b", "is not clean"),
            ("/a/", "is not clean"),
            ("//a", "is not clean"),
            ("/a\0b", "is not clean"),
            (&long, "is longer"),
        ];
        for (path, why) in cases {
            let error = TargetPath::parse(path, None).unwrap_err().to_string();
            assert!(error.contains(why), "{path:?}: {error}");
        }
    }

    #[test]
    fn with_a_pods_directory_only_what_is_below_it_is_taken() {
        let pods = Some(Path::new(PODS));
        assert!(TargetPath::parse("/var/lib/kubelet/pods/u/v", pods).is_ok());
        for path in ["/etc", PODS, "/var/lib/kubelet/pods-evil/u", "/var/lib/kubelet/pods/../plugins"] {
            assert!(TargetPath::parse(path, pods).is_err(), "{path}");
        }
    }

    #[test]
    fn the_pod_and_the_volume_are_read_from_kubelets_layout_alone() {
        let of = |path: &str| {
            let target = TargetPath::parse(path, None).unwrap();
            target.kubelet_volume().map(|volume| format!("{} {}", volume.pod_uid, volume.name))
        };
        assert_eq!(
            of("/data/kubelet/pods/u1/volumes/kubernetes.io~csi/vol/mount").as_deref(),
            Some("u1 vol")
        );
        for path in [
            "/k/pods/u1/volumes/kubernetes.io~pv/vol/mount",
            "/k/pods/u1/volumes/kubernetesxio~csi/vol/mount",
            "/k/pods/u1/volumes/kubernetes.io~csi/vol",
            "/x/mount",
        ] {
            assert_eq!(of(path), None, "{path}");
        }
    }
}
