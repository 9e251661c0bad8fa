//! PEM, certificates and keys, and the content of Secrets made of them: what comes out is taken again as it is, and no
//! byte of a file is in an error.

use std::collections::{BTreeMap, BTreeSet};

use base::secret::SecretBytes;
use sync::data::{DataError, data};
use sync::pem::{self, Headers};
use sync::secret_object::{DataItem, SecretObject};
use sync::tls::{TlsError, certificates, private_key};

use crate::input::Input;
use crate::text::assert_is_harmless;

pub fn check(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    match input.below(3) {
        0 => file(input.rest()),
        1 => written(&mut input),
        _ => content(&mut input),
    }
}

fn file(text: &[u8]) {
    let blocks: Vec<_> = pem::blocks(text).collect();
    let decoded: usize = blocks.iter().filter_map(|block| block.decode()).map(|bytes| bytes.len()).sum();
    assert!(decoded <= text.len());
    let count = blocks.iter().filter(|block| block.label() == b"CERTIFICATE").count();
    match certificates(text) {
        Ok(found) => {
            let found = found.expose();
            assert!(count > 0);
            assert_eq!(pem::blocks(found).count(), count);
            let [before, after] = [text, found].map(|text| {
                let blocks = pem::blocks(text).filter(|block| block.label() == b"CERTIFICATE");
                blocks.map(|block| block.decode().unwrap().to_vec()).collect::<Vec<_>>()
            });
            assert_eq!(before, after);
            assert!(certificates(found).is_ok_and(|again| again.expose() == found), "not taken again");
        }
        Err(error) => {
            refused(&error);
            assert_eq!(matches!(error, TlsError::BrokenCertificate { .. }), count > 0);
        }
    }
    match private_key(text) {
        Ok(found) => {
            let found = found.expose();
            let blocks: Vec<_> = pem::blocks(found).collect();
            assert_eq!(blocks.len(), 1);
            assert!(matches!(blocks[0].label(), b"RSA PRIVATE KEY" | b"EC PRIVATE KEY"));
            is_written_by_us(found);
            assert!(private_key(found).is_ok_and(|again| again.expose() == found), "not taken again");
        }
        Err(error) => refused(&error),
    }
    // The last key counts, whatever is before it.
    let behind = [text, b"\n", LAST].concat();
    assert!(private_key(&behind).is_ok_and(|last| last.expose() == LAST), "the last key is not found");
}

/// The errors are fixed texts but for a number.
fn refused(error: &TlsError) {
    let text = error.to_string();
    assert_is_harmless(&text, 200);
    if let TlsError::BrokenCertificate { position } = error {
        assert_eq!(
            text,
            format!("certificate {position} of the file is damaged: it does not end or is not base64")
        );
    }
}

/// Lines of 64 characters of base64 between the two that say what they are.
fn is_written_by_us(text: &[u8]) {
    let lines: Vec<_> = text.strip_suffix(b"\n").unwrap().split(|byte| *byte == b'\n').collect();
    assert!(lines.len() >= 3 && lines[0].starts_with(b"-----BEGIN "));
    let (last, full) = lines[1..lines.len() - 1].split_last().unwrap();
    assert!(full.iter().all(|line| line.len() == 64) && (1..=64).contains(&last.len()));
    assert!(text.is_ascii());
}

/// Any bytes under any label, there and back.
fn written(input: &mut Input<'_>) {
    let label = input.text().replace(|c: char| c.is_control(), "").trim_end().to_owned();
    let names: Vec<_> = (0..input.below(4)).map(|_| (input.text(), input.text())).collect();
    let of_line = |text: &str| text.replace(['\n', '\r', '-'], "");
    let names: Vec<_> = names
        .iter()
        .map(|(name, value)| (of_line(&name.replace(':', "")), of_line(value)))
        .map(|(name, value)| (name.trim_ascii().to_owned(), value.trim_ascii().to_owned()))
        .collect();
    let headers: Headers<'_> =
        names.iter().map(|(name, value)| (name.as_bytes(), value.as_bytes())).collect();
    let bytes = input.part();
    let text = pem::encode(&label, &headers, bytes);
    assert_eq!(text.capacity(), text.len(), "the buffer has grown");
    let blocks: Vec<_> = pem::blocks(&text).collect();
    assert_eq!(blocks.len(), 1);
    assert_eq!((blocks[0].label(), blocks[0].headers()), (label.as_bytes(), headers));
    // A block for nothing is none.
    assert_eq!(
        blocks[0].decode().map(|bytes| bytes.to_vec()),
        Some(bytes.to_vec()).filter(|b| !b.is_empty())
    );
}

/// A Secret made of files: each is read once, and all of its keys come or none.
fn content(input: &mut Input<'_>) {
    let kind = input.pick(&["Opaque", "kubernetes.io/tls", "kubernetes.io/basic-auth"]);
    let items: Vec<DataItem> = (0..=input.below(5))
        .map(|_| {
            let object = input.pick(&["a", "b", "gone", "broken", "large"]).to_owned();
            let key = match input.below(4) {
                0 => "tls.crt".to_owned(),
                1 => "tls.key".to_owned(),
                _ => input.text(),
            };
            DataItem { object, key }
        })
        .collect();
    let secret = SecretObject {
        name: "s".to_owned(),
        kind: kind.to_owned(),
        labels: BTreeMap::new(),
        annotations: BTreeMap::new(),
        data: items,
    };
    let (a, b) = (input.part().to_vec(), input.part().to_vec());
    let large = vec![b'x'; 300 * 1024];
    let mut read_files = BTreeSet::new();
    let made = data(&secret, |path| {
        assert!(read_files.insert(path.to_owned()), "{path} is read twice");
        match path {
            "a" => Ok(Some(SecretBytes::new(a.clone()))),
            "b" => Ok(Some(SecretBytes::new(b.clone()))),
            "large" => Ok(Some(SecretBytes::new(large.clone()))),
            "gone" => Ok(None),
            _ => Err("too bad"),
        }
    });
    let is_tls = kind == "kubernetes.io/tls";
    // Of two items with one key the last one counts.
    let sources: BTreeMap<_, _> =
        secret.data.iter().map(|item| (item.key.as_str(), item.object.as_str())).collect();
    match made {
        Ok(made) => {
            assert_eq!(made.keys().collect::<Vec<_>>(), sources.keys().collect::<Vec<_>>());
            assert!(made.values().all(|value| value.is_empty() == (value.len() == 0)));
            assert!(made.values().map(SecretBytes::len).sum::<usize>() <= 1024 * 1024);
            for (key, value) in made {
                let file = match sources[key.as_str()] {
                    "a" => &a,
                    "b" => &b,
                    _ => &large,
                };
                let expected = match key.as_str() {
                    "tls.crt" if is_tls => certificates(file).unwrap(),
                    "tls.key" if is_tls => private_key(file).unwrap(),
                    _ => SecretBytes::new(file.clone()),
                };
                assert!(value == expected, "{key}");
            }
        }
        Err(error) => {
            assert_is_harmless(&error.to_string(), 800);
            let holds = |object: &str| secret.data.iter().any(|item| item.object == object);
            let is_true = match &error {
                DataError::NoFile { object } => object == "gone" && holds("gone"),
                DataError::Read { object, source } => {
                    object == "broken" && holds("broken") && *source == "too bad"
                }
                DataError::NoTlsKey { key } => is_tls && key != "tls.crt" && key != "tls.key",
                DataError::Tls { .. } => is_tls,
                DataError::TooLarge { bytes } => *bytes > 1024 * 1024,
            };
            assert!(is_true, "{error}");
            if let DataError::Tls { source, .. } = &error {
                refused(source);
            }
        }
    }
}

/// A key as we write it.
const LAST: &[u8] = include_bytes!("../../tests/golden/tls/ec256.sec1.pem");
