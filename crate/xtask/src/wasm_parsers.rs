//! Takes functions that nobody calls, and no linker can tell, out of a WebAssembly module.
//!
//! CubeCL's compiler registers each operation, type and attribute of its intermediate language together with a parser of
//! its text. Nothing in a browser's engine has such a text, or makes a stream to read one from; but what is registered is used,
//! as far as a linker knows, and a twentieth of the engine would be those parsers. Here their bodies become traps; what only
//! they called is left to whoever takes out what nothing calls.

use anyhow::Result;
use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};

/// What the names of parsers contain, all of a line.
const PARSERS: [&[&str]; 3] = [
    &[" as pliron::parsable::Parsable>::parse::"],
    &["<impl pliron::parsable::Parsable for ", ">::parse::"],
    &["pliron::op::canonical_syntax_parse"],
];
/// Instructions of a function that is what its name says. The compiler makes one of functions that are alike, with the name
/// of any: short ones may do more than parse.
const LEAST: u64 = 48;

/// The module with traps in place of the parsers, and how many were replaced. It has the names of its functions.
pub fn trap(module: &[u8]) -> Result<(Vec<u8>, usize)> {
    let mut module = Module::from_buffer(module)?;
    let parsers: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .filter(|(id, function)| {
            let name = module.funcs.get(*id).name.as_deref();
            name.is_some_and(is_parser) && function.size() >= LEAST
        })
        .map(|(id, _)| id)
        .collect();
    for &parser in &parsers {
        set_trap(&mut module, parser);
    }
    Ok((module.emit_wasm(), parsers.len()))
}

fn is_parser(name: &str) -> bool {
    PARSERS.iter().any(|parts| parts.iter().all(|part| name.contains(part)))
}

/// Whoever calls it from now on ends with an error.
fn set_trap(module: &mut Module, function: FunctionId) {
    let FunctionKind::Local(local) = &module.funcs.get(function).kind else { return };
    let (arguments, kind) = (local.args.clone(), local.ty());
    let (parameters, results) = module.types.params_results(kind);
    let (parameters, results) = (parameters.to_vec(), results.to_vec());
    let mut trap = FunctionBuilder::new(&mut module.types, &parameters, &results);
    trap.func_body().unreachable();
    module.funcs.get_mut(function).kind = FunctionKind::Local(trap.local_func(arguments));
}

#[cfg(test)]
mod tests {
    use walrus::ValType;

    use super::*;

    const PARSER: &str = "<cubecl_ir::dialect::cf::SwitchOp as pliron::parsable::Parsable>::parse::h969eac34df01d9ae";

    /// Exported functions of these names and about so many instructions each, which give a number.
    fn module(functions: &[(&str, usize)]) -> Vec<u8> {
        let mut module = Module::default();
        for (number, (name, instructions)) in functions.iter().enumerate() {
            let mut function = FunctionBuilder::new(&mut module.types, &[], &[ValType::I32]);
            let mut body = function.name((*name).to_owned()).func_body();
            for i in 0..instructions / 2 {
                body.i32_const(i as i32).drop();
            }
            body.i32_const(7);
            let id = function.finish(vec![], &mut module.funcs);
            module.exports.add(&format!("f{number}"), id);
        }
        module.emit_wasm()
    }

    fn sizes(module: &[u8]) -> Vec<u64> {
        let module = Module::from_buffer(module).unwrap();
        let size = |export: &walrus::Export| match export.item {
            walrus::ExportItem::Function(id) => module.funcs.get(id).kind.unwrap_local().size(),
            _ => panic!("no function"),
        };
        module.exports.iter().map(size).collect()
    }

    #[test]
    fn parsers_become_traps_and_nothing_else_changes() {
        let whole = module(&[("kept", 200), (PARSER, 200), (PARSER, 10)]);
        let (trapped, count) = trap(&whole).unwrap();
        let [kept, _, short] = sizes(&whole)[..] else { panic!("three functions") };
        assert_eq!((sizes(&trapped), count), (vec![kept, 1, short], 1));
        assert_eq!(trap(&module(&[("kept", 200)])).unwrap().1, 0);
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
    fn what_is_no_module_is_refused() {
        let whole = module(&[(PARSER, 100)]);
        assert!(trap(b"<html>").is_err() && trap(&whole[..whole.len() - 1]).is_err());
    }
}
