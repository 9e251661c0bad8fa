//! How much a volume holds: so many files of such a size.

use std::fmt;

use serde_json::Value;

/// Files of one size.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape {
    /// How many.
    pub files: usize,
    /// Bytes of each.
    pub bytes: usize,
}

/// Those that are measured, the smallest first.
pub const SHAPES: [Shape; 5] = [
    Shape::of(1, KIB),
    Shape::of(2, KIB),
    Shape::of(20, KIB),
    Shape::of(1, 1024 * KIB),
    Shape::of(1, 4096 * KIB),
];

impl Shape {
    /// What most volumes hold, and every volume where nothing else is said.
    pub const USUAL: Shape = Shape::of(2, KIB);

    const fn of(files: usize, bytes: usize) -> Shape {
        Shape { files, bytes }
    }

    /// The class that asks for it.
    pub fn class(self) -> String {
        format!("shape-{}", self.parameter())
    }

    /// The value of a class's parameter [`PARAMETER`].
    pub fn parameter(self) -> String {
        format!("{}x{}", self.files, self.bytes)
    }

    /// What the attributes of a mount request ask for.
    pub fn asked(attributes: &str) -> Shape {
        let attributes: Value = serde_json::from_str(attributes).expect("attributes are JSON");
        let Some(parameter) = attributes.get(PARAMETER).and_then(Value::as_str) else { return Shape::USUAL };
        let shape = SHAPES.into_iter().find(|shape| shape.parameter() == parameter);
        shape.expect("the classes are the benchmark's own")
    }
}

impl fmt::Display for Shape {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let files = if self.files == 1 { "file" } else { "files" };
        match self.bytes / KIB {
            kib @ ..1024 => write!(f, "{} {files} of {kib} KiB", self.files),
            kib => write!(f, "{} {files} of {} MiB", self.files, kib / 1024),
        }
    }
}

/// The parameter of a class that says how much the provider answers.
pub const PARAMETER: &str = "shape";
const KIB: usize = 1024;
