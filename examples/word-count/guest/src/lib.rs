//! Counts the words of every file in a folder.

use everstep_sdk::{Context, Error, FileKind};
use serde::{Deserialize, Serialize};

#[derive(Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Args {
    /// Guest path of the folder to read.
    input: String,
    /// Guest path of the folder to write to.
    output: String,
}

impl Default for Args {
    fn default() -> Self {
        Self { input: "/in".into(), output: "/out".into() }
    }
}

#[derive(Serialize)]
struct Count<'a> {
    file: &'a str,
    words: usize,
    bytes: usize,
}

#[derive(Default, Serialize)]
struct Totals {
    files: usize,
    words: usize,
    bytes: usize,
}

/// Counts the whitespace-separated words of every file in a folder and writes one JSON file for each.
///
/// Subfolders and symlinks are skipped. Bytes that are not UTF-8 count as the replacement character does, so that the numbers equal
/// those of `LC_ALL=C.UTF-8 wc -w` for text.
#[everstep_sdk::function]
async fn count(ctx: Context, args: Args) -> Result<Totals, Error> {
    let mut totals = Totals::default();
    for entry in ctx.list(&args.input)? {
        if entry.kind != FileKind::File {
            continue;
        }
        let content = ctx.read_file(format!("{}/{}", args.input, entry.name))?;
        let words = String::from_utf8_lossy(&content).split_whitespace().count();
        let count = Count { file: &entry.name, words, bytes: content.len() };
        ctx.write_file(format!("{}/{}.json", args.output, entry.name), serde_json::to_vec(&count)?)?;
        ctx.print(format!("{}: {} words, {} bytes", count.file, count.words, count.bytes))?;

        totals.files += 1;
        totals.words += count.words;
        totals.bytes += count.bytes;
    }
    Ok(totals)
}
