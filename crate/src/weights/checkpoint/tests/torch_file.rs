//! Writes files as `torch.save` does: the same records, operations and paddings, and what a test wants to be wrong.

/// A zip archive in the making.
#[derive(Default)]
pub(super) struct Archive {
    pub bytes: Vec<u8>,
    /// Where zeros follow that are not in `bytes`, and how many.
    pub hole: Option<(usize, u64)>,
    pub entries: Vec<Entry>,
}

/// What the directory will say of a file.
pub(super) struct Entry {
    pub name: String,
    pub flags: u16,
    pub method: u16,
    pub stored_bytes: u64,
    pub bytes: u64,
    pub offset: u64,
}

/// Storages begin at multiples of this.
const ALIGNMENT: usize = 64;
/// UTF-8 names, and lengths that stand behind the file.
const FLAGS: u16 = 0x0808;

impl Archive {
    fn position(&self) -> u64 {
        self.bytes.len() as u64 + self.hole.map_or(0, |(_, bytes)| bytes)
    }

    pub fn add(&mut self, name: &str, content: &[u8]) {
        let (offset, bytes) = (self.position(), content.len() as u64);
        let name = format!("archive/{name}");
        self.bytes.extend(0x0403_4b50u32.to_le_bytes());
        self.bytes.extend([0, 0]);
        self.bytes.extend(FLAGS.to_le_bytes());
        self.bytes.extend([0; 18]);
        let unpadded = self.bytes.len() + 4 + name.len() + 4;
        let padding = unpadded.next_multiple_of(ALIGNMENT) - unpadded;
        for length in [name.len(), padding + 4] {
            self.bytes.extend((length as u16).to_le_bytes());
        }
        self.bytes.extend(name.as_bytes());
        self.bytes.extend(b"FB");
        self.bytes.extend((padding as u16).to_le_bytes());
        self.bytes.extend(vec![b'Z'; padding]);
        self.bytes.extend(content);
        self.entries.push(Entry { name, flags: FLAGS, method: 0, stored_bytes: bytes, bytes, offset });
        // What stands behind the file: a mark, its sum, its lengths.
        self.bytes.extend(b"PK\x07\x08");
        self.bytes.extend([0; 4]);
        self.bytes.extend([(bytes as u32).to_le_bytes(), (bytes as u32).to_le_bytes()].as_flattened());
    }

    /// Adds a file of zeros that needs no memory.
    pub fn add_zeros(&mut self, name: &str, bytes: u64) {
        self.add(name, &[]);
        self.hole = Some((self.bytes.len() - 16, bytes));
        let entry = self.entries.last_mut().unwrap();
        (entry.stored_bytes, entry.bytes) = (bytes, bytes);
    }

    /// With the directory and the records that end an archive; the zip64 ones can be left out.
    pub fn finish(mut self, zip64: bool) -> Vec<u8> {
        let start = self.position();
        for entry in &self.entries {
            self.bytes.extend(entry.record());
        }
        let (end, entries) = (self.position(), self.entries.len());
        if zip64 {
            self.bytes.extend(0x0606_4b50u32.to_le_bytes());
            self.bytes.extend(44u64.to_le_bytes());
            self.bytes.extend([0; 12]);
            for value in [entries as u64, entries as u64, end - start, start] {
                self.bytes.extend(value.to_le_bytes());
            }
            self.bytes.extend(0x0706_4b50u32.to_le_bytes());
            self.bytes.extend([0; 4]);
            self.bytes.extend(end.to_le_bytes());
            self.bytes.extend(1u32.to_le_bytes());
        }
        self.bytes.extend(0x0605_4b50u32.to_le_bytes());
        self.bytes.extend([0; 4]);
        self.bytes.extend([(entries as u16).to_le_bytes(), (entries as u16).to_le_bytes()].as_flattened());
        for value in [end - start, start] {
            self.bytes.extend(narrow(value).to_le_bytes());
        }
        self.bytes.extend([0; 2]);
        self.bytes
    }
}

impl Entry {
    fn record(&self) -> Vec<u8> {
        let values = [self.bytes, self.stored_bytes, self.offset];
        let wide: Vec<u8> =
            values.iter().filter(|value| narrow(**value) == u32::MAX).flat_map(|value| value.to_le_bytes()).collect();
        let extra = if wide.is_empty() { Vec::new() } else { [&[1, 0, wide.len() as u8, 0], wide.as_slice()].concat() };
        let mut record = 0x0201_4b50u32.to_le_bytes().to_vec();
        record.extend([0; 4]);
        record.extend([self.flags.to_le_bytes(), self.method.to_le_bytes()].as_flattened());
        record.extend([0; 8]);
        record.extend([narrow(self.stored_bytes).to_le_bytes(), narrow(self.bytes).to_le_bytes()].as_flattened());
        record.extend([(self.name.len() as u16).to_le_bytes(), (extra.len() as u16).to_le_bytes()].as_flattened());
        record.extend([0; 10]);
        record.extend(narrow(self.offset).to_le_bytes());
        record.extend(self.name.as_bytes());
        record.extend(extra);
        record
    }
}

fn narrow(value: u64) -> u32 {
    u32::try_from(value).unwrap_or(u32::MAX)
}

/// A tensor as a pickle describes it.
#[derive(Clone)]
pub(super) struct Saved<'a> {
    pub name: &'a str,
    pub storage: (&'a str, &'a str, i64),
    pub offset: i64,
    pub shape: &'a [i64],
    pub strides: &'a [i64],
    pub parameter: bool,
}

/// A pickle in the making, every text and tuple memorised as Python does.
#[derive(Default)]
pub(super) struct Pickle {
    pub bytes: Vec<u8>,
    memorised: u32,
}

impl Pickle {
    pub fn put(mut self, bytes: impl AsRef<[u8]>) -> Self {
        self.bytes.extend(bytes.as_ref());
        self
    }

    pub fn memorise(mut self) -> Self {
        let place = self.memorised;
        self.memorised += 1;
        match u8::try_from(place) {
            Ok(place) => self.put([b'q', place]),
            Err(_) => self.put(b"r").put(place.to_le_bytes()),
        }
    }

    pub fn text(self, text: &str) -> Self {
        self.put(b"X").put((text.len() as u32).to_le_bytes()).put(text).memorise()
    }

    pub fn global(self, name: &str) -> Self {
        self.put(b"c").put(name.replace(' ', "\n")).put(b"\n").memorise()
    }

    pub fn integer(self, value: i64) -> Self {
        match (u8::try_from(value), u16::try_from(value), i32::try_from(value)) {
            (Ok(value), ..) => self.put([b'K', value]),
            (_, Ok(value), _) => self.put(b"M").put(value.to_le_bytes()),
            (.., Ok(value)) => self.put(b"J").put(value.to_le_bytes()),
            _ => self.put([0x8a, 8]).put(value.to_le_bytes()),
        }
    }

    fn integers(self, values: &[i64]) -> Self {
        let marked = if values.len() > 3 { self.put(b"(") } else { self };
        let filled = values.iter().fold(marked, |pickle, value| pickle.integer(*value));
        match values.len() {
            0 => filled.put(b")"),
            length @ 1..=3 => filled.put([0x84 + length as u8]).memorise(),
            _ => filled.put(b"t").memorise(),
        }
    }

    /// An OrderedDict, to be filled between `(` and `u`.
    pub fn ordered_dict(self) -> Self {
        self.global("collections OrderedDict").put(b")R").memorise()
    }

    pub fn tensor(self, saved: &Saved<'_>) -> Self {
        let (kind, key, count) = saved.storage;
        let opened = if saved.parameter { self.global("torch._utils _rebuild_parameter").put(b"(") } else { self };
        let storage = opened.global("torch._utils _rebuild_tensor_v2").put(b"((").text("storage");
        let stored = storage.global(&format!("torch {kind}Storage")).text(key).text("cpu").integer(count);
        let view = stored.put(b"t").memorise().put(b"Q").integer(saved.offset);
        let view = view.integers(saved.shape).integers(saved.strides).put(b"\x89");
        let tensor = view.ordered_dict().put(b"t").memorise().put(b"R").memorise();
        if saved.parameter {
            tensor.put(b"\x88").ordered_dict().put(b"t").memorise().put(b"R").memorise()
        } else {
            tensor
        }
    }

    /// What `module.state_dict()` gives: an OrderedDict that carries the versions of the modules.
    pub fn state_dict(self, tensors: &[Saved<'_>]) -> Self {
        let opened = self.ordered_dict().put(b"(");
        let filled = tensors.iter().fold(opened, |pickle, saved| pickle.text(saved.name).tensor(saved));
        let state = filled.put(b"u}").memorise().text("_metadata").ordered_dict().put(b"(").text("");
        state.put(b"}").memorise().text("version").integer(1).put(b"susb")
    }

    pub fn finish(self) -> Vec<u8> {
        [b"\x80\x02", self.bytes.as_slice(), b"."].concat()
    }
}
