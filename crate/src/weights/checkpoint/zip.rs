//! Where the files of a zip archive lie, as `torch.save` writes it: nothing compressed, the directory at the very end.
//!
//! Lengths of more than 4 GiB stand in zip64 records. Of the two places that describe a file, the directory counts; the
//! record before the file's bytes only says how long it is itself, since `torch.save` pads it.

use std::collections::BTreeMap;

use crate::error::{Error, Result};
use crate::weights::checkpoint::bytes::Bytes;
use crate::weights::checkpoint::file::LocalFile;

const END: u32 = 0x0605_4b50;
const END_BYTES: u64 = 22;
const ZIP64_LOCATOR: u32 = 0x0706_4b50;
const ZIP64_LOCATOR_BYTES: u64 = 20;
const ZIP64_END: u32 = 0x0606_4b50;
const ZIP64_END_BYTES: u64 = 56;
const DIRECTORY_ENTRY: u32 = 0x0201_4b50;
const LOCAL_ENTRY: u32 = 0x0403_4b50;
const LOCAL_ENTRY_BYTES: u64 = 30;
/// The extra field that holds what does not fit into 32 bits.
const ZIP64_EXTRA: u16 = 1;
const ENCRYPTED: u16 = 1;
const STORED: u16 = 0;
/// A directory of a checkpoint has some thousand entries of about a hundred bytes.
const MAX_DIRECTORY_BYTES: u64 = 64 << 20;

/// The bytes of one file in an archive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Member {
    /// Where they begin in the archive.
    pub offset: u64,
    /// How many there are.
    pub bytes: u64,
}

/// The files of the archive `file` by name.
///
/// # Errors
/// [`ErrorKind::BadModel`](crate::error::ErrorKind::BadModel) if the archive was cut short, or a file in it is
/// compressed, encrypted, stands twice, overlaps another or is not where the directory says.
pub(super) fn members(file: &LocalFile) -> Result<BTreeMap<String, Member>> {
    let directory = directory(file)?;
    let bytes = file.read(directory.offset, directory.bytes)?;
    let mut rest = Bytes(&bytes);
    let mut members = BTreeMap::new();
    let mut extents = Vec::new();
    while !rest.0.is_empty() {
        let entry = Entry::parse(&mut rest).ok_or_else(|| damaged(file, "a whole directory", "a broken entry"))?;
        let member = entry.locate(file)?;
        extents.push((entry.local_offset, member.offset.saturating_add(member.bytes), entry.name.clone()));
        if members.insert(entry.name.clone(), member).is_some() {
            return Err(damaged(file, "each name once", &format!("{:?} twice", entry.name)));
        }
    }
    if extents.len() as u64 != directory.entries {
        return Err(damaged(file, &format!("{} files, as it says", directory.entries), &extents.len().to_string()));
    }
    extents.sort_unstable();
    let mut end = 0;
    for (from, to, name) in extents {
        if from < end || to > directory.offset {
            let expected = format!("{name:?} between byte {end} and byte {}", directory.offset);
            return Err(damaged(file, &expected, &format!("{from} to {to}")));
        }
        end = to;
    }
    Ok(members)
}

fn damaged(file: &LocalFile, expected: &str, found: &str) -> Error {
    let subject = format!("{}: zip archive", file.name());
    Error::bad_model(subject).expected(expected).found(found).remedy("download the file again")
}

struct Directory {
    offset: u64,
    bytes: u64,
    entries: u64,
}

/// The directory, from the record that ends the archive, or from the wider one before it.
fn directory(file: &LocalFile) -> Result<Directory> {
    let wide_bytes = ZIP64_END_BYTES + ZIP64_LOCATOR_BYTES;
    let tail =
        file.read(file.bytes().saturating_sub(wide_bytes + END_BYTES), file.bytes().min(wide_bytes + END_BYTES))?;
    let end_at = tail.len().saturating_sub(END_BYTES as usize);
    let cut_short = || {
        let found = format!("other bytes there; {} bytes in all", file.bytes());
        damaged(file, "its directory at its end (a download that broke off has none)", &found)
    };
    let narrow = parse_end(Bytes(&tail[end_at..])).ok_or_else(cut_short)?;
    let wide = parse_zip64_end(Bytes(&tail[..end_at]));
    let end_bytes = if wide.is_some() { wide_bytes + END_BYTES } else { END_BYTES };
    let directory = wide.unwrap_or(narrow);
    let bytes = directory.offset.saturating_add(directory.bytes).saturating_add(end_bytes);
    if bytes != file.bytes() {
        let expected = format!("{bytes} bytes, as its directory says");
        return Err(damaged(file, &expected, &file.bytes().to_string()));
    }
    if directory.bytes > MAX_DIRECTORY_BYTES {
        let expected = format!("a directory of at most {MAX_DIRECTORY_BYTES} bytes");
        return Err(damaged(file, &expected, &directory.bytes.to_string()));
    }
    Ok(directory)
}

/// The last record of the archive. A remark after it, which the format allows, `torch.save` does not write.
fn parse_end(mut end: Bytes<'_>) -> Option<Directory> {
    let (END, [0, 0]) = (end.u32()?, [end.u16()?, end.u16()?]) else { return None };
    let (on_this_disk, entries) = (end.u16()?, end.u16()?);
    let (bytes, offset, remark) = (end.u32()?, end.u32()?, end.u16()?);
    (on_this_disk == entries && remark == 0).then(|| Directory {
        offset: offset.into(),
        bytes: bytes.into(),
        entries: entries.into(),
    })
}

/// The zip64 record and its locator, which `torch.save` writes in small archives as well.
fn parse_zip64_end(mut end: Bytes<'_>) -> Option<Directory> {
    let (ZIP64_END, _record_bytes, _versions) = (end.u32()?, end.u64()?, end.u32()?) else { return None };
    let [0, 0] = [end.u32()?, end.u32()?] else { return None };
    let (on_this_disk, entries, bytes, offset) = (end.u64()?, end.u64()?, end.u64()?, end.u64()?);
    let (locator, _disk) = (end.u32()?, end.u32()?);
    // The record is where the locator must point, which the length of the whole archive proves.
    (locator == ZIP64_LOCATOR && on_this_disk == entries).then_some(Directory { offset, bytes, entries })
}

/// What the directory says of a file.
struct Entry {
    name: String,
    flags: u16,
    method: u16,
    stored_bytes: u64,
    bytes: u64,
    local_offset: u64,
}

impl Entry {
    fn parse(rest: &mut Bytes<'_>) -> Option<Self> {
        let (DIRECTORY_ENTRY, _versions) = (rest.u32()?, rest.u32()?) else { return None };
        let (flags, method, _time, _crc) = (rest.u16()?, rest.u16()?, rest.u32()?, rest.u32()?);
        let (stored_bytes, bytes) = (rest.u32()?, rest.u32()?);
        let (name_bytes, extra_bytes, remark_bytes) = (rest.u16()?, rest.u16()?, rest.u16()?);
        let (_disk, _attributes, _more_attributes, local_offset) = (rest.u16()?, rest.u16()?, rest.u32()?, rest.u32()?);
        let name = std::str::from_utf8(rest.take(name_bytes.into())?).ok()?.to_owned();
        let mut wide = zip64_extra(Bytes(rest.take(extra_bytes.into())?));
        rest.take(remark_bytes.into())?;
        // In this order, and only those that do not fit.
        let mut widened = |narrow: u32| if narrow == u32::MAX { wide.u64() } else { Some(narrow.into()) };
        let (bytes, stored_bytes) = (widened(bytes)?, widened(stored_bytes)?);
        Some(Self { name, flags, method, stored_bytes, bytes, local_offset: widened(local_offset)? })
    }

    /// Finds the file's bytes behind their own record.
    fn locate(&self, file: &LocalFile) -> Result<Member> {
        let subject = format!("{}: {:?}", file.name(), self.name);
        if self.flags & ENCRYPTED != 0 || self.method != STORED || self.stored_bytes != self.bytes {
            return Err(Error::bad_model(subject)
                .expected("a file that is stored as it is")
                .found("a compressed or encrypted one")
                .remedy("save it with torch.save itself, or as safetensors"));
        }
        let record = file.read(self.local_offset, LOCAL_ENTRY_BYTES + self.name.len() as u64)?;
        let header_bytes = self.local_header_bytes(Bytes(&record));
        let offset = header_bytes.and_then(|bytes| self.local_offset.checked_add(bytes));
        let offset = offset.ok_or_else(|| damaged(file, &format!("the record of {:?}", self.name), "another"))?;
        Ok(Member { offset, bytes: self.bytes })
    }

    /// The length of the record before the file's bytes, if it is this file's.
    fn local_header_bytes(&self, mut record: Bytes<'_>) -> Option<u64> {
        let (LOCAL_ENTRY, _) = (record.u32()?, record.take(22)?) else { return None };
        let (name_bytes, extra_bytes) = (record.u16()?, record.u16()?);
        let name = record.take(name_bytes.into())?;
        (name == self.name.as_bytes()).then(|| LOCAL_ENTRY_BYTES + u64::from(name_bytes) + u64::from(extra_bytes))
    }
}

/// The zip64 field among the extra fields of an entry, or nothing.
fn zip64_extra(mut fields: Bytes<'_>) -> Bytes<'_> {
    while let (Some(kind), Some(bytes)) = (fields.u16(), fields.u16()) {
        match fields.take(bytes.into()) {
            Some(field) if kind == ZIP64_EXTRA => return Bytes(field),
            Some(_) => {}
            None => break,
        }
    }
    Bytes(&[])
}
