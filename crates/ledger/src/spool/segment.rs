//! Segment files: a head, then records, each with its length and CRC-32C.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{Read as _, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use crc::{CRC_32_ISCSI, Crc};
use uuid::Uuid;

use super::{SEGMENT_BYTES_MAX, STORED_BYTES_MAX, SpoolError};

const CRC32C: Crc<u32> = Crc::<u32>::new(&CRC_32_ISCSI);
const MAGIC: &[u8; 8] = b"PLMSPL01";
/// Magic, generation, its first record, the segment's first record, CRC.
const HEAD_BYTES: usize = 8 + 16 + 8 + 8 + 4;
const RECORD_HEAD_BYTES: usize = 8;
const SUFFIX: &str = ".spool";
/// A reader takes no more of one file than a writer can have left there.
const READ_BYTES_MAX: u64 =
    2 * SEGMENT_BYTES_MAX + (super::GROUP_RECORDS_MAX * (STORED_BYTES_MAX + 8)) as u64;

/// What a record takes of the bound on bytes.
pub(super) fn weight(payload: usize) -> u64 {
    (payload + RECORD_HEAD_BYTES) as u64
}

/// A segment, as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Segment {
    pub(super) path: PathBuf,
    pub(super) generation: Uuid,
    /// The first record of the generation.
    pub(super) generation_first: u64,
    /// The first record of the segment.
    pub(super) first: u64,
    /// The record after its last; `u64::MAX` while it is written.
    pub(super) end: u64,
    /// Bytes of its records, heads included; 0 while it is written.
    pub(super) bytes: u64,
}

/// One record as read.
#[derive(Debug)]
pub(super) struct Stored {
    pub(super) number: u64,
    pub(super) payload: Vec<u8>,
}

fn head(generation: Uuid, generation_first: u64, first: u64) -> Vec<u8> {
    let mut head = Vec::with_capacity(HEAD_BYTES);
    head.extend_from_slice(MAGIC);
    head.extend_from_slice(generation.as_bytes());
    head.extend_from_slice(&generation_first.to_be_bytes());
    head.extend_from_slice(&first.to_be_bytes());
    head.extend_from_slice(&CRC32C.checksum(&head).to_be_bytes());
    head
}

/// The bytes of one record. The CRC covers the record's number, so that a record copied elsewhere
/// is no record.
pub(super) fn encode(number: u64, payload: &[u8], out: &mut Vec<u8>) {
    let length = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(&checksum(number, length, payload).to_be_bytes());
    out.extend_from_slice(payload);
}

fn checksum(number: u64, length: [u8; 4], payload: &[u8]) -> u32 {
    let mut digest = CRC32C.digest();
    digest.update(&number.to_be_bytes());
    digest.update(&length);
    digest.update(payload);
    digest.finalize()
}

/// Makes a new segment, on disk with its head before it is used.
pub(super) fn create(
    directory: &Path,
    generation: Uuid,
    generation_first: u64,
    first: u64,
) -> Result<(File, Segment), SpoolError> {
    let path = directory.join(format!("{first:020}-{}{SUFFIX}", generation.simple()));
    let at = SpoolError::at(&path);
    let file = OpenOptions::new().append(true).create_new(true).mode(0o600).open(&path);
    let mut file = file.map_err(&at)?;
    file.write_all(&head(generation, generation_first, first)).map_err(&at)?;
    file.sync_all().map_err(&at)?;
    File::open(directory).and_then(|d| d.sync_all()).map_err(SpoolError::at(directory))?;
    let segment = Segment { path, generation, generation_first, first, end: u64::MAX, bytes: 0 };
    Ok((file, segment))
}

/// How long a segment's head is, in bytes.
pub(super) const fn head_bytes() -> u64 {
    HEAD_BYTES as u64
}

fn bytes_of(path: &Path) -> Result<Vec<u8>, SpoolError> {
    let at = SpoolError::at(path);
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(&at)?;
    file.take(READ_BYTES_MAX).read_to_end(&mut bytes).map_err(&at)?;
    Ok(bytes)
}

/// Whole records from the front of `bytes`: each is given to `take`; returns the record after the
/// last and where it would begin.
fn walk<'a>(bytes: &'a [u8], first: u64, mut take: impl FnMut(u64, &'a [u8])) -> (u64, usize) {
    let (mut number, mut at) = (first, HEAD_BYTES);
    while let Some((head, rest)) = bytes.get(at..).and_then(|b| b.split_at_checked(8)) {
        let (length, crc) = head.split_at(4);
        let (Ok(length), Ok(crc)) = (<[u8; 4]>::try_from(length), <[u8; 4]>::try_from(crc)) else {
            break;
        };
        let bytes = u32::from_be_bytes(length) as usize;
        let Some(payload) = rest.get(..bytes).filter(|_| bytes <= STORED_BYTES_MAX) else { break };
        if checksum(number, length, payload) != u32::from_be_bytes(crc) {
            break;
        }
        take(number, payload);
        number += 1;
        at += RECORD_HEAD_BYTES + bytes;
    }
    (number, at)
}

/// Records of a segment from `from` on: up to `upto`, at most `records_max`.
pub(super) fn read(
    segment: &Segment,
    from: u64,
    upto: u64,
    records_max: usize,
) -> Result<Vec<Stored>, SpoolError> {
    let bytes = bytes_of(&segment.path)?;
    let upto = upto.min(segment.end);
    let mut out = Vec::new();
    let (end, offset) = walk(&bytes, segment.first, |number, payload| {
        if (from..upto).contains(&number) && out.len() < records_max {
            out.push(Stored { number, payload: payload.to_vec() });
        }
    });
    if end < upto {
        let path = segment.path.clone();
        return Err(SpoolError::Damaged { path, offset: offset as u64 });
    }
    Ok(out)
}

/// Reads what earlier processes left, oldest first, and cuts what was torn.
pub(super) fn recover(directory: &Path) -> Result<Vec<Segment>, SpoolError> {
    let at = SpoolError::at(directory);
    DirBuilder::new().recursive(true).mode(0o700).create(directory).map_err(&at)?;
    let mut paths = Vec::new();
    for entry in fs::read_dir(directory).map_err(&at)? {
        let path = entry.map_err(&at)?.path();
        if path.to_string_lossy().ends_with(SUFFIX) {
            paths.push(path);
        }
    }
    paths.sort_unstable();
    let (mut segments, count): (Vec<Segment>, _) = (Vec::new(), paths.len());
    for (n, path) in paths.into_iter().enumerate() {
        let last = n + 1 == count;
        match recover_one(&path, last)? {
            // Nothing was ever acknowledged in it.
            None => fs::remove_file(&path).map_err(SpoolError::at(&path))?,
            Some(segment) => {
                // Inside a generation segments follow each other without a gap; a whole segment
                // that was taken out is found when the next one is imported.
                segments.push(segment);
            }
        }
    }
    File::open(directory).and_then(|d| d.sync_all()).map_err(&at)?;
    Ok(segments)
}

/// A segment with its records counted; `None` where it holds none.
fn recover_one(path: &Path, last: bool) -> Result<Option<Segment>, SpoolError> {
    let bytes = bytes_of(path)?;
    let damaged =
        |offset: usize| SpoolError::Damaged { path: path.to_owned(), offset: offset as u64 };
    let Some((generation, generation_first, first)) = parse_head(&bytes) else {
        return if last && bytes.len() <= HEAD_BYTES { Ok(None) } else { Err(damaged(0)) };
    };
    let (end, whole) = walk(&bytes, first, |_, _| {});
    if whole < bytes.len() {
        // Only the segment that was written last can have been torn.
        if !last {
            return Err(damaged(whole));
        }
        let file = OpenOptions::new().write(true).open(path).map_err(SpoolError::at(path))?;
        let cut = file.set_len(whole as u64).and_then(|()| file.sync_all());
        cut.map_err(SpoolError::at(path))?;
    }
    let bytes = (whole - HEAD_BYTES) as u64;
    let path = path.to_owned();
    Ok((end > first).then_some(Segment { path, generation, generation_first, first, end, bytes }))
}

fn parse_head(bytes: &[u8]) -> Option<(Uuid, u64, u64)> {
    let head = bytes.get(..HEAD_BYTES)?;
    let (body, crc) = head.split_at(HEAD_BYTES - 4);
    if CRC32C.checksum(body).to_be_bytes() != crc || !body.starts_with(MAGIC) {
        return None;
    }
    let number = |at: usize| Some(u64::from_be_bytes(body.get(at..at + 8)?.try_into().ok()?));
    Some((Uuid::from_slice(&body[8..24]).ok()?, number(24)?, number(32)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(records: &[&[u8]]) -> (tempfile::TempDir, Segment) {
        let directory = tempfile::tempdir().unwrap();
        let (mut file, segment) = create(directory.path(), Uuid::from_u128(7), 3, 5).unwrap();
        let mut bytes = Vec::new();
        for (n, record) in records.iter().enumerate() {
            encode(5 + n as u64, record, &mut bytes);
        }
        file.write_all(&bytes).unwrap();
        (directory, segment)
    }

    #[test]
    fn a_tail_torn_at_any_byte_leaves_whole_records() {
        let records: [&[u8]; 3] = [b"one", b"", b"three three"];
        let (_, whole) = segment(&records);
        drop(whole);
        let (directory, made) = segment(&records);
        let bytes = fs::read(&made.path).unwrap();
        for keep in 0..=bytes.len() {
            fs::write(&made.path, &bytes[..keep]).unwrap();
            let found = recover(directory.path()).unwrap();
            let ends: Vec<usize> = [HEAD_BYTES + 11, HEAD_BYTES + 19, HEAD_BYTES + 38].into();
            let expected = ends.iter().filter(|end| **end <= keep).count() as u64;
            match found.first() {
                None => assert_eq!(expected, 0, "{keep}"),
                Some(segment) => {
                    assert_eq!(segment.end - segment.first, expected, "{keep}");
                    assert_eq!((segment.generation_first, segment.first), (3, 5));
                    let stored = read(segment, 0, u64::MAX, 100).unwrap();
                    for (stored, record) in stored.iter().zip(records) {
                        assert_eq!(stored.payload, record);
                    }
                }
            }
        }
    }

    #[test]
    fn every_changed_byte_of_a_closed_segment_is_seen() {
        let (directory, made) = segment(&[b"one", b"two"]);
        let (mut later, _) = create(directory.path(), Uuid::from_u128(7), 3, 7).unwrap();
        let mut record = Vec::new();
        encode(7, b"three", &mut record);
        later.write_all(&record).unwrap();
        let bytes = fs::read(&made.path).unwrap();
        assert_eq!(recover(directory.path()).unwrap().len(), 2);
        for at in 0..bytes.len() {
            let mut bad = bytes.clone();
            bad[at] ^= 0x10;
            fs::write(&made.path, &bad).unwrap();
            let error = recover(directory.path()).unwrap_err();
            assert!(matches!(error, SpoolError::Damaged { .. }), "byte {at}: {error}");
            assert_eq!(fs::read(&made.path).unwrap(), bad, "a closed segment is never cut");
        }
    }
}
