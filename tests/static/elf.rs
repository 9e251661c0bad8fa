//! What the programs' ELF headers say.

use object::elf::{DT_NEEDED, PT_INTERP};
use object::{Object, ObjectSection, ObjectSymbol};

use crate::{SHIPPED, architectures, built, read};
use kit::elf::Elf;

/// Architecture and name of every program that ships.
fn programs() -> impl Iterator<Item = (&'static str, &'static str)> {
    architectures().into_iter().flat_map(|architecture| SHIPPED.map(|(name, _)| (architecture, name)))
}

/// The same as files; `<architecture> <name>` says which.
fn elves() -> impl Iterator<Item = (String, Elf)> {
    programs().map(|(architecture, name)| {
        // Says what to do where it was not built.
        read(&built(architecture, name));
        (format!("{architecture} {name}"), Elf::of(&built(architecture, name)))
    })
}

#[test]
fn it_asks_for_no_loader_and_no_library() {
    for (which, elf) in elves() {
        assert_eq!(elf.segments(PT_INTERP).count(), 0, "{which}");
        assert!(!elf.has(DT_NEEDED), "{which}");
        elf.assert_names_no_directory(&which);
    }
}

#[test]
fn it_runs_at_an_address_that_nobody_can_guess() {
    elves().for_each(|(which, elf)| elf.assert_is_loaded_anywhere(&which));
}

#[test]
fn its_tables_of_addresses_are_read_only_once_it_runs() {
    elves().for_each(|(which, elf)| elf.assert_binds_everything_first(&which));
}

#[test]
fn nothing_of_it_can_be_written_and_run_and_its_stack_least_of_all() {
    elves().for_each(|(which, elf)| elf.assert_is_writable_or_executable(&which));
}

#[test]
fn it_is_stripped_and_its_names_and_lines_are_kept_beside_it() {
    for (architecture, name) in programs() {
        let (program, beside) =
            (read(&built(architecture, name)), read(&built(architecture, &format!("{name}.debug"))));
        let [program, beside] = [&program, &beside].map(|bytes| object::File::parse(&**bytes).unwrap());
        assert_eq!(program.symbols().count(), 0, "{architecture} {name}");
        assert!(program.section_by_name(".debug_info").is_none(), "{architecture} {name}");
        let main = |symbol: object::Symbol<'_, '_>| symbol.name() == Ok("main") && symbol.is_definition();
        assert!(beside.symbols().any(main), "{architecture} {name}: no names beside it");
        let lines = beside.section_by_name(".debug_line").expect("lines beside it");
        assert!(lines.size() > 100_000, "{architecture} {name}: {} bytes of lines", lines.size());
        // A debugger finds code by its address. At the end of the code is the compiler's own library, which Zig makes a
        // few instructions longer where symbols are kept; what comes before has the same addresses.
        let [code, twin] =
            [&program, &beside].map(|file| file.section_by_name(".text").expect("code has its section"));
        assert_eq!(code.address(), twin.address(), "{architecture} {name}");
        let difference = code.size().abs_diff(twin.size());
        assert!(difference <= 64, "{architecture} {name}: {difference} bytes");
    }
}

/// The compiler that links it has an allocator of its own, which keeps all memory that was ever in use, once for each
/// processor, and does not notice what is freed twice.
#[test]
fn its_allocator_is_that_of_musl_and_iconv_is_not_in_it() {
    for (architecture, name) in programs() {
        let beside = read(&built(architecture, &format!("{name}.debug")));
        let beside = object::File::parse(&*beside).unwrap();
        let has =
            |name: &str| beside.symbols().any(|symbol| symbol.is_definition() && symbol.name() == Ok(name));
        for symbol in ["__malloc_context", "__libc_malloc_impl", "malloc", "free"] {
            assert!(has(symbol), "{architecture} {name}: no {symbol}");
        }
        let others = ["SmpAllocator", "c.malloc."];
        let foreign = beside.symbols().filter_map(|symbol| symbol.name().ok());
        let foreign: Vec<_> =
            foreign.filter(|name| others.iter().any(|other| name.contains(other))).collect();
        assert!(foreign.is_empty(), "{architecture}: {foreign:?}");
        assert!(!has("iconv"), "{architecture}");
    }
}

#[test]
fn it_is_small() {
    for (architecture, (name, most)) in
        architectures().into_iter().flat_map(|architecture| SHIPPED.map(|program| (architecture, program)))
    {
        let bytes = read(&built(architecture, name)).len();
        println!("{architecture} {name}: {bytes} bytes");
        assert!(bytes <= most, "{architecture} {name}: {bytes} bytes");
    }
}

#[test]
fn nothing_in_it_names_the_machine_that_built_it() {
    let home = std::env::var("HOME").expect("a user has a home");
    let target = crate::static_directory();
    let target = target.parent().expect("it is in the target directory").display().to_string();
    let names = [kit::repository::ROOT.to_owned(), format!("{home}/.cargo"), target];
    for (architecture, program) in programs() {
        let bytes = read(&built(architecture, program));
        for name in &names {
            let found = bytes.windows(name.len()).position(|window| window == name.as_bytes());
            let text =
                found.map(|at| String::from_utf8_lossy(&bytes[at..(at + 120).min(bytes.len())]).into_owned());
            assert_eq!(text, None, "{architecture} {program}");
        }
    }
}
