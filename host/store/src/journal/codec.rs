//! Bytes in and out: varints, length-prefixed bytes, and checksummed frames.

/// The error for bytes that are not a journal of this format.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the journal is corrupted at byte {offset}: expected {expected}, found {found}")]
pub struct Corrupted {
    /// The offset of the bad frame or record.
    pub offset: usize,
    /// The expected content.
    pub expected: String,
    /// The content that was found.
    pub found: String,
}

/// Length and checksum in front of every record.
const HEADER: usize = 8;

/// Appends one frame around the body that `write` produces.
pub(super) fn frame(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let start = out.len();
    out.extend_from_slice(&[0; HEADER]);
    write(out);
    let body = &out[start + HEADER..];
    // A body is bounded by the policy's limits, far below 4 GiB.
    let length = u32::try_from(body.len()).unwrap_or(u32::MAX).to_le_bytes();
    let checksum = crc32fast::hash(body).to_le_bytes();
    out[start..start + 4].copy_from_slice(&length);
    out[start + 4..start + HEADER].copy_from_slice(&checksum);
}

/// The body of the frame at `offset` and the offset of the next; checks the checksum.
pub(super) fn checked_body(bytes: &[u8], offset: usize) -> Result<(&[u8], usize), Corrupted> {
    let (body, next) = body(bytes, offset)?;
    let recorded = u32_at(bytes, offset + 4);
    let actual = crc32fast::hash(body);
    if recorded != actual {
        let (expected, found) = (format!("checksum {recorded:08x}"), format!("{actual:08x}"));
        return Err(Corrupted { offset, expected, found });
    }
    Ok((body, next))
}

/// The same without checking the checksum, for a journal that was checked when it was loaded.
pub(super) fn body(bytes: &[u8], offset: usize) -> Result<(&[u8], usize), Corrupted> {
    let left = bytes.len() - offset;
    if left < HEADER {
        return Err(Corrupted { offset, expected: format!("{HEADER} bytes of header"), found: format!("{left}") });
    }
    let length = u32_at(bytes, offset) as usize;
    if length > left - HEADER || length == 0 {
        let found = format!("{}", left - HEADER);
        return Err(Corrupted { offset, expected: format!("a body of {length} bytes"), found });
    }
    let start = offset + HEADER;
    Ok((&bytes[start..start + length], start + length))
}

/// How many bytes at the start of a part are whole frames.
pub(super) fn whole(part: &[u8]) -> usize {
    let mut end = 0;
    while let Ok((_, next)) = body(part, end) {
        end = next;
    }
    end
}

fn u32_at(bytes: &[u8], offset: usize) -> u32 {
    bytes[offset..offset + 4].iter().rev().fold(0, |value, byte| value << 8 | u32::from(*byte))
}

pub(super) fn put_varint(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

pub(super) fn put_bytes(out: &mut Vec<u8>, bytes: &[u8]) {
    put_varint(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

/// Reads the fields of one body; every read is checked.
pub(super) struct Fields<'a> {
    rest: &'a [u8],
}

/// A field that does not fit its type; [`super::Record::decode`] adds the offset.
#[derive(Debug)]
pub(super) struct Malformed(pub(super) &'static str);

impl<'a> Fields<'a> {
    pub(super) fn new(body: &'a [u8]) -> Self {
        Self { rest: body }
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        let (&byte, rest) = self.rest.split_first().ok_or(Malformed("one more byte"))?;
        self.rest = rest;
        Ok(byte)
    }

    pub(super) fn varint(&mut self) -> Result<u64, Malformed> {
        let mut value = 0u64;
        for shift in (0..64).step_by(7) {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7f) << shift;
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(Malformed("a varint of at most 10 bytes"))
    }

    pub(super) fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let length = usize::try_from(self.varint()?).map_err(|_| Malformed("a length"))?;
        self.exactly(length)
    }

    pub(super) fn text(&mut self) -> Result<&'a str, Malformed> {
        std::str::from_utf8(self.bytes()?).map_err(|_| Malformed("UTF-8"))
    }

    pub(super) fn array(&mut self) -> Result<&'a [u8; 32], Malformed> {
        self.exactly(32)?.try_into().map_err(|_| Malformed("32 bytes"))
    }

    /// Checks that the body has ended.
    pub(super) fn end(self) -> Result<(), Malformed> {
        if self.rest.is_empty() { Ok(()) } else { Err(Malformed("the end of the record")) }
    }

    fn exactly(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        if length > self.rest.len() {
            return Err(Malformed("as many bytes as the length says"));
        }
        let (bytes, rest) = self.rest.split_at(length);
        self.rest = rest;
        Ok(bytes)
    }
}
