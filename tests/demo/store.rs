//! The secret store behind the provider: made-up secrets, or a copy of the user's directory.
//!
//! It knows what the store holds now, so that the story can tell what a pod has to see, and how the running
//! provider learns of a change: made-up secrets through its control endpoint, files by writing them.

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base::secret::SecretBytes;
use serde_json::{Value, json};

use crate::copy::Copy;
use kit::driver::DriverProcess;
use kit::objects;

/// Contents by object name.
pub type Objects = BTreeMap<String, SecretBytes>;

/// The store.
pub struct Store {
    objects: Objects,
    home: Home,
}

enum Home {
    /// In the provider's memory; the address of its control endpoint while it runs.
    Provider { control: Option<String> },
    /// In a copy of the user's directory.
    Directory(Copy),
}

impl Store {
    /// Secrets that open nothing.
    pub fn made_up() -> Store {
        let objects = objects_of(&MADE_UP);
        Store { objects, home: Home::Provider { control: None } }
    }

    /// The files of the user's directory, copied.
    pub fn copy_of(directory: &Path) -> Result<Store, String> {
        let copy = Copy::of(directory)?;
        let objects = copy.files().iter().map(|file| (file.path.clone(), file.contents.clone())).collect();
        Ok(Store { objects, home: Home::Directory(copy) })
    }

    /// What the store holds.
    pub fn objects(&self) -> &Objects {
        &self.objects
    }

    /// The user's directory, if that is what the secrets come from. Its contents must not be shown.
    pub fn user_copy(&self) -> Option<&Copy> {
        match &self.home {
            Home::Provider { .. } => None,
            Home::Directory(copy) => Some(copy),
        }
    }

    /// The flags of a provider of this store.
    pub fn provider_flags(&self) -> Vec<String> {
        match &self.home {
            Home::Provider { .. } => vec!["--control-addr=127.0.0.1:0".to_owned()],
            Home::Directory(copy) => {
                vec!["--control-addr=0".to_owned(), format!("--secrets-dir={}", copy.path().display())]
            }
        }
    }

    /// The parameters of a class that asks for everything in this store.
    pub fn parameters(&self) -> Value {
        match &self.home {
            Home::Provider { .. } => {
                objects::objects(&self.objects.keys().map(String::as_str).collect::<Vec<_>>())
            }
            // Without a list of objects the provider answers with all files.
            Home::Directory(_) => json!({"files": "all"}),
        }
    }

    /// Connects a provider that has just started.
    pub fn attach(&mut self, provider: &DriverProcess) {
        let Home::Provider { control } = &mut self.home else { return };
        let log = provider.log();
        let line = log.lines().find(|line| line.contains("serving switches")).unwrap_or_default();
        let address = line.split("address=\"").nth(1).and_then(|rest| rest.split('"').next());
        *control = Some(address.expect("the log names the address").to_owned());
        for (name, contents) in &self.objects {
            self.set(name, contents);
        }
    }

    /// The provider is gone; changes reach the next one.
    pub fn detach(&mut self) {
        if let Home::Provider { control } = &mut self.home {
            *control = None;
        }
    }

    /// Changes some secrets, for the first or the second time; returns which.
    pub fn change(&mut self, round: usize) -> Vec<String> {
        let news = match &self.home {
            Home::Provider { .. } => objects_of(&CHANGES[round]),
            Home::Directory(_) => {
                let is_full = |(_, contents): &(&String, &SecretBytes)| !contents.is_empty();
                let mut files = self.objects.iter();
                let first = files.clone().find(is_full).or_else(|| files.next());
                let contents = SecretBytes::new(format!("the demo's change {}\n", round + 1).into_bytes());
                first.map(|(name, _)| (name.clone(), contents)).into_iter().collect()
            }
        };
        for (name, contents) in &news {
            self.set(name, contents);
        }
        let names = news.keys().cloned().collect();
        self.objects.extend(news);
        names
    }

    /// Every value that a made-up secret has or had; nothing of the user's.
    pub fn every_value(&self) -> Vec<String> {
        let of_changes = CHANGES.iter().flatten();
        MADE_UP.iter().chain(of_changes).map(|(_, value)| (*value).to_owned()).collect()
    }

    fn set(&self, name: &str, contents: &SecretBytes) {
        match &self.home {
            Home::Provider { control: None } => {}
            Home::Provider { control: Some(address) } => {
                let (name, value) = (encoded(name.as_bytes()), encoded(contents.expose()));
                tell_provider(address, &format!("/contents?object={name}&value={value}"));
            }
            Home::Directory(copy) => copy.write(name, contents).expect("the copy can be written"),
        }
    }
}

fn objects_of(table: &[(&str, &str)]) -> Objects {
    let object =
        |(name, value): &(&str, &str)| ((*name).to_owned(), SecretBytes::new(value.as_bytes().to_vec()));
    table.iter().map(object).collect()
}

/// Turns a switch of the provider's control endpoint.
fn tell_provider(address: &str, page: &str) {
    let mut stream = TcpStream::connect(address).expect("the provider listens");
    write!(stream, "GET {page} HTTP/1.1\r\nHost: demo\r\nConnection: close\r\n\r\n").expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    assert!(answer.starts_with("HTTP/1.1 200 "), "the provider answered {answer:?}");
}

fn encoded(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("%{byte:02X}")).collect()
}

const MADE_UP: [(&str, &str); 3] =
    [("api-token", "made-up-token-4711"), ("db/password", "winter-was-long"), ("db/username", "shop-1")];
/// Name and password belong together: a pod that saw one of them new and the other old could not log in.
const CHANGES: [[(&str, &str); 2]; 2] = [
    [("db/password", "spring-has-come"), ("db/username", "shop-2")],
    [("db/password", "summer-at-last"), ("db/username", "shop-3")],
];
