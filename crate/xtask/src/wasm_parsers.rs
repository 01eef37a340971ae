//! Takes functions that nobody calls, and no linker can tell, out of a WebAssembly module.
//!
//! CubeCL's compiler registers each operation, type and attribute of its intermediate language together with a parser of
//! its text. Nothing in a browser's engine has such a text, or makes a stream to read one from; but what is registered is used,
//! as far as a linker knows, and a twentieth of the engine would be those parsers. Here their bodies become traps, and what
//! only they called is left to whoever collects garbage next.

use anyhow::{Context as _, Result, ensure};

/// What the names of parsers contain, all of a line.
const PARSERS: [&[&str]; 3] = [
    &[" as pliron::parsable::Parsable>::parse::"],
    &["<impl pliron::parsable::Parsable for ", ">::parse::"],
    &["pliron::op::canonical_syntax_parse"],
];
/// Bytes of a function that is what its name says. The compiler makes one of functions that are alike, with the name of any:
/// short ones may do more than parse.
const LEAST: usize = 128;

/// Sections and what is in them, as the specification numbers them.
const CUSTOM: u8 = 0;
const IMPORTS: u8 = 2;
const CODE: u8 = 10;
const FUNCTION_NAMES: u8 = 1;
const FUNCTION: u8 = 0;
/// The first eight bytes of every module.
const HEADER: usize = 8;
/// A function without locals: `unreachable`, `end`.
const TRAP: [u8; 4] = [3, 0, 0x00, 0x0b];

/// The module with traps in place of the parsers, and how many were replaced. It has the names of its functions.
pub fn trap(module: &[u8]) -> Result<(Vec<u8>, usize)> {
    ensure!(module.starts_with(b"\0asm"), "no WebAssembly module");
    let sections = sections(&module[HEADER..])?;
    let imported = match sections.iter().find(|(id, _)| *id == IMPORTS) {
        Some((_, imports)) => functions_imported(imports)?,
        None => 0,
    };
    let mut parsers = vec![];
    for (_, custom) in sections.iter().filter(|(id, _)| *id == CUSTOM) {
        parsers.extend(parsers_named(custom)?);
    }
    parsers.sort_unstable();
    let is_parser = |i: u32| parsers.binary_search(&(imported + i)).is_ok();
    let (mut out, mut count) = (module[..HEADER].to_vec(), 0);
    for (id, body) in sections {
        out.push(id);
        if id == CODE {
            let (code, traps) = with_traps(body, is_parser)?;
            write_bytes(&mut out, &code);
            count += traps;
        } else {
            write_bytes(&mut out, body);
        }
    }
    Ok((out, count))
}

fn sections(mut rest: &[u8]) -> Result<Vec<(u8, &[u8])>> {
    let mut sections = Vec::new();
    while !rest.is_empty() {
        sections.push((byte(&mut rest)?, bytes(&mut rest)?));
    }
    Ok(sections)
}

/// Functions are numbered from those on that are imported.
fn functions_imported(mut imports: &[u8]) -> Result<u32> {
    let count = number(&mut imports)?;
    for _ in 0..count {
        let (_module, name) = (bytes(&mut imports)?, bytes(&mut imports)?);
        let is_function = byte(&mut imports)? == FUNCTION;
        ensure!(is_function, "import {}: expected a function", String::from_utf8_lossy(name));
        number(&mut imports)?; // Its type.
    }
    Ok(count)
}

/// The numbers of the functions that a section calls parsers, if it is the one with names.
fn parsers_named(mut section: &[u8]) -> Result<Vec<u32>> {
    let mut parsers = Vec::new();
    if bytes(&mut section)? != b"name" {
        return Ok(parsers);
    }
    while !section.is_empty() {
        let (kind, mut names) = (byte(&mut section)?, bytes(&mut section)?);
        if kind != FUNCTION_NAMES {
            continue;
        }
        for _ in 0..number(&mut names)? {
            let (function, name) = (number(&mut names)?, bytes(&mut names)?);
            if is_parser(&String::from_utf8_lossy(name)) {
                parsers.push(function);
            }
        }
    }
    Ok(parsers)
}

fn is_parser(name: &str) -> bool {
    PARSERS.iter().any(|parts| parts.iter().all(|part| name.contains(part)))
}

/// A section of code, traps in place of those of these functions that are not short, and how many; they are counted from the
/// first in it.
fn with_traps(mut code: &[u8], is_parser: impl Fn(u32) -> bool) -> Result<(Vec<u8>, usize)> {
    let (mut out, mut traps) = (Vec::with_capacity(code.len()), 0);
    let count = number(&mut code)?;
    write_number(&mut out, count as usize);
    for i in 0..count {
        let body = bytes(&mut code)?;
        if body.len() >= LEAST && is_parser(i) {
            out.extend(TRAP);
            traps += 1;
        } else {
            write_bytes(&mut out, body);
        }
    }
    Ok((out, traps))
}

fn byte(rest: &mut &[u8]) -> Result<u8> {
    rest.split_off_first().copied().context("the module ends too early")
}

/// LEB128, which WebAssembly writes all numbers in.
fn number(rest: &mut &[u8]) -> Result<u32> {
    let mut value = 0u64;
    for shift in (0..35).step_by(7) {
        let byte = byte(rest)?;
        value |= u64::from(byte & 0x7f) << shift;
        if byte < 0x80 {
            return Ok(u32::try_from(value)?);
        }
    }
    anyhow::bail!("a number of more than 32 bits")
}

/// As many as a number before them says.
fn bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8]> {
    let count = number(rest)?;
    rest.split_off(..count as usize).context("the module ends too early")
}

fn write_number(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

fn write_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    write_number(out, bytes.len());
    out.extend(bytes);
}

#[cfg(test)]
mod tests {
    use super::*;

    const PARSER: &str = "<cubecl_ir::dialect::cf::SwitchOp as pliron::parsable::Parsable>::parse::h969eac34df01d9ae";

    fn section(id: u8, body: &[u8]) -> Vec<u8> {
        let mut section = vec![id];
        write_bytes(&mut section, body);
        section
    }

    /// The body of a function that does nothing, in so many bytes, at least 2.
    fn idle(length: usize) -> Vec<u8> {
        let mut body = vec![0x01; length];
        (body[0], body[length - 1]) = (0, 0x0b);
        body
    }

    fn code(bodies: [&[u8]; 3]) -> Vec<u8> {
        let mut code = vec![3];
        bodies.iter().for_each(|body| write_bytes(&mut code, body));
        section(CODE, &code)
    }

    /// One imported function and three others, with the names of all.
    fn module(bodies: [&[u8]; 3]) -> Vec<u8> {
        let mut of_functions = vec![4];
        for (i, name) in (0..).zip(["imported", "kept", PARSER, PARSER]) {
            of_functions.push(i);
            write_bytes(&mut of_functions, name.as_bytes());
        }
        let mut custom = vec![4];
        custom.extend(b"name");
        custom.extend(section(FUNCTION_NAMES, &of_functions));
        let imports = section(IMPORTS, &[1, 1, b'a', 1, b'b', FUNCTION, 0]);
        [b"\0asm\x01\0\0\0".to_vec(), imports, code(bodies), section(CUSTOM, &custom)].concat()
    }

    #[test]
    fn parsers_become_traps_and_nothing_else_changes() -> Result<()> {
        let (long, short) = (idle(LEAST), idle(LEAST - 1));
        let (trapped, count) = trap(&module([&long, &long, &short]))?;
        assert_eq!((trapped, count), (module([&long, &TRAP[1..], &short]), 1));
        let without = module([&long, &short, &short]);
        assert_eq!(trap(&without)?, (without, 0));
        Ok(())
    }

    #[test]
    fn names_are_told_apart() {
        for parser in [
            PARSER,
            "pliron::location::<impl pliron::parsable::Parsable for combine::stream::position::SourcePosition>::parse::h4",
            "pliron::op::canonical_syntax_parse_impl::hab9ff5c320274592",
        ] {
            assert!(is_parser(parser), "{parser}");
        }
        for other in [
            "<cubecl_ir::dialect::cf::SwitchOp as pliron::printable::Printable>::fmt::h0",
            "core::ptr::drop_in_place<alloc::boxed::Box<dyn combine::parser::Parser<pliron::parsable::State>>>::h7",
            "serde_json::de::from_str::h59e00ecaf9d80038",
        ] {
            assert!(!is_parser(other), "{other}");
        }
    }

    #[test]
    fn what_ends_too_early_is_refused() {
        let whole = module([&idle(2), &idle(LEAST), &idle(3)]);
        assert!(trap(b"<html>").is_err());
        for length in [9, 12, 20, whole.len() - 1] {
            assert!(trap(&whole[..length]).is_err(), "{length}");
        }
    }
}
