//! Looks up a decision by its short name.

use super::line::{Line, OUTCOME};
use super::parts;
use super::read::Lines;
use super::verify::Place;
use std::fs::File;
use std::io;
use std::path::Path;

/// A decision in a log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Its place.
    pub place: Place,
    /// Its line.
    pub decision: Line,
    /// The line of the outcome of the effect, if there is one.
    pub outcome: Option<Line>,
}

/// The latest decision with that id, in the log or, if it has none, in a rotated part beside it. The chain is not checked.
///
/// A step that was lost in a crash is decided again under the same id, and so is one that needed an approval: hence the latest.
pub fn find(path: &Path, id: &str) -> io::Result<Option<Found>> {
    let (current, mut parts) = (File::open(path), parts::beside(path)?);
    // An outcome may come after a rotation.
    let mut outcome = None;
    match current {
        Ok(file) => {
            if let Some(found) = search(path, file, id, &mut outcome)? {
                return Ok(Some(found));
            }
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound && !parts.is_empty() => {}
        Err(error) => return Err(error),
    }
    while let Some(part) = parts.pop() {
        if let Some(found) = search(&part.path, part.file, id, &mut outcome)? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

fn search(path: &Path, file: File, id: &str, outcome: &mut Option<Line>) -> io::Result<Option<Found>> {
    let named = format!("\"id\":\"{id}\"");
    let is_wanted = |bytes: &[u8]| std::str::from_utf8(bytes).is_ok_and(|text| text.contains(&named));
    let mut lines = Lines::new(file)?;
    let (mut found, mut later) = (None, None);
    while let Some(line) = lines.next_where(is_wanted) {
        let (number, line) = line?;
        if line.id != id {
            continue;
        }
        if line.decision == OUTCOME {
            later = Some(line);
        } else {
            found = Some((Place { file: path.to_owned(), line: number }, line));
            later = None;
        }
    }
    if later.is_some() || found.is_none() {
        *outcome = later.or(outcome.take());
    }
    Ok(found.map(|(place, decision)| Found { place, decision, outcome: outcome.take() }))
}
