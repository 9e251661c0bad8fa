//! What the programs' ELF headers say.

use std::path::Path;

use object::elf::{
    DF_1_NOW, DF_1_PIE, DF_BIND_NOW, DF_TEXTREL, DT_FLAGS, DT_FLAGS_1, DT_NEEDED, DT_RPATH, DT_RUNPATH,
    DynamicTag, ET_DYN, FileHeader64, FileType, PF_W, PF_X, PT_GNU_RELRO, PT_GNU_STACK, PT_INTERP, PT_LOAD,
    ProgramFlags, ProgramHeader64, ProgramType,
};
use object::read::elf::{Dyn, FileHeader, ProgramHeader};
use object::{Endianness, Object, ObjectSection, ObjectSymbol};

use crate::{ARCHITECTURES, DRIVER, built, read};

type Header = FileHeader64<Endianness>;

/// What is looked at: the program headers and the entries of the dynamic section.
struct Elf {
    kind: FileType,
    segments: Vec<Segment>,
    dynamic: Vec<(DynamicTag, u64)>,
}

struct Segment {
    kind: ProgramType,
    flags: ProgramFlags,
}

impl Elf {
    fn of(program: &Path) -> Elf {
        let bytes = read(program);
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

    fn segments(&self, kind: ProgramType) -> impl Iterator<Item = &Segment> {
        self.segments.iter().filter(move |segment| segment.kind == kind)
    }

    /// The bits of an entry of the dynamic section, none where it is not there.
    fn bits(&self, tag: DynamicTag) -> u64 {
        self.dynamic.iter().filter(|(found, _)| *found == tag).fold(0, |bits, (_, value)| bits | value)
    }

    fn has(&self, tag: DynamicTag) -> bool {
        self.dynamic.iter().any(|(found, _)| *found == tag)
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

fn drivers() -> impl Iterator<Item = (&'static str, Elf)> {
    ARCHITECTURES.into_iter().map(|architecture| (architecture, Elf::of(&built(architecture, DRIVER))))
}

#[test]
fn it_asks_for_no_loader_and_no_library() {
    for (architecture, elf) in drivers() {
        assert_eq!(elf.segments(PT_INTERP).count(), 0, "{architecture}");
        for (name, tag) in [("needed", DT_NEEDED), ("rpath", DT_RPATH), ("runpath", DT_RUNPATH)] {
            assert!(!elf.has(tag), "{architecture}: {name}");
        }
    }
}

#[test]
fn it_runs_at_an_address_that_nobody_can_guess() {
    for (architecture, elf) in drivers() {
        assert_eq!(elf.kind, ET_DYN, "{architecture}");
        assert_ne!(elf.bits(DT_FLAGS_1) & DF_1_PIE.0, 0, "{architecture}");
        assert_eq!(elf.bits(DT_FLAGS) & DF_TEXTREL.0, 0, "{architecture}");
    }
}

#[test]
fn its_tables_of_addresses_are_read_only_once_it_runs() {
    for (architecture, elf) in drivers() {
        assert_eq!(elf.segments(PT_GNU_RELRO).count(), 1, "{architecture}");
        let now = elf.bits(DT_FLAGS) & DF_BIND_NOW.0 | elf.bits(DT_FLAGS_1) & DF_1_NOW.0;
        assert_ne!(now, 0, "{architecture}: bound lazily, so a part of the tables stays writable");
    }
}

#[test]
fn nothing_of_it_can_be_written_and_run_and_its_stack_least_of_all() {
    for (architecture, elf) in drivers() {
        assert!(elf.segments(PT_LOAD).count() > 1, "{architecture}");
        assert!(!elf.segments(PT_LOAD).any(|segment| segment.is(PF_W) && segment.is(PF_X)), "{architecture}");
        let stacks: Vec<&Segment> = elf.segments(PT_GNU_STACK).collect();
        assert!(matches!(stacks[..], [stack] if !stack.is(PF_X)), "{architecture}");
    }
}

#[test]
fn it_is_stripped_and_its_names_and_lines_are_kept_beside_it() {
    for architecture in ARCHITECTURES {
        let (program, beside) =
            (read(&built(architecture, DRIVER)), read(&built(architecture, &format!("{DRIVER}.debug"))));
        let [program, beside] = [&program, &beside].map(|bytes| object::File::parse(&**bytes).unwrap());
        assert_eq!(program.symbols().count(), 0, "{architecture}");
        assert!(program.section_by_name(".debug_info").is_none(), "{architecture}");
        let main = |symbol: object::Symbol<'_, '_>| symbol.name() == Ok("main") && symbol.is_definition();
        assert!(beside.symbols().any(main), "{architecture}: no names beside it");
        let lines = beside.section_by_name(".debug_line").expect("lines beside it");
        assert!(lines.size() > 100_000, "{architecture}: {} bytes of lines", lines.size());
        // A debugger finds code by its address. At the end of the code is the compiler's own library, which Zig makes a
        // few instructions longer where symbols are kept; what comes before has the same addresses.
        let [code, twin] =
            [&program, &beside].map(|file| file.section_by_name(".text").expect("code has its section"));
        assert_eq!(code.address(), twin.address(), "{architecture}");
        let difference = code.size().abs_diff(twin.size());
        assert!(difference <= 64, "{architecture}: {difference} bytes");
    }
}

#[test]
fn it_is_small() {
    for architecture in ARCHITECTURES {
        let bytes = read(&built(architecture, DRIVER)).len();
        println!("{architecture}: {bytes} bytes");
        assert!(bytes <= MOST_BYTES, "{architecture}: {bytes} bytes");
    }
}

#[test]
fn nothing_in_it_names_the_machine_that_built_it() {
    let home = std::env::var("HOME").expect("a user has a home");
    let target = crate::static_directory();
    let target = target.parent().expect("it is in the target directory").display().to_string();
    let names = [env!("CARGO_MANIFEST_DIR").to_owned(), format!("{home}/.cargo"), target];
    for architecture in ARCHITECTURES {
        let bytes = read(&built(architecture, DRIVER));
        for name in &names {
            let found = bytes.windows(name.len()).position(|window| window == name.as_bytes());
            let text =
                found.map(|at| String::from_utf8_lossy(&bytes[at..(at + 120).min(bytes.len())]).into_owned());
            assert_eq!(text, None, "{architecture}");
        }
    }
}

/// What the project aims at.
const MOST_BYTES: usize = 6 << 20;
