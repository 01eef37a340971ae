//! A machine for the pickles of `torch.save`, protocols 2 to 5: it builds values and runs nothing.
//!
//! A pickle is a program for a stack machine, which in Python may call anything. This one knows the operations that
//! dicts of tensors need, and [`Global`]; everything else is refused. Each operation makes at most one value, and there
//! may be [`MAX_OPERATIONS`].

use crate::error::{Error, Result};
use crate::weights::checkpoint::bytes::Bytes;
use crate::weights::checkpoint::objects::{Global, Node, Value, Values};

/// A tensor takes about 30 operations, a network has some thousand tensors.
const MAX_OPERATIONS: usize = 2_000_000;
const PROTOCOLS: std::ops::RangeInclusive<u8> = 2..=5;
/// How much of a name is repeated in a message.
const SHOWN_CHARS: usize = 80;

/// The values of the pickle `bytes`, and which of them is the whole. `subject` is its name, for messages.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel), which names the byte, if the pickle needs an operation
/// or a global that is not known, or is broken.
pub(super) fn load<'a>(subject: &str, bytes: &'a [u8]) -> Result<(Values<'a>, Node)> {
    let mut machine = Machine { input: Bytes(bytes), ..Machine::default() };
    for _ in 0..MAX_OPERATIONS {
        let position = bytes.len() - machine.input.0.len();
        match machine.step() {
            Ok(None) => {}
            Ok(Some(whole)) => return Ok((machine.values, whole)),
            Err(fault) => return Err(fault.at(&format!("{subject}: byte {position}"))),
        }
    }
    Err(Error::bad_model(subject).expected(format!("at most {MAX_OPERATIONS} operations")).found("more"))
}

/// Why an operation cannot be done.
enum Fault {
    /// The pickle ends, or its stack does not hold what the operation takes.
    Broken,
    Operation(u8),
    Global(String),
}

impl Fault {
    fn at(self, subject: &str) -> Error {
        let error = Error::bad_model(subject);
        match self {
            Self::Broken => error.expected("a whole pickle").found("a broken one").remedy("download the file again"),
            Self::Operation(code) => error
                .expected("an operation of torch.save")
                .found(format!("{code:#04x}"))
                .remedy("save only the state dict, or save it as safetensors"),
            Self::Global(name) => error
                .expected("only tensors and plain values")
                .found(format!("the name {name}: the file contains code, of which nothing was run"))
                .remedy("use a safetensors file instead"),
        }
    }
}

type Step<T> = std::result::Result<T, Fault>;

#[derive(Default)]
struct Machine<'a> {
    input: Bytes<'a>,
    values: Values<'a>,
    stack: Vec<Node>,
    /// The heights of the stack at which lists of unknown length begin.
    marks: Vec<usize>,
    memo: Vec<Node>,
}

impl<'a> Machine<'a> {
    /// Does one operation; the last gives the whole.
    fn step(&mut self) -> Step<Option<Node>> {
        let code = self.input.u8().ok_or(Fault::Broken)?;
        match code {
            b'.' => return self.pop().map(Some),
            0x80 => self.check_protocol()?,
            // The length of a frame, which is for readers that read ahead.
            0x95 => drop(self.input.u64().ok_or(Fault::Broken)?),
            b'(' => self.marks.push(self.stack.len()),
            b'q' | b'r' | 0x94 => self.memorise(code)?,
            b'h' | b'j' => self.recall(code)?,
            b'N' | 0x88 | 0x89 => self.push(Value::Other),
            b'G' => {
                self.input.u64().ok_or(Fault::Broken)?;
                self.push(Value::Other);
            }
            b'K' | b'M' | b'J' | 0x8a => self.push_integer(code).ok_or(Fault::Broken)?,
            b'X' | b'U' | b'T' | 0x8c | 0x8d => self.push_text(code).ok_or(Fault::Broken)?,
            b'}' => self.push(Value::Dict(Vec::new())),
            b']' => self.push(Value::List(Vec::new())),
            b')' => self.push(Value::Tuple(Vec::new())),
            b't' => self.push_tuple(None)?,
            0x85..=0x87 => self.push_tuple(Some(usize::from(code - 0x84)))?,
            b'a' => self.extend_list(Some(1))?,
            b'e' => self.extend_list(None)?,
            b's' => self.extend_dict(Some(2))?,
            b'u' => self.extend_dict(None)?,
            b'c' | 0x93 => self.push_global(code)?,
            b'R' => self.call()?,
            b'b' => self.ignore_state()?,
            b'Q' => self.push_storage()?,
            _ => return Err(Fault::Operation(code)),
        }
        Ok(None)
    }

    fn push(&mut self, value: Value<'a>) {
        let node = self.values.add(value);
        self.stack.push(node);
    }

    /// Values below the last mark are another list's.
    fn pop(&mut self) -> Step<Node> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() > floor { self.stack.pop().ok_or(Fault::Broken) } else { Err(Fault::Broken) }
    }

    /// The last `count` values, or those above the last mark, which goes too.
    fn pop_many(&mut self, count: Option<usize>) -> Step<Vec<Node>> {
        let floor = self.marks.last().copied().unwrap_or(0);
        let start = match count {
            Some(count) => self.stack.len().checked_sub(count).filter(|start| *start >= floor),
            None => self.marks.pop(),
        };
        Ok(self.stack.split_off(start.ok_or(Fault::Broken)?))
    }

    fn check_protocol(&mut self) -> Step<()> {
        self.input.u8().filter(|protocol| PROTOCOLS.contains(protocol)).map(drop).ok_or(Fault::Broken)
    }

    /// Writers count the memo's places up, so that a place far ahead is a fault and takes no memory.
    fn memorise(&mut self, code: u8) -> Step<()> {
        let next = self.memo.len();
        let place = if code == 0x94 { Some(next) } else { self.memo_place(code == b'r') };
        let place = place.filter(|place| *place <= next).ok_or(Fault::Broken)?;
        let node = self.pop()?;
        self.stack.push(node);
        match self.memo.get_mut(place) {
            Some(memorised) => *memorised = node,
            None => self.memo.push(node),
        }
        Ok(())
    }

    fn recall(&mut self, code: u8) -> Step<()> {
        let place = self.memo_place(code == b'j');
        let node = place.and_then(|place| self.memo.get(place)).ok_or(Fault::Broken)?;
        self.stack.push(*node);
        Ok(())
    }

    fn memo_place(&mut self, is_long: bool) -> Option<usize> {
        if is_long { usize::try_from(self.input.u32()?).ok() } else { self.input.u8().map(usize::from) }
    }

    fn push_integer(&mut self, code: u8) -> Option<()> {
        let value = match code {
            b'K' => Value::Integer(self.input.u8()?.into()),
            b'M' => Value::Integer(self.input.u16()?.into()),
            b'J' => Value::Integer(self.input.u32()?.cast_signed().into()),
            _ => {
                let length = self.input.u8()?;
                long(self.input.take(length.into())?)
            }
        };
        self.push(value);
        Some(())
    }

    fn push_text(&mut self, code: u8) -> Option<()> {
        let length = match code {
            b'U' | 0x8c => self.input.u8()?.into(),
            0x8d => self.input.u64()?,
            _ => self.input.u32()?.into(),
        };
        let text = std::str::from_utf8(self.input.take(length)?).ok()?;
        self.push(Value::Text(text));
        Some(())
    }

    fn push_tuple(&mut self, count: Option<usize>) -> Step<()> {
        let items = self.pop_many(count)?;
        self.push(Value::Tuple(items));
        Ok(())
    }

    /// The value that the next operation changes.
    fn top(&mut self) -> Step<&mut Value<'a>> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(self.values.get_mut(top))
    }

    fn extend_list(&mut self, count: Option<usize>) -> Step<()> {
        let items = self.pop_many(count)?;
        let Value::List(list) = self.top()? else { return Err(Fault::Broken) };
        list.extend(items);
        Ok(())
    }

    fn extend_dict(&mut self, count: Option<usize>) -> Step<()> {
        let items = self.pop_many(count)?;
        let Value::Dict(dict) = self.top()? else { return Err(Fault::Broken) };
        let (pairs, []) = items.as_chunks() else { return Err(Fault::Broken) };
        dict.extend(pairs.iter().map(|[key, value]| (*key, *value)));
        Ok(())
    }

    fn push_global(&mut self, code: u8) -> Step<()> {
        let (module, name) = if code == b'c' {
            let mut line = || std::str::from_utf8(self.input.line()?).ok();
            (line(), line())
        } else {
            let names = self.pop_many(Some(2))?;
            let text = |node: &Node| match self.values.get(*node) {
                Value::Text(text) => Some(*text),
                _ => None,
            };
            (text(&names[0]), text(&names[1]))
        };
        let (module, name) = module.zip(name).ok_or(Fault::Broken)?;
        let unknown = || Fault::Global(shown(module) + "." + &shown(name));
        let global = Global::named(module, name).ok_or_else(unknown)?;
        self.push(Value::Global(global));
        Ok(())
    }

    fn call(&mut self) -> Step<()> {
        let (arguments, function) = (self.pop()?, self.pop()?);
        let made = self.values.call(function, arguments).ok_or(Fault::Broken)?;
        self.stack.push(made);
        Ok(())
    }

    /// A state dict carries the versions of its modules as a state of its own, which no tensor needs.
    fn ignore_state(&mut self) -> Step<()> {
        self.pop()?;
        if matches!(self.top()?, Value::Dict(_)) { Ok(()) } else { Err(Fault::Broken) }
    }

    fn push_storage(&mut self) -> Step<()> {
        let id = self.pop()?;
        let storage = self.values.storage(id).ok_or(Fault::Broken)?;
        self.push(Value::Storage(storage));
        Ok(())
    }
}

/// A whole number of any length, the lowest byte first, in two's complement.
fn long(bytes: &[u8]) -> Value<'static> {
    let mut wide = [if bytes.last().is_some_and(|last| last & 0x80 != 0) { 0xFF } else { 0 }; 8];
    match wide.get_mut(..bytes.len()) {
        Some(low) => low.copy_from_slice(bytes),
        None => return Value::Other,
    }
    Value::Integer(i64::from_le_bytes(wide))
}

/// A name as it may stand in a message: short, and without control characters.
pub(super) fn shown(name: &str) -> String {
    name.chars().take(SHOWN_CHARS).flat_map(char::escape_default).collect()
}
