//! What a program's ELF headers say of how it was built.

use std::path::Path;

use object::Endianness;
use object::elf::{
    DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DF_TEXTREL, DT_FLAGS, DT_FLAGS_1, DT_RPATH, DT_RUNPATH, DynamicTag,
    ET_DYN, FileHeader64, FileType, PF_W, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_LOAD, ProgramFlags,
    ProgramHeader64, ProgramType,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};

type Header = FileHeader64<Endianness>;

/// What is looked at: the program headers and the entries of the dynamic section.
pub struct Elf {
    kind: FileType,
    segments: Vec<Segment>,
    dynamic: Vec<(DynamicTag, u64)>,
}

/// What one of its segments is, and how it is mapped.
pub struct Segment {
    kind: ProgramType,
    flags: ProgramFlags,
}

impl Elf {
    /// Reads a program's headers.
    pub fn of(program: &Path) -> Elf {
        let bytes = std::fs::read(program).unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let header = Header::parse(&*bytes).expect("it is an ELF file of 64 bits");
        let endian = header.endian().expect("it says so");
        let segments = header.program_headers(endian, &*bytes).expect("it has segments");
        let dynamic =
            segments.iter().find_map(|segment| segment.dynamic(endian, &*bytes).expect("it can be read"));
        Elf {
            kind: header.e_type(endian),
            segments: segments.iter().map(|segment| Segment::of(segment, endian)).collect(),
            dynamic: dynamic
                .unwrap_or_default()
                .iter()
                .map(|entry| (entry.d_tag(endian), entry.d_val(endian)))
                .collect(),
        }
    }

    /// The segments of a kind.
    pub fn segments(&self, kind: ProgramType) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.kind == kind)
    }

    /// The bits of an entry of the dynamic section, none where it is not there.
    fn bits(&self, tag: DynamicTag) -> u64 {
        self.dynamic.iter().filter(|(found, _)| *found == tag).fold(0, |bits, (_, value)| bits | value)
    }

    /// True where the dynamic section has such an entry.
    pub fn has(&self, tag: DynamicTag) -> bool {
        self.dynamic.iter().any(|(found, _)| *found == tag)
    }

    /// It runs at an address that nobody can guess.
    pub fn assert_is_loaded_anywhere(&self, why: &str) {
        assert_eq!(self.kind, ET_DYN, "{why}");
        assert_ne!(self.bits(DT_FLAGS_1) & DF_1_PIE.0, 0, "{why}");
        assert_eq!(self.bits(DT_FLAGS) & DF_TEXTREL.0, 0, "{why}");
    }

    /// Its tables of addresses are read-only once it runs: all of them are filled in before it does.
    pub fn assert_binds_everything_first(&self, why: &str) {
        assert_eq!(self.segments(PT_GNU_RELRO).count(), 1, "{why}");
        let now = self.bits(DT_FLAGS) & DF_BIND_NOW.0 | self.bits(DT_FLAGS_1) & DF_1_NOW.0;
        assert_ne!(now, 0, "{why}: bound lazily, so a part of the tables stays writable");
    }

    /// Nothing of it can be written and run, its stack least of all.
    pub fn assert_is_writable_or_executable(&self, why: &str) {
        assert!(self.segments(PT_LOAD).count() > 1, "{why}");
        assert!(!self.segments(PT_LOAD).any(|segment| segment.is(PF_W) && segment.is(PF_X)), "{why}");
        let stacks: Vec<&Segment> = self.segments(PT_GNU_STACK).collect();
        assert!(matches!(stacks[..], [stack] if !stack.is(PF_X)), "{why}");
    }

    /// No library is looked for where the program says.
    pub fn assert_names_no_directory(&self, why: &str) {
        for (name, tag) in [("rpath", DT_RPATH), ("runpath", DT_RUNPATH)] {
            assert!(!self.has(tag), "{why}: {name}");
        }
    }
}

impl Segment {
    fn of(segment: &ProgramHeader64<Endianness>, endian: Endianness) -> Segment {
        Segment { kind: segment.p_type(endian), flags: segment.p_flags(endian) }
    }

    fn is(&self, flag: ProgramFlags) -> bool {
        self.flags.0 & flag.0 != 0
    }
}
