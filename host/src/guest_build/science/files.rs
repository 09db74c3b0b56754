//! The one file that CPython reads while it is prepared, as WASI preview 1 shows it.

use std::ops::Range;

/// Where the file is, and its name.
const FOLDER: &[u8] = b"/usr/local/lib";
const NAME: &[u8] = b"python315.zip";
/// The descriptor of the folder; those of the opened file come after it.
const ROOT: i32 = 3;
/// Error numbers, and kinds of files.
const BADF: i32 = 8;
const INVAL: i32 = 28;
const NOENT: i32 = 44;
const DEVICE: u8 = 2;
const DIRECTORY: u8 = 3;
const REGULAR: u8 = 4;

/// None: memory has not what is pointed to.
type Done = Option<Result<(), i32>>;

pub(super) struct Files {
    content: Vec<u8>,
    /// Where each descriptor reads next; none if it is closed.
    opened: Vec<Option<usize>>,
}

impl Files {
    pub(super) fn new(content: Vec<u8>) -> Self {
        Self { content, opened: Vec::new() }
    }

    fn at(&mut self, fd: i32) -> Option<&mut usize> {
        let index = usize::try_from(fd.checked_sub(ROOT + 1)?).ok()?;
        self.opened.get_mut(index)?.as_mut()
    }

    pub(super) fn open(&mut self, memory: &mut [u8], fd: i32, at: i32, length: i32, to: i32) -> Done {
        if fd != ROOT || get(memory, at, length)? != NAME {
            return Some(Err(NOENT));
        }
        self.opened.push(Some(0));
        let new = ROOT + i32::try_from(self.opened.len()).ok()?;
        put(memory, to, &new.to_le_bytes())?;
        Some(Ok(()))
    }

    pub(super) fn close(&mut self, fd: i32) -> Done {
        let index = usize::try_from(fd.checked_sub(ROOT + 1)?).ok()?;
        *self.opened.get_mut(index)? = None;
        Some(Ok(()))
    }

    /// Reads at an offset, or on from where the descriptor is.
    pub(super) fn read(
        &mut self,
        memory: &mut [u8],
        fd: i32,
        at: i32,
        count: i32,
        offset: Option<i64>,
        to: i32,
    ) -> Done {
        let Some(next) = self.at(fd).copied() else { return Some(Err(BADF)) };
        let start = offset.map_or(Some(next), |offset| usize::try_from(offset).ok())?.min(self.content.len());
        let mut place = start;
        for part in parts(memory, at, count)? {
            let length = part.len().min(self.content.len() - place);
            memory.get_mut(part)?[..length].copy_from_slice(&self.content[place..place + length]);
            place += length;
        }
        if offset.is_none() {
            *self.at(fd)? = place;
        }
        put(memory, to, &u32::try_from(place - start).ok()?.to_le_bytes())?;
        Some(Ok(()))
    }

    pub(super) fn seek(&mut self, memory: &mut [u8], fd: i32, by: i64, from: i32, to: i32) -> Done {
        let length = self.content.len();
        let Some(next) = self.at(fd) else { return Some(Err(BADF)) };
        let base = match from {
            0 => 0,
            1 => *next,
            _ => length,
        };
        let Some(place) = i64::try_from(base).ok()?.checked_add(by).and_then(|place| usize::try_from(place).ok())
        else {
            return Some(Err(INVAL));
        };
        *next = place;
        put(memory, to, &(place as u64).to_le_bytes())?;
        Some(Ok(()))
    }

    pub(super) fn kind(&mut self, memory: &mut [u8], fd: i32, to: i32) -> Done {
        let kind = match fd {
            0..=2 => DEVICE,
            ROOT => DIRECTORY,
            _ if self.at(fd).is_some() => REGULAR,
            _ => return Some(Err(BADF)),
        };
        // With all rights.
        let mut told = [0xff; 24];
        told[..8].copy_from_slice(&[kind, 0, 0, 0, 0, 0, 0, 0]);
        put(memory, to, &told)?;
        Some(Ok(()))
    }

    pub(super) fn stat(&mut self, memory: &mut [u8], fd: i32, to: i32) -> Done {
        let (kind, size) = match fd {
            0..=2 => (DEVICE, 0),
            ROOT => (DIRECTORY, 0),
            _ if self.at(fd).is_some() => (REGULAR, self.content.len()),
            _ => return Some(Err(BADF)),
        };
        put(memory, to, &told(kind, size))?;
        Some(Ok(()))
    }

    pub(super) fn path_stat(&mut self, memory: &mut [u8], fd: i32, at: i32, length: i32, to: i32) -> Done {
        let (kind, size) = match get(memory, at, length)? {
            NAME if fd == ROOT => (REGULAR, self.content.len()),
            b"." if fd == ROOT => (DIRECTORY, 0),
            _ => return Some(Err(NOENT)),
        };
        put(memory, to, &told(kind, size))?;
        Some(Ok(()))
    }

    pub(super) fn folder(&mut self, memory: &mut [u8], fd: i32, to: i32) -> Done {
        if fd != ROOT {
            return Some(Err(BADF));
        }
        put(memory, to, &(FOLDER.len() as u64).rotate_left(32).to_le_bytes())?;
        Some(Ok(()))
    }

    pub(super) fn folder_name(&mut self, memory: &mut [u8], fd: i32, to: i32, length: i32) -> Done {
        if fd != ROOT || usize::try_from(length).ok()? < FOLDER.len() {
            return Some(Err(BADF));
        }
        put(memory, to, FOLDER)?;
        Some(Ok(()))
    }
}

/// What is told of a file: the device, the inode, the kind, the links, the size, and three times.
fn told(kind: u8, size: usize) -> [u8; 64] {
    let mut told = [0; 64];
    told[16] = kind;
    told[24] = 1;
    told[32..40].copy_from_slice(&(size as u64).to_le_bytes());
    told
}

/// The places of the parts that are read to, or written from.
pub(super) fn parts(memory: &[u8], at: i32, count: i32) -> Option<Vec<Range<usize>>> {
    let described = get(memory, at, count.checked_mul(8)?)?;
    let word = |bytes: &[u8]| bytes.try_into().ok().map(|bytes| u32::from_le_bytes(bytes) as usize);
    described
        .chunks_exact(8)
        .map(|each| {
            let (start, length) = (word(&each[..4])?, word(&each[4..])?);
            let part = start..start.checked_add(length)?;
            memory.get(part.clone()).map(|_| part)
        })
        .collect()
}

fn get(memory: &[u8], at: i32, length: i32) -> Option<&[u8]> {
    let start = at as u32 as usize;
    memory.get(start..start.checked_add(length as u32 as usize)?)
}

pub(super) fn put(memory: &mut [u8], at: i32, bytes: &[u8]) -> Option<()> {
    let start = at as u32 as usize;
    memory.get_mut(start..start.checked_add(bytes.len())?)?.copy_from_slice(bytes);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_found_in_its_folder_and_read_from_any_place() {
        let (mut files, mut memory) = (Files::new(b"content".to_vec()), vec![0; 256]);
        memory[..NAME.len()].copy_from_slice(NAME);
        let length = NAME.len() as i32;
        assert_eq!(files.open(&mut memory, ROOT, 1, length, 100), Some(Err(NOENT)));
        assert_eq!(files.open(&mut memory, ROOT, 0, length, 100), Some(Ok(())));
        let fd = i32::from(memory[100]);
        // One part, of 4 bytes at 200.
        memory[40..48].copy_from_slice(&[200, 0, 0, 0, 4, 0, 0, 0]);
        assert_eq!(files.seek(&mut memory, fd, -5, 2, 60), Some(Ok(())));
        assert_eq!(files.read(&mut memory, fd, 40, 1, None, 100), Some(Ok(())));
        assert_eq!((&memory[200..204], memory[100]), (&b"nten"[..], 4));
        assert_eq!(files.read(&mut memory, fd, 40, 1, Some(6), 100), Some(Ok(())));
        assert_eq!((memory[200], memory[100]), (b't', 1));
        assert_eq!(files.read(&mut memory, fd, 250, 1, None, 100), None, "what describes the parts is not there");
        assert_eq!(files.close(fd), Some(Ok(())));
        assert_eq!(files.read(&mut memory, fd, 40, 1, None, 100), Some(Err(BADF)));
    }
}
