//! What others than drivers did to what a class declares of a Secret, and who did it, as far as the API server notes
//! it. Pure.
//!
//! What the class does not declare is nobody's business here: it stays as it is, and whoever wrote it.

use std::fmt;
use std::sync::Arc;

use base::text::printable;
use kube::types::{OwnerReference, SecretMeta, Written};

use super::owners;
use super::plan::Desired;

/// Something of a Secret that is not as its class declares it, because of somebody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Edit {
    what: What,
    /// What the server calls who wrote it; none where it was removed, or where nobody is noted.
    by: Option<Arc<str>>,
    is_removed: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum What {
    Label(String),
    Annotation(String),
    Key(String),
    Owners,
}

/// True when others than drivers changed the content, or somebody took a key away.
pub fn is_edited(meta: &SecretMeta, desired: &Desired) -> bool {
    desired.data.keys().any(|key| !meta.writers.data.is_ours(key))
}

/// True when others than drivers wrote a key that is declared here. Where another class feeds the Secret, that a key is
/// missing tells nothing: that class need not have it.
pub fn is_overwritten(meta: &SecretMeta, desired: &Desired) -> bool {
    let written = &meta.writers.data;
    desired.data.keys().any(|key| !written.is_ours(key) && written.theirs.contains_key(key))
}

/// What others did to a Secret's labels and annotations, to its owners if one is known to have been taken off, and to
/// its content if that is this node's to put right: the first that is found.
pub fn find(
    meta: &SecretMeta,
    desired: &Desired,
    wanted_owners: &[OwnerReference],
    has_lost_owner: bool,
    is_content_edited: bool,
) -> Option<Edit> {
    let texts = [
        (&meta.labels, &desired.labels, &meta.writers.labels, What::Label as fn(String) -> What),
        (&meta.annotations, &desired.annotations, &meta.writers.annotations, What::Annotation),
    ];
    for (found, desired, written, what) in texts {
        let differs =
            |(name, value): &(&String, &String)| found.get(*name) != Some(*value) && !written.is_ours(name);
        if let Some((name, _)) = desired.iter().find(differs) {
            return Some(Edit::of(what, name, written, !found.contains_key(name)));
        }
    }
    if has_lost_owner && owners::merged(&meta.owners, wanted_owners).is_some() {
        return Some(Edit { what: What::Owners, by: None, is_removed: true });
    }
    let written = &meta.writers.data;
    let key = desired.data.keys().find(|key| is_content_edited && !written.is_ours(key))?;
    Some(Edit::of(What::Key, key, written, !written.theirs.contains_key(key)))
}

impl Edit {
    fn of(what: fn(String) -> What, name: &str, written: &Written, is_removed: bool) -> Edit {
        let by = written.theirs.get(name).filter(|_| !is_removed).map(Arc::clone);
        Edit { what: what(name.to_owned()), by, is_removed }
    }
}

impl fmt::Display for Edit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown = |name: &str| printable(name, LONGEST_SHOWN_BYTES);
        match &self.what {
            What::Label(name) => write!(f, "label {} is ", shown(name))?,
            What::Annotation(name) => write!(f, "annotation {} is ", shown(name))?,
            What::Key(key) => write!(f, "key {} is ", shown(key))?,
            What::Owners => f.write_str("an owner is ")?,
        }
        f.write_str(if self.is_removed { "removed by " } else { "set by " })?;
        match &self.by {
            Some(manager) => write!(f, "field manager \"{}\"", shown(manager)),
            None if self.is_removed => f.write_str("somebody (the API server does not note who removes)"),
            None => f.write_str("somebody whom the API server has not noted"),
        }
    }
}

/// Of a name that others chose.
const LONGEST_SHOWN_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use base::secret::SecretBytes;

    fn texts(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    }

    fn written(ours: &[&str], theirs: &[(&str, &str)]) -> Written {
        Written {
            ours: ours.iter().map(|name| (*name).to_owned()).collect(),
            theirs: theirs.iter().map(|(name, by)| ((*name).to_owned(), Arc::from(*by))).collect(),
        }
    }

    /// A Secret as the driver wrote it, with a key and a label of others beside.
    fn meta() -> SecretMeta {
        let mut meta = SecretMeta {
            labels: texts(&[("env", "test"), ("team", "blue")]),
            annotations: texts(&[("note", "x")]),
            ..SecretMeta::default()
        };
        meta.writers.data = written(&["pass"], &[("token", "token-controller")]);
        meta.writers.labels = written(&["env"], &[("team", "kubectl")]);
        meta.writers.annotations = written(&["note"], &[]);
        meta
    }

    fn desired() -> Desired {
        Desired {
            labels: texts(&[("env", "test")]),
            annotations: texts(&[("note", "x")]),
            data: BTreeMap::from([("pass".to_owned(), SecretBytes::default())]),
            ..Desired::default()
        }
    }

    fn told(change: impl FnOnce(&mut SecretMeta)) -> Option<String> {
        let mut meta = meta();
        change(&mut meta);
        find(&meta, &desired(), &[], false, is_edited(&meta, &desired())).map(|edit| edit.to_string())
    }

    #[test]
    fn what_the_class_does_not_declare_is_no_edit() {
        assert_eq!(told(|_| {}), None);
        assert_eq!(told(|meta| meta.writers.data.theirs = written(&[], &[("more", "x")]).theirs), None);
        assert_eq!(told(|meta| drop(meta.labels.remove("team"))), None);
    }

    #[test]
    fn who_changed_what_is_told_as_far_as_it_is_known() {
        type Row = (&'static str, fn(&mut SecretMeta));
        let table: [Row; 6] = [
            ("key pass is set by field manager \"reloader\"", |meta| {
                meta.writers.data = written(&[], &[("pass", "reloader")]);
            }),
            ("key pass is removed by somebody (the API server does not note who removes)", |meta| {
                meta.writers.data = written(&[], &[]);
            }),
            ("label env is set by field manager \"labeller\"", |meta| {
                meta.labels = texts(&[("env", "production")]);
                meta.writers.labels = written(&[], &[("env", "labeller")]);
            }),
            ("label env is removed by somebody (the API server does not note who removes)", |meta| {
                meta.labels.clear();
                meta.writers.labels = written(&[], &[]);
            }),
            ("annotation note is set by somebody whom the API server has not noted", |meta| {
                meta.annotations = texts(&[("note", "y")]);
                meta.writers.annotations = written(&[], &[]);
            }),
            ("key pass is set by field manager \"a\\nb\"", |meta| {
                meta.writers.data = written(&[], &[("pass", "a\nb")]);
            }),
        ];
        for (text, change) in table {
            assert_eq!(told(change).as_deref(), Some(text));
        }
    }

    #[test]
    fn what_a_driver_of_another_class_wrote_is_no_edit() {
        let other = |meta: &mut SecretMeta| {
            meta.labels = texts(&[("env", "production")]);
            meta.writers.data = written(&["pass", "user"], &[]);
        };
        assert_eq!(told(other), None);
        let mut of_another = meta();
        of_another.writers.data = written(&["user"], &[("token", "x")]);
        assert!(is_edited(&of_another, &desired()) && !is_overwritten(&of_another, &desired()));
        of_another.writers.data = written(&["user"], &[("pass", "x")]);
        assert!(is_overwritten(&of_another, &desired()));
        of_another.writers.data = written(&["pass"], &[("pass", "x")]);
        assert!(!is_overwritten(&of_another, &desired()), "both applied the same");
    }

    #[test]
    fn an_owner_that_was_taken_off_counts_if_it_is_wanted_here() {
        let owner = OwnerReference { uid: "u".into(), ..OwnerReference::default() };
        let wanted = std::slice::from_ref(&owner);
        let find = |has_lost| find(&meta(), &desired(), wanted, has_lost, false).map(|edit| edit.to_string());
        assert_eq!(find(false), None, "a new pod's");
        assert!(find(true).is_some_and(|text| text.starts_with("an owner is removed by somebody")));
        assert_eq!(super::find(&meta(), &desired(), &[], true, false), None);
    }
}
