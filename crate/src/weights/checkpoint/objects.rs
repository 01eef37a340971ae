//! What the pickle of a `torch.save` may consist of: plain values, and the few names of Python's that make tensors.
//!
//! Values lie in one list and refer to each other by place, so that nothing is nested in memory, however it is nested
//! in the file.

use crate::weights::header::Dtype;

/// The place of a value in the list of all.
pub(super) type Node = u32;

/// No network has tensors of more axes.
const MAX_RANK: usize = 8;

/// One value. Strings stay where they are in the file.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value<'a> {
    /// What no tensor is made of: None, a truth value, a float, a number that is too large.
    Other,
    Integer(i64),
    Text(&'a str),
    Tuple(Vec<Node>),
    List(Vec<Node>),
    /// In the order in which they were put in; a key may stand twice.
    Dict(Vec<(Node, Node)>),
    Global(Global),
    Storage(Storage<'a>),
    Tensor(Box<Tensor<'a>>),
}

/// The names that are known. None of them is run: what they would make is made here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Global {
    OrderedDict,
    Size,
    RebuildTensor,
    RebuildParameter,
    StorageOf(Dtype),
}

/// The numbers of one or several tensors: a file of the archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Storage<'a> {
    pub dtype: Dtype,
    pub key: &'a str,
    /// How many numbers it has.
    pub count: u64,
}

/// A view of a storage. Offset and strides count numbers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Tensor<'a> {
    pub storage: Storage<'a>,
    pub offset: u64,
    pub shape: Vec<usize>,
    pub strides: Vec<usize>,
}

impl Global {
    /// The global `module.name`, if it is one of the few.
    pub fn named(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict") => Self::OrderedDict,
            ("torch", "Size") => Self::Size,
            ("torch._utils", "_rebuild_tensor_v2") => Self::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Self::RebuildParameter,
            ("torch", name) => Self::StorageOf(match name.strip_suffix("Storage")? {
                "Double" => Dtype::F64,
                "Float" => Dtype::F32,
                "Half" => Dtype::F16,
                "BFloat16" => Dtype::BF16,
                "Long" => Dtype::I64,
                "Int" => Dtype::I32,
                "Short" => Dtype::I16,
                "Char" => Dtype::I8,
                "Byte" => Dtype::U8,
                "Bool" => Dtype::Bool,
                _ => return None,
            }),
            _ => return None,
        })
    }
}

/// All values that have been made.
#[derive(Debug, Default)]
pub(super) struct Values<'a>(Vec<Value<'a>>);

impl<'a> Values<'a> {
    /// Adds `value`. The pickle's limits keep the list far below what a [`Node`] can count.
    pub fn add(&mut self, value: Value<'a>) -> Node {
        self.0.push(value);
        (self.0.len() - 1) as Node
    }

    /// The value at `node`, which [`Values::add`] gave.
    pub fn get(&self, node: Node) -> &Value<'a> {
        &self.0[node as usize]
    }

    /// As [`Values::get`], to be added to.
    pub fn get_mut(&mut self, node: Node) -> &mut Value<'a> {
        &mut self.0[node as usize]
    }

    /// What calling `function` with `arguments` gives, if it can be called so.
    pub fn call(&mut self, function: Node, arguments: Node) -> Option<Node> {
        let (Value::Global(global), Value::Tuple(arguments)) = (self.get(function), self.get(arguments)) else {
            return None;
        };
        match (*global, arguments.as_slice()) {
            (Global::OrderedDict, []) => Some(self.add(Value::Dict(Vec::new()))),
            (Global::Size, [size]) => matches!(self.get(*size), Value::Tuple(_)).then_some(*size),
            // What follows says what training needs: gradients and hooks.
            (Global::RebuildParameter, [data, _, _]) => matches!(self.get(*data), Value::Tensor(_)).then_some(*data),
            (Global::RebuildTensor, [storage, offset, shape, strides, _, _, ..]) => {
                let tensor = self.tensor(*storage, *offset, *shape, *strides)?;
                Some(self.add(Value::Tensor(Box::new(tensor))))
            }
            _ => None,
        }
    }

    fn tensor(&self, storage: Node, offset: Node, shape: Node, strides: Node) -> Option<Tensor<'a>> {
        let (Value::Storage(storage), Value::Integer(offset)) = (self.get(storage), self.get(offset)) else {
            return None;
        };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        let offset = u64::try_from(*offset).ok()?;
        (shape.len() == strides.len()).then_some(Tensor { storage: *storage, offset, shape, strides })
    }

    /// A tuple of sizes, whose length is bounded before it is copied: many tensors may share a long one.
    fn sizes(&self, node: Node) -> Option<Vec<usize>> {
        let Value::Tuple(sizes) = self.get(node) else { return None };
        let size = |node: &Node| match self.get(*node) {
            Value::Integer(size) => usize::try_from(*size).ok(),
            _ => None,
        };
        if sizes.len() > MAX_RANK { None } else { sizes.iter().map(size).collect() }
    }

    /// The storage that the tuple `id` stands for: `('storage', type, key, device, count)`.
    pub fn storage(&self, id: Node) -> Option<Storage<'a>> {
        let Value::Tuple(id) = self.get(id) else { return None };
        let [kind, dtype, key, _device, count] = id.as_slice() else { return None };
        let values = [kind, dtype, key, count].map(|node| self.get(*node));
        let [Value::Text("storage"), Value::Global(Global::StorageOf(dtype)), Value::Text(key), Value::Integer(count)] =
            values
        else {
            return None;
        };
        Some(Storage { dtype: *dtype, key, count: u64::try_from(*count).ok()? })
    }
}
