//! Files as tools write them, and as somebody hostile would. The keys and certificates were made by OpenSSL for
//! these tests alone; what is expected of a conversion is what OpenSSL and Go both make of the same key.

use std::time::{Duration, Instant};

use super::*;

macro_rules! fixture {
    ($name:literal) => {
        include_bytes!(concat!("../../../tests/golden/tls/", $name)).as_slice()
    };
}

const CA: &[u8] = fixture!("ca.pem");
const LEAF: &[u8] = fixture!("leaf.pem");
const EC256: &[u8] = fixture!("ec256.pkcs8.pem");
const EC256_SEC1: &[u8] = fixture!("ec256.sec1.pem");
const EC384: &[u8] = fixture!("ec384.pkcs8.pem");
const EC384_SEC1: &[u8] = fixture!("ec384.sec1.pem");
const RSA: &[u8] = fixture!("rsa.pkcs8.pem");
const RSA_PKCS1: &[u8] = fixture!("rsa.pkcs1.pem");
const WITH_PARAMETERS: &[u8] = fixture!("ec256.with-parameters.pem");
const ENCRYPTED: &[u8] = fixture!("ec256.encrypted.pem");
const LEGACY_ENCRYPTED: &[u8] = fixture!("ec256.legacy-encrypted.pem");
const ED25519: &[u8] = fixture!("ed25519.pem");
const ARCHIVE: &[u8] = fixture!("archive.p12");

fn text(result: Result<SecretBytes, TlsError>) -> String {
    String::from_utf8(result.unwrap().expose().to_vec()).unwrap()
}

fn as_text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap()
}

fn joined(parts: &[&[u8]]) -> Vec<u8> {
    parts.concat()
}

/// The same lines as a Windows tool writes them.
fn crlf(file: &[u8]) -> Vec<u8> {
    as_text(file).replace('\n', "\r\n").into_bytes()
}

/// The same content under another label.
fn relabelled(file: &[u8], from: &str, to: &str) -> Vec<u8> {
    let changed = as_text(file).replace(&format!("{from}-----"), &format!("{to}-----"));
    assert_ne!(changed.as_bytes(), file);
    changed.into_bytes()
}

fn der(file: &[u8]) -> Vec<u8> {
    pem::blocks(file).last().unwrap().decode().unwrap().to_vec()
}

#[test]
fn a_key_comes_out_as_openssl_and_go_write_it() {
    let bundle = joined(&[LEAF, CA, EC384]);
    let key_first = joined(&[EC384, LEAF, CA]);
    let around = joined(&[b"Bag Attributes: x\n    localKeyID: 01\n", RSA, b"trailing text\n"]);
    let parameters =
        joined(&[b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"]);
    let table: &[(&str, &[u8], &[u8])] = &[
        ("P-256 in PKCS#8", EC256, EC256_SEC1),
        ("P-384 in PKCS#8", EC384, EC384_SEC1),
        ("RSA in PKCS#8", RSA, RSA_PKCS1),
        ("P-256 in SEC1", EC256_SEC1, EC256_SEC1),
        ("RSA in PKCS#1", RSA_PKCS1, RSA_PKCS1),
        ("CRLF", &crlf(RSA), RSA_PKCS1),
        ("behind certificates", &bundle, EC384_SEC1),
        ("before certificates", &key_first, EC384_SEC1),
        ("with text around", &around, RSA_PKCS1),
        ("before parameters", &joined(&[EC256, &parameters]), EC256_SEC1),
        ("the last of two", &joined(&[RSA, EC256]), EC256_SEC1),
        ("behind a broken certificate", &joined(&[b"-----BEGIN CERTIFICATE-----\n", EC256]), EC256_SEC1),
        ("PKCS#8 labelled as RSA", &relabelled(RSA, " PRIVATE KEY", " RSA PRIVATE KEY"), RSA_PKCS1),
        ("PKCS#8 labelled as EC", &relabelled(EC256, " PRIVATE KEY", " EC PRIVATE KEY"), EC256_SEC1),
        ("PKCS#1 labelled as PKCS#8", &relabelled(RSA_PKCS1, " RSA PRIVATE KEY", " PRIVATE KEY"), RSA_PKCS1),
        ("SEC1 labelled as PKCS#8", &relabelled(EC256_SEC1, " EC PRIVATE KEY", " PRIVATE KEY"), EC256_SEC1),
        ("PKCS#1 labelled as EC", &relabelled(RSA_PKCS1, " RSA PRIVATE KEY", " EC PRIVATE KEY"), RSA_PKCS1),
    ];
    for (name, file, expected) in table {
        assert_eq!(text(private_key(file)), as_text(expected), "{name}");
    }
    let behind = as_text(WITH_PARAMETERS).split_once("-----BEGIN EC PRIVATE KEY").unwrap().1;
    assert_eq!(text(private_key(WITH_PARAMETERS)), format!("-----BEGIN EC PRIVATE KEY{behind}"));
}

#[test]
fn a_public_key_in_the_wrapping_alone_is_kept() {
    let whole = der(EC256_SEC1);
    let whole = EcPrivateKey::from_der(&whole).unwrap();
    let curve = [0x06, 0x08, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07];
    let algorithm =
        [&[0x30, 0x13, 0x06, 0x07, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01][..], &curve].concat();
    let bare = [&[0x30, 0x25, 0x02, 0x01, 0x01, 0x04, 0x20], whole.private_key].concat();
    let public = [&[0x81, 0x42, 0x00], whole.public_key.unwrap()].concat();
    let wrapping = |version: u8, public: &[u8]| {
        let key = [&[0x04, 0x27], &bare[..]].concat();
        let content = [&[0x02, 0x01, version], &algorithm[..], &key, public].concat();
        let head: &[u8] = if content.len() < 0x80 { &[0x30] } else { &[0x30, 0x81] };
        [head, &[u8::try_from(content.len()).unwrap()], &content].concat()
    };
    let file = pem::encode("PRIVATE KEY", &Headers::new(), &wrapping(1, &public));
    assert_eq!(text(private_key(&file)), as_text(EC256_SEC1));

    // Nothing is computed with a key, so one that comes without its public key stays without.
    let file = pem::encode("PRIVATE KEY", &Headers::new(), &wrapping(0, &[]));
    let converted = private_key(&file).unwrap();
    let converted = der(converted.expose());
    let converted = EcPrivateKey::from_der(&converted).unwrap();
    assert_eq!(converted.private_key, whole.private_key);
    assert_eq!((converted.parameters, converted.public_key), (whole.parameters, None));
}

#[test]
fn certificates_come_out_in_order_and_alone() {
    let chain = as_text(LEAF).to_owned() + as_text(CA);
    let bundle = joined(&[b"subject=/CN=leaf\n", LEAF, EC384, b"issuer: x\n", CA, WITH_PARAMETERS]);
    for (name, file, expected) in [
        ("one", LEAF, as_text(LEAF)),
        ("two", chain.as_bytes(), &chain),
        ("CRLF", &crlf(chain.as_bytes()), &chain),
        ("a bundle", &bundle, &chain),
        ("behind a broken key", &joined(&[b"-----BEGIN PRIVATE KEY-----\n!\n", LEAF]), as_text(LEAF)),
    ] {
        assert_eq!(text(certificates(file)), expected, "{name}");
    }
    // One long line becomes lines of 64; headers stay.
    let (head, rest) = as_text(CA).split_once('\n').unwrap();
    let (body, tail) = rest.split_once("-----").unwrap();
    let line = body.replace('\n', "");
    let file = format!("{head}\nlocalKeyId:01 \n\n{line}\n-----{tail}");
    assert_eq!(text(certificates(file.as_bytes())), format!("{head}\nlocalKeyId: 01\n\n{body}-----{tail}"));
}

#[test]
fn what_gives_no_key_is_told_and_nothing_is_written() {
    let truncated = &RSA[..RSA.len() / 2];
    let garbage = pem::encode("PRIVATE KEY", &Headers::new(), b"hunter2");
    let longer = pem::encode("RSA PRIVATE KEY", &Headers::new(), &[&der(RSA_PKCS1)[..], b"x"].concat());
    let open_ssh = relabelled(&garbage, " PRIVATE KEY", " OPENSSH PRIVATE KEY");
    let no_curve = pem::encode("EC PRIVATE KEY", &Headers::new(), &[0x30, 0x06, 2, 1, 1, 4, 1, 7]);
    let table: &[(&str, &[u8], TlsError)] = &[
        ("empty", b"", TlsError::NoPrivateKey),
        ("text", b"hunter2", TlsError::NoPrivateKey),
        ("certificates alone", LEAF, TlsError::NoPrivateKey),
        ("DER", &der(RSA), TlsError::NoPrivateKey),
        ("a public key", &relabelled(RSA, " PRIVATE KEY", " PUBLIC KEY"), TlsError::NoPrivateKey),
        ("Ed25519", ED25519, TlsError::UnsupportedKey),
        ("encrypted", ENCRYPTED, TlsError::EncryptedKey),
        ("encrypted as of old", LEGACY_ENCRYPTED, TlsError::EncryptedKey),
        ("encrypted, CRLF", &crlf(LEGACY_ENCRYPTED), TlsError::EncryptedKey),
        ("encrypted behind one that is not", &joined(&[RSA, ENCRYPTED]), TlsError::EncryptedKey),
        ("garbage", &garbage, TlsError::BrokenKey),
        ("garbage behind a key", &joined(&[RSA, &garbage]), TlsError::BrokenKey),
        ("truncated", truncated, TlsError::BrokenKey),
        ("more behind the key", &longer, TlsError::BrokenKey),
        ("OpenSSH", &open_ssh, TlsError::BrokenKey),
        ("no curve", &no_curve, TlsError::NoCurve),
        ("PKCS#12", ARCHIVE, TlsError::Pkcs12),
    ];
    for (name, file, error) in table {
        assert_eq!(private_key(file), Err(error.clone()), "{name}");
        assert!(!error.to_string().contains("hunter2"));
    }
}

#[test]
fn what_gives_no_certificate_is_told_and_nothing_is_written() {
    let broken = joined(&[LEAF, &CA[..CA.len() / 2]]);
    let no_base64 = as_text(CA).replacen("MII", "M*I", 1);
    let table: &[(&str, &[u8], TlsError)] = &[
        ("empty", b"", TlsError::NoCertificate),
        ("a key alone", RSA, TlsError::NoCertificate),
        ("another label", &relabelled(CA, " CERTIFICATE", " TRUSTED CERTIFICATE"), TlsError::NoCertificate),
        ("a truncated chain", &broken, TlsError::BrokenCertificate { position: 2 }),
        ("no base64", no_base64.as_bytes(), TlsError::BrokenCertificate { position: 1 }),
        ("PKCS#12", ARCHIVE, TlsError::Pkcs12),
        ("PKCS#12 without a length", &[0x30, 0x80, 2, 1, 3, 0], TlsError::Pkcs12),
        ("DER of something else", &[0x30, 0x82, 0, 4, 2, 1, 0, 0], TlsError::NoCertificate),
        ("the begin of an archive", &[0x30, 0xff, 2, 1, 3], TlsError::NoCertificate),
    ];
    for (name, file, error) in table {
        assert_eq!(certificates(file), Err(error.clone()), "{name}");
    }
    let text = TlsError::BrokenCertificate { position: 2 }.to_string();
    assert_eq!(text, "certificate 2 of the file is damaged: it does not end or is not base64");
}

#[test]
fn megabytes_of_hostile_text_take_no_more_than_a_look_at_each_line() {
    let fill = |piece: &str| piece.repeat(4 * 1024 * 1024 / piece.len()).into_bytes();
    let table = [
        ("begins of keys", fill("-----BEGIN PRIVATE KEY-----\n")),
        ("begins of certificates", fill("-----BEGIN CERTIFICATE-----\n")),
        ("begins of something", fill("-----BEGIN A-----\n")),
        ("begins that are none", fill("-----BEGIN ")),
        ("ends", fill("-----END CERTIFICATE-----\n")),
        ("empty blocks", fill("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n")),
        ("blocks", fill("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")),
        ("keys", fill("-----BEGIN PRIVATE KEY-----\nMAAA\n-----END PRIVATE KEY-----\n")),
        ("headers", [&b"-----BEGIN PRIVATE KEY-----\n"[..], &fill("a:\n")].concat()),
        ("line ends", [&b"-----BEGIN CERTIFICATE-----"[..], &fill("\r\n")].concat()),
        ("one line", fill("A")),
    ];
    for (name, file) in table {
        let start = Instant::now();
        let (key, chain) = (private_key(&file), certificates(&file));
        // Four million lines looked at in turn take a fraction of a second; at each other, days.
        assert!(start.elapsed() < Duration::from_secs(20), "{name}: {:?}", start.elapsed());
        assert!(key.is_err() && chain.is_err() != (name == "blocks"), "{name}");
    }
    let headers = fill("-----BEGIN CERTIFICATE-----\na: b\n\nAAAA\n-----END CERTIFICATE-----\n");
    assert_eq!(certificates(&headers).unwrap().len(), headers.len());
}
