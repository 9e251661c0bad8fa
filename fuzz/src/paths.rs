//! File paths of providers, target paths of kubelet, names of providers: against a second opinion on what is clean,
//! and no accepted one leads out.

use std::path::{Component, Path};

use provider::name::ProviderName;
use volume::file_path::FilePath;
use volume::target::TargetPath;

use crate::input::Input;
use crate::text::assert_is_harmless;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let (path, pods_dir, between) = (input.text(), input.text(), input.text());
    file_path(&path);
    target_path(&path, None);
    // A directory that no administrator can have named is no case.
    let is_clean = is_clean_absolute(&pods_dir) || pods_dir == "/";
    let pods_dir = if is_clean { pods_dir } else { "/var/lib/kubelet/pods".to_owned() };
    target_path(&path, Some(&pods_dir));
    target_path(&format!("{pods_dir}/{between}"), Some(&pods_dir));
    target_path(&format!("{pods_dir}{between}"), Some(&pods_dir));
    kubelet_volume(&path, &between);
    provider_name(&path);
}

/// What a file of a volume may be called.
pub fn is_file_path(path: &str) -> bool {
    path.len() <= 4096
        && !path.starts_with("..")
        && !path.contains('\0')
        && path.split('/').all(|part| !matches!(part, "" | "." | "..") && part.len() <= 255)
}

fn file_path(text: &str) {
    let path = match FilePath::parse(text) {
        Ok(path) => path,
        Err(error) => {
            assert!(!is_file_path(text), "{text:?} is refused: {error}");
            // Escapes take up to ten bytes a character.
            return assert_is_harmless(&error.to_string(), 128 * 10 + 100);
        }
    };
    assert!(is_file_path(text), "{text:?} is taken");
    assert!(Path::new(text).components().all(|part| matches!(part, Component::Normal(_))), "{text:?}");
    assert_eq!((path.as_str(), path.to_string().as_str()), (text, text));
    let parts: Vec<_> = path.components().collect();
    assert_eq!(parts.join("/"), text);
    assert_eq!(path.first(), parts[0]);
    let (above, own) = path.split();
    assert_eq!(own, parts[parts.len() - 1]);
    assert_eq!(Path::new(above).join(own), Path::new(text));
    let ancestors: Vec<_> = path.ancestors().collect();
    assert_eq!(ancestors.len(), parts.len() - 1);
    let mut before = "";
    for (ancestor, part) in ancestors.into_iter().zip(parts) {
        assert!(
            text.starts_with(ancestor) && Path::new(before).join(part) == Path::new(ancestor),
            "{ancestor}"
        );
        before = ancestor;
    }
    assert_eq!(before, above);
}

fn is_clean_absolute(path: &str) -> bool {
    let Some(parts) = path.strip_prefix('/') else { return false };
    path.len() <= 4096
        && !path.contains('\0')
        && parts.split('/').all(|part| !matches!(part, "" | "." | ".."))
}

fn target_path(text: &str, pods_dir: Option<&str>) {
    // As text: a directory of pods is a prefix that ends where a name ends.
    let inside = match pods_dir {
        None | Some("/") => true,
        Some(pods_dir) => text.strip_prefix(pods_dir).is_some_and(|below| below.starts_with('/')),
    };
    let is_good = is_clean_absolute(text) && inside;
    let target = match TargetPath::parse(text, pods_dir.map(Path::new)) {
        Ok(target) => target,
        Err(error) => {
            assert!(!is_good, "{text:?} below {pods_dir:?} is refused: {error}");
            let pods_dir = pods_dir.unwrap_or_default();
            if !pods_dir.chars().any(char::is_control) {
                assert_is_harmless(&error.to_string(), 256 * 10 + pods_dir.len() + 100);
            }
            return;
        }
    };
    assert!(is_good, "{text:?} below {pods_dir:?} is taken");
    assert_eq!((target.as_str(), target.to_string().as_str()), (text, text));
    assert_eq!(target.is_confined(), pods_dir.is_some());
    assert_eq!(target.root(), Path::new(pods_dir.unwrap_or("/")));
    assert_eq!(target.root().join(target.below()), Path::new(text));
    let mut below = target.below().components().peekable();
    assert!(below.peek().is_some() && below.all(|part| matches!(part, Component::Normal(_))), "{text:?}");
    if let Some(volume) = target.kubelet_volume() {
        let end = format!("pods/{}/volumes/kubernetes.io~csi/{}/mount", volume.pod_uid, volume.name);
        assert!(
            text.ends_with(&end) && !volume.pod_uid.contains('/') && !volume.name.contains('/'),
            "{text:?}"
        );
    }
}

fn kubelet_volume(uid: &str, name: &str) {
    let text = format!("/k/pods/{uid}/volumes/kubernetes.io~csi/{name}/mount");
    let is_name = |name: &str| is_clean_absolute(&format!("/{name}")) && !name.contains('/');
    if is_name(uid) && is_name(name) && text.len() <= 4096 {
        let target = TargetPath::parse(&text, Some(Path::new("/k/pods"))).unwrap();
        let volume = target.kubelet_volume().unwrap();
        assert_eq!((volume.pod_uid, volume.name), (uid, name));
    }
}

fn provider_name(text: &str) {
    match ProviderName::parse(text) {
        Ok(name) => {
            assert_eq!((name.as_str(), name.to_string().as_str()), (text, text));
            assert!(
                (1..=30).contains(&text.len()) && is_file_path(text) && !text.contains(['/', '.']),
                "{text:?}"
            );
        }
        Err(error) => {
            assert_is_harmless(&error.to_string(), 64 * 10 + 100);
            assert!(error.name().chars().count() <= 64);
            let is_word = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
            assert!(text.is_empty() || text.len() > 30 || !text.chars().all(is_word), "{text:?} is refused");
        }
    }
}
