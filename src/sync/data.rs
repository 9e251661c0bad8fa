//! What a mirrored Secret holds: the bytes of the files that its class names, by key.
//!
//! Files are taken as they are, but for those of a certificate's Secret. Where they are read is the caller's business.
//! All of a Secret's data comes or none does: a Secret with half of its keys would look whole to who waits for it. No
//! byte of a file is ever part of an error.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fmt;

use base::secret::SecretBytes;
use base::text::printable;

use super::secret_object::SecretObject;
use super::tls::{self, TlsError};

/// Builds the data of one Secret; `read` answers the content of a file, or `None` when the volume has none of that
/// path. Each file is read once, however many keys it feeds; of two items with one key the last one counts.
///
/// # Errors
/// The first item that cannot be had, or a total that no API server takes.
pub fn data<E>(
    secret: &SecretObject,
    mut read: impl FnMut(&str) -> Result<Option<SecretBytes>, E>,
) -> Result<BTreeMap<String, SecretBytes>, DataError<E>> {
    let is_tls = secret.kind == TLS;
    let mut files: BTreeMap<&str, SecretBytes> = BTreeMap::new();
    let mut sources: BTreeMap<&str, &str> = BTreeMap::new();
    for item in &secret.data {
        if let Entry::Vacant(vacant) = files.entry(&item.object) {
            let file = read(&item.object)
                .map_err(|source| DataError::Read { object: shown(&item.object), source })?
                .ok_or_else(|| DataError::NoFile { object: shown(&item.object) })?;
            vacant.insert(file);
        }
        if is_tls && !TLS_KEYS.contains(&item.key.as_str()) {
            return Err(DataError::NoTlsKey { key: shown(&item.key) });
        }
        sources.insert(&item.key, &item.object);
    }
    // Before anything is copied: one file may feed any number of keys.
    if !is_tls {
        check_total(sources.values().filter_map(|source| files.get(source)))?;
    }
    let mut data = BTreeMap::new();
    for (key, object) in sources {
        // Every source was read above.
        let Some(file) = files.get(object) else { continue };
        let value = match key {
            TLS_CERTIFICATE if is_tls => tls::certificates(file.expose()),
            TLS_KEY if is_tls => tls::private_key(file.expose()),
            _ => Ok(file.clone()),
        };
        let value =
            value.map_err(|source| DataError::Tls { key: shown(key), object: shown(object), source })?;
        data.insert(key.to_owned(), value);
    }
    check_total(data.values())?;
    Ok(data)
}

fn check_total<'a, E>(values: impl Iterator<Item = &'a SecretBytes>) -> Result<(), DataError<E>> {
    let bytes = values.fold(0_usize, |total, value| total.saturating_add(value.len()));
    if bytes > LARGEST_SECRET_BYTES {
        return Err(DataError::TooLarge { bytes });
    }
    Ok(())
}

fn shown(text: &str) -> String {
    printable(text, LONGEST_SHOWN_BYTES)
}

/// Why a Secret's data cannot be had.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DataError<E> {
    /// The volume has no such file.
    NoFile {
        /// Path of the file, printable and bounded.
        object: String,
    },
    /// A Secret of type `kubernetes.io/tls` has two keys and no others.
    NoTlsKey {
        /// The key, printable and bounded.
        key: String,
    },
    /// The file cannot be read.
    Read {
        /// Path of the file, printable and bounded.
        object: String,
        /// What failed.
        source: E,
    },
    /// The file holds no certificates, or no key.
    Tls {
        /// The key that it is for, printable and bounded.
        key: String,
        /// Path of the file, printable and bounded.
        object: String,
        /// What is wrong with it.
        source: TlsError,
    },
    /// The API server takes no Secret of this size.
    TooLarge {
        /// Size of all values together.
        bytes: usize,
    },
}

impl<E: fmt::Display> fmt::Display for DataError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            DataError::NoFile { object } => {
                write!(f, "file matching objectName {object} not found in the pod")
            }
            DataError::NoTlsKey { key } => {
                write!(
                    f,
                    "key '{key}' is not supported. Only '{TLS_KEY}' and '{TLS_CERTIFICATE}' are supported"
                )
            }
            DataError::Read { object, source } => write!(f, "failed to read file {object}, err: {source}"),
            DataError::Tls { key, object, source } => {
                write!(f, "could not take {key} from file {object}: {source}")
            }
            DataError::TooLarge { bytes } => write!(
                f,
                "the data has {bytes} bytes and a Secret can have {LARGEST_SECRET_BYTES}: spread the files over \
                 several secretObjects"
            ),
        }
    }
}

impl<E: std::error::Error + 'static> std::error::Error for DataError<E> {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            DataError::Read { source, .. } => Some(source),
            DataError::Tls { source, .. } => Some(source),
            DataError::NoFile { .. } | DataError::NoTlsKey { .. } | DataError::TooLarge { .. } => None,
        }
    }
}

/// The one type of Secret whose content is looked into.
const TLS: &str = "kubernetes.io/tls";
const TLS_CERTIFICATE: &str = "tls.crt";
const TLS_KEY: &str = "tls.key";
const TLS_KEYS: [&str; 2] = [TLS_CERTIFICATE, TLS_KEY];
/// The API server's limit for all values of a Secret together.
const LARGEST_SECRET_BYTES: usize = 1024 * 1024;
/// Enough for every ordinary path; a class may hold texts of a megabyte.
const LONGEST_SHOWN_BYTES: usize = 253;

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::super::secret_object::DataItem;
    use super::*;

    fn object(kind: &str, data: &[(&str, &str)]) -> SecretObject {
        let item = |(object, key): &(&str, &str)| DataItem { object: (*object).into(), key: (*key).into() };
        SecretObject {
            name: "s".into(),
            kind: kind.into(),
            labels: BTreeMap::new(),
            annotations: BTreeMap::new(),
            data: data.iter().map(item).collect(),
        }
    }

    /// A volume whose files hold their own names.
    fn named(path: &str) -> Result<Option<SecretBytes>, Infallible> {
        Ok(Some(SecretBytes::new(path.into())))
    }

    fn texts(data: &BTreeMap<String, SecretBytes>) -> Vec<(&str, &str)> {
        data.iter().map(|(key, value)| (key.as_str(), str::from_utf8(value.expose()).unwrap())).collect()
    }

    #[test]
    fn values_are_the_files_as_they_are() {
        for kind in ["Opaque", "kubernetes.io/tlS", "kubernetes.io/basic-auth"] {
            let object = object(kind, &[("b/c", "x"), ("a", "tls.crt")]);
            assert_eq!(texts(&data(&object, named).unwrap()), [("tls.crt", "a"), ("x", "b/c")], "{kind}");
        }
        let bytes = (0..=255).collect::<Vec<u8>>();
        let read = |_: &str| Ok::<_, Infallible>(Some(SecretBytes::new(bytes.clone())));
        assert_eq!(data(&object("Opaque", &[("a", "x")]), read).unwrap()["x"].expose(), bytes);
    }

    #[test]
    fn of_two_items_with_one_key_the_last_one_counts() {
        let object = object("Opaque", &[("a", "x"), ("b", "x"), ("c", "y")]);
        assert_eq!(texts(&data(&object, named).unwrap()), [("x", "b"), ("y", "c")]);
    }

    #[test]
    fn a_file_is_read_once_however_often_it_is_used() {
        let mut reads = Vec::new();
        let object = object("Opaque", &[("a", "x"), ("b", "y"), ("a", "z"), ("a", "y")]);
        let data = data(&object, |path| {
            reads.push(path.to_owned());
            named(path)
        });
        assert_eq!(texts(&data.unwrap()), [("x", "a"), ("y", "a"), ("z", "a")]);
        assert_eq!(reads, ["a", "b"]);
    }

    #[test]
    fn the_first_item_that_cannot_be_had_ends_it() {
        let read = |path: &str| match path {
            "gone" => Ok(None),
            "broken" => Err("too bad"),
            _ => Ok(Some(SecretBytes::new(b"hunter2".to_vec()))),
        };
        let long = format!("gone{}", "\n".repeat(9_999));
        let table = [
            ("missing", "Opaque", ("gone", "x"), "file matching objectName gone not found in the pod"),
            ("unreadable", "Opaque", ("broken", "x"), "failed to read file broken, err: too bad"),
            (
                "no key of a certificate's Secret",
                "kubernetes.io/tls",
                ("there", "ca.crt"),
                "key 'ca.crt' is not supported. Only 'tls.key' and 'tls.crt' are supported",
            ),
        ];
        for (name, kind, item, text) in table {
            let error = data(&object(kind, &[item, ("gone", "tls.key")]), read).unwrap_err();
            assert_eq!(error.to_string(), text, "{name}");
        }
        let error = data(&object("Opaque", &[(&long, "x")]), |_| Ok::<_, Infallible>(None)).unwrap_err();
        assert!(error.to_string().len() < 400 && !error.to_string().contains('\n'));
        // What a later item of the same key replaces has to be there all the same.
        let replaced = data(&object("Opaque", &[("gone", "x"), ("there", "x")]), read);
        assert_eq!(replaced, Err(DataError::NoFile { object: "gone".into() }));
    }

    #[test]
    fn a_certificates_secret_holds_certificates_and_a_key() {
        const LEAF: &str = include_str!("../../tests/golden/tls/leaf.pem");
        const KEY: &str = include_str!("../../tests/golden/tls/ec384.pkcs8.pem");
        const SEC1: &str = include_str!("../../tests/golden/tls/ec384.sec1.pem");
        let read = |path: &str| {
            let text = match path {
                "bundle" => LEAF.to_owned() + KEY,
                path => path.to_owned(),
            };
            Ok::<_, Infallible>(Some(SecretBytes::new(text.into_bytes())))
        };
        let both = object("kubernetes.io/tls", &[("bundle", "tls.key"), ("bundle", "tls.crt")]);
        assert_eq!(texts(&data(&both, read).unwrap()), [("tls.crt", LEAF), ("tls.key", SEC1)]);
        let opaque = object("Opaque", &[("bundle", "tls.key")]);
        assert_eq!(texts(&data(&opaque, read).unwrap()), [("tls.key", &*(LEAF.to_owned() + KEY))]);
        let neither = object("kubernetes.io/tls", &[("bundle", "tls.crt"), ("garbage", "tls.key")]);
        let error = data(&neither, read).unwrap_err();
        assert_eq!(
            error.to_string(),
            "could not take tls.key from file garbage: the file has no private key in PEM"
        );
    }

    #[test]
    fn a_total_that_no_api_server_takes_is_told_before_it_is_sent() {
        let read = |path: &str| {
            let bytes = path.parse().unwrap();
            Ok::<_, Infallible>(Some(SecretBytes::new(vec![0; bytes])))
        };
        let fits = object("Opaque", &[("1048575", "x"), ("1", "y"), ("0", "z")]);
        assert_eq!(data(&fits, read).unwrap().len(), 3);
        let replaced = object("Opaque", &[("1048576", "x"), ("1048576", "x")]);
        assert_eq!(data(&replaced, read).unwrap().len(), 1);
        let shared = object("Opaque", &[("524288", "x"), ("524288", "y"), ("1", "z")]);
        let error = data(&shared, read).unwrap_err();
        assert_eq!(error, DataError::TooLarge { bytes: 1_048_577 });
        assert!(error.to_string().starts_with("the data has 1048577 bytes and a Secret can have 1048576"));
    }
}
