//! An image archive in the OCI layout, unpacked.

use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::output;

/// The archive; its directory is gone when this is dropped.
pub struct Archive(tempfile::TempDir);

impl Archive {
    /// Unpacks it.
    pub fn open(file: &Path) -> Archive {
        let directory = tempfile::tempdir().expect("a temporary directory");
        output(
            "tar",
            ["--extract".as_ref(), "--file".as_ref(), file, "--directory".as_ref(), directory.path()],
        );
        Archive(directory)
    }

    /// `<system>/<architecture>` of each image in it.
    pub fn platforms(&self) -> Vec<String> {
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        let name = |image: &Value| {
            let platform = &image["platform"];
            format!("{}/{}", text(&platform["os"]), text(&platform["architecture"]))
        };
        self.images().iter().map(name).collect()
    }

    /// The configuration of the image of an architecture.
    pub fn configuration(&self, architecture: &str) -> Value {
        self.document(&self.manifest(architecture)["config"])
    }

    /// The files of its layers.
    pub fn layers(&self, architecture: &str) -> Vec<PathBuf> {
        let manifest = self.manifest(architecture);
        manifest["layers"].as_array().expect("a list").iter().map(|layer| self.file(layer)).collect()
    }

    fn manifest(&self, architecture: &str) -> Value {
        let images = self.images();
        let image = images.iter().find(|image| image["platform"]["architecture"] == architecture);
        self.document(image.expect("it has the architecture"))
    }

    fn images(&self) -> Vec<Value> {
        let index = parsed(&self.0.path().join("index.json"));
        let [whole] = &index["manifests"].as_array().expect("a list")[..] else {
            panic!("more than one image")
        };
        self.document(whole)["manifests"].as_array().expect("a list").clone()
    }

    fn document(&self, descriptor: &Value) -> Value {
        parsed(&self.file(descriptor))
    }

    /// The file that a descriptor names, whose digest and size are as it says.
    fn file(&self, descriptor: &Value) -> PathBuf {
        let digest = descriptor["digest"].as_str().and_then(|digest| digest.strip_prefix("sha256:"));
        let digest = digest.expect("a digest");
        let file = self.0.path().join("blobs/sha256").join(digest);
        assert!(output("sha256sum", [&file]).starts_with(digest), "{} is something else", file.display());
        assert_eq!(descriptor["size"], std::fs::metadata(&file).expect("it is there").len());
        file
    }
}

fn parsed(file: &Path) -> Value {
    serde_json::from_slice(&std::fs::read(file).expect("it is there")).expect("it is JSON")
}
