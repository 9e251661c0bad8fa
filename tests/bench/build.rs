//! Which build of the driver is measured, and what the project wants of it.

use std::path::Path;

use object::{Object, ObjectSection};

use crate::report::Aim;

/// How the driver is linked.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Build {
    /// Against the C library of this machine, as `make build` does.
    Glibc,
    /// Against nothing, as `make static` does: what is shipped.
    Static,
}

impl Build {
    /// Looks at the program.
    pub fn of(program: &Path) -> Build {
        let bytes = std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let file = object::File::parse(&*bytes).expect("a program is an object file");
        let loader = file.section_by_name(".interp").map(|section| section.size());
        if loader.is_some() { Build::Glibc } else { Build::Static }
    }

    /// As it is named beside the figures.
    pub fn name(self) -> &'static str {
        match self {
            Build::Glibc => "glibc build",
            Build::Static => "static musl build",
        }
    }

    /// Most that an idle driver may have resident.
    pub fn idle(self) -> Aim {
        Aim::AtMost(if self == Build::Static { 6.0 } else { 10.0 })
    }

    /// Most that a driver may have resident that looks after 110 volumes.
    pub fn full_node(self) -> Aim {
        Aim::AtMost(if self == Build::Static { 8.0 } else { 12.0 })
    }

    /// Most that a driver may have resident that looks after 1,000 volumes.
    pub fn thousand(self) -> Aim {
        Aim::AtMost(if self == Build::Static { 16.0 } else { 24.0 })
    }
}
