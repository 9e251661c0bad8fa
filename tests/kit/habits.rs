//! The habits of real providers, each by a name of its own: scripts for a provider in this process. What they keep is
//! in a [`Store`], which a test changes.

use std::collections::BTreeMap;
use std::hash::{DefaultHasher, Hash, Hasher};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

use rpc::pb::provider as pb;
use rpc::status::{Code, Status};

use super::random::Random;

/// Secrets by the names of their files.
#[derive(Clone, Default)]
pub struct Store(Arc<Mutex<BTreeMap<String, String>>>);

/// What a provider answers.
pub type Answered = Result<pb::MountResponse, Status>;

impl Store {
    /// A store with these secrets.
    pub fn holding(secrets: &[(&str, &str)]) -> Store {
        let store = Store::default();
        for (name, content) in secrets {
            store.set(name, content);
        }
        store
    }

    /// Sets a secret.
    pub fn set(&self, name: &str, content: &str) {
        self.0.lock().unwrap().insert(name.to_owned(), content.to_owned());
    }

    /// Takes a secret away.
    pub fn remove(&self, name: &str) {
        self.0.lock().unwrap().remove(name);
    }

    fn all(&self) -> Vec<(String, String)> {
        self.0.lock().unwrap().iter().map(|(name, content)| (name.clone(), content.clone())).collect()
    }
}

/// An ordinary provider: files and versions, in the order of names.
pub fn ordinary(store: &Store) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let store = store.clone();
    move |_| Ok(files_and_versions(&store.all()))
}

/// AWS: objects and files come in the order of a Go map, which is another each time.
pub fn in_random_order(store: &Store) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let (store, random) = (store.clone(), Mutex::new(Random::new(1)));
    move |_| {
        let mut answer = files_and_versions(&store.all());
        let mut random = random.lock().unwrap();
        for last in (1..answer.object_version.len()).rev() {
            let other = random.index(last + 1);
            answer.object_version.swap(last, other);
            answer.files.swap(last, other);
        }
        Ok(answer)
    }
}

/// AWS in its default mode: writes the files through a mount of its own, where they are not what they should be, and
/// answers their versions in an order of chance.
pub fn writing_itself(store: &Store) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let (store, shuffled) = (store.clone(), in_random_order(store));
    move |request| {
        for (name, content) in store.all() {
            let path = Path::new(&request.target_path).join(&name);
            if std::fs::read_to_string(&path).ok().as_deref() != Some(&content) {
                std::fs::create_dir_all(path.parent().expect("it is below the target")).unwrap();
                std::fs::write(&path, content).unwrap();
            }
        }
        let mut answer = shuffled(request)?;
        answer.files.clear();
        Ok(answer)
    }
}

/// AWS: begins its answer with the versions that it was sent, whatever has become of these objects.
pub fn starting_from_the_versions_sent(
    store: &Store,
) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let store = store.clone();
    move |request| {
        let mut answer = files_and_versions(&store.all());
        let sent = request.current_object_version.into_iter();
        let new = |sent: &pb::ObjectVersion| answer.object_version.iter().all(|object| object.id != sent.id);
        let kept: Vec<_> = sent.filter(new).collect();
        answer.object_version.extend(kept);
        Ok(answer)
    }
}

/// AWS where the driver writes, and Alibaba: an object whose current version it was sent is read back from the target,
/// not fetched.
pub fn reading_back(store: &Store) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let store = store.clone();
    move |request| {
        let mut secrets = store.all();
        for (name, content) in &mut secrets {
            if request.current_object_version.iter().any(|sent| sent.id == id_of(name)) {
                *content = std::fs::read_to_string(Path::new(&request.target_path).join(&*name))
                    .map_err(|_| Status::new(Code::Internal, "could not read the current object"))?;
            }
        }
        Ok(files_and_versions(&secrets))
    }
}

/// Azure and GCP: one object under two paths is answered twice. The first time its version is an old one here, so that
/// it matters which counts.
pub fn repeating_an_id(store: &Store) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let store = store.clone();
    move |_| {
        let mut answer = files_and_versions(&store.all());
        let mut earlier = answer.object_version.clone();
        for object in &mut earlier {
            object.version = "of another path".to_owned();
        }
        earlier.append(&mut answer.object_version);
        answer.object_version = earlier;
        Ok(answer)
    }
}

/// Conjur: the version of everything is "1" for ever.
pub fn never_changing_its_version(
    store: &Store,
) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let store = store.clone();
    move |_| Ok(with_versions(files_and_versions(&store.all()), |_| "1".to_owned()))
}

/// A version that is made anew for each answer.
pub fn changing_its_version_each_time(
    store: &Store,
) -> impl Fn(pb::MountRequest) -> Answered + Send + Sync + 'static {
    let (store, answers) = (store.clone(), AtomicU64::new(0));
    move |_| {
        let answer = answers.fetch_add(1, Ordering::SeqCst);
        Ok(with_versions(files_and_versions(&store.all()), |_| format!("answer-{answer}")))
    }
}

/// A provider whose store did not answer in time, and which says so at once and with the code for it.
pub fn answering_a_deadline_of_its_own(_: pb::MountRequest) -> Answered {
    Err(Status::new(Code::DeadlineExceeded, STORE_IS_LATE))
}

/// What that provider says.
pub const STORE_IS_LATE: &str =
    "store: context deadline exceeded while waiting for connections to become ready";

/// Whose object a file is.
pub fn id_of(name: &str) -> String {
    format!("secret/{name}")
}

fn files_and_versions(secrets: &[(String, String)]) -> pb::MountResponse {
    let version = |content: &str| {
        let mut hasher = DefaultHasher::new();
        content.hash(&mut hasher);
        format!("{:016x}", hasher.finish())
    };
    let object = |(name, content): &(String, String)| pb::ObjectVersion {
        id: id_of(name),
        version: version(content),
        ..Default::default()
    };
    let file = |(name, content): &(String, String)| pb::File {
        path: name.clone(),
        mode: 0o644,
        contents: content.clone().into_bytes(),
        ..Default::default()
    };
    pb::MountResponse {
        object_version: secrets.iter().map(object).collect(),
        files: secrets.iter().map(file).collect(),
        ..Default::default()
    }
}

fn with_versions(mut answer: pb::MountResponse, version: impl Fn(&str) -> String) -> pb::MountResponse {
    for object in &mut answer.object_version {
        object.version = version(&object.id);
    }
    answer
}
