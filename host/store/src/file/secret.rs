//! The key that binds the journals of a store to it: a file beside the database, created with the store.

use super::lock::cannot_open;
use crate::Error;
use std::fs::{File, OpenOptions, rename};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

const FILE: &str = "journal.key";
/// Renamed to the key's file once all of it is on disk.
const NEW: &str = "journal.key.new";

/// Returns the key of the store in `dir`, whose lock the caller holds; creates it if it is missing.
///
/// # Errors
/// It cannot be read or created, or is not a key.
pub(super) fn of(dir: &Path) -> Result<[u8; 32], Error> {
    match read(&dir.join(FILE)) {
        Ok(Some(secret)) => Ok(secret),
        Ok(None) => {
            let reason =
                format!("its {FILE} is not the file of 32 bytes that everstep made; restore it, or the whole folder");
            Err(Error::Open { dir: dir.to_owned(), reason })
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            make(dir).map_err(|error| cannot_open(dir, &format!("its {FILE}: "), &error))
        }
        Err(error) => Err(cannot_open(dir, &format!("its {FILE}: "), &error)),
    }
}

/// Returns the key for a reader; `None` if the reader may not read it, or no host that knows of keys has opened the store yet.
pub(super) fn found(dir: &Path) -> Option<[u8; 32]> {
    read(&dir.join(FILE)).ok().flatten()
}

fn read(path: &Path) -> io::Result<Option<[u8; 32]>> {
    let mut bytes = Vec::with_capacity(33);
    File::open(path)?.take(33).read_to_end(&mut bytes)?;
    Ok(bytes.try_into().ok())
}

fn make(dir: &Path) -> io::Result<[u8; 32]> {
    let secret = random();
    let new = dir.join(NEW);
    // Left by a crash.
    match std::fs::remove_file(&new) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new)?;
    file.write_all(&secret)?;
    file.sync_all()?;
    rename(&new, dir.join(FILE))?;
    File::open(dir)?.sync_all()?;
    Ok(secret)
}

/// A random key, from the operating system.
#[allow(clippy::disallowed_methods, reason = "a key is no part of an execution")]
fn random() -> [u8; 32] {
    let mut random = [0; 32];
    random[..16].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    random[16..].copy_from_slice(uuid::Uuid::new_v4().as_bytes());
    *blake3::hash(&random).as_bytes()
}
