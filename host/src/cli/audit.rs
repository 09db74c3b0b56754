//! `everstep audit`.

use super::{Exit, Failure, Outcome, complain, print, print_json, text};
use everstep::clock::{Clock, SystemClock};
use everstep::policy::audit::{self, Head, NotRotated, Summary, Unverified};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Verify and rotate audit logs
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Verify(Verify),
    Rotate(Rotate),
}

/// Verify that no line of an audit log was changed, removed or inserted, or report the first bad line
///
/// Each line holds the hash of the line before it. A line that a crash left incomplete is reported; it is not an error if the line after it
/// confirms it. A single FILE is verified together with the rotated parts beside it (FILE.*); several files are one chain in the given order.
///
/// The files alone cannot show whether whole lines were removed at the end, or whether all lines were rewritten by someone with write access.
/// Keep the last line that this command prints, SEQUENCE:HASH, elsewhere, and pass it to --expect-last the next time.
///
/// Exit code 0 when the chain is intact, 1 when it is not, 2 when a file cannot be read.
#[derive(clap::Args)]
#[command(after_help = VERIFY_EXAMPLES)]
pub(crate) struct Verify {
    /// The log, or all of its files, oldest first
    #[arg(required = true, value_name = "FILE")]
    files: Vec<PathBuf>,
    /// A line that must be there: the last one that an earlier run printed
    #[arg(long, value_name = "SEQUENCE:HASH")]
    expect_last: Option<Head>,
    /// Print one JSON object {verified, files, lines, torn, after, last} or {verified, file, line, message}
    #[arg(long)]
    json: bool,
}

const VERIFY_EXAMPLES: &str = "\
Examples:
  everstep audit verify audit.jsonl
  everstep audit verify old/audit.jsonl.0 audit.jsonl --json";

/// Move the lines so far to FILE.<sequence of the first line>, and continue in a new file that links to it
///
/// Hosts that write to the log continue in the new file, and lose no line. Other programs keep the chain, too, if they rename the file and leave
/// it beside the new one; truncation (`copytruncate` of logrotate) breaks it.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  everstep audit rotate audit.jsonl\n  everstep audit rotate audit.jsonl --json")]
pub(crate) struct Rotate {
    /// The log
    file: PathBuf,
    /// Print one JSON object {part, last}
    #[arg(long)]
    json: bool,
}

pub(crate) fn run(command: &Command) -> Outcome {
    match command {
        Command::Verify(args) => verify(args),
        Command::Rotate(args) => rotate(args),
    }
}

fn verify(args: &Verify) -> Outcome {
    match audit::verify(&args.files, args.expect_last.as_ref()) {
        Ok(summary) => {
            if args.json {
                print_json(&object(&summary))?;
            } else {
                print(&describe(&summary))?;
            }
            Ok(Exit::Done)
        }
        Err(error @ Unverified::Read { .. }) => Err(unreadable(&error)),
        Err(error) => {
            if args.json {
                let place = if let Unverified::Bad(bad) = &error { Some(&bad.place) } else { None };
                let (file, line) = (place.map(|place| &place.file), place.map(|place| place.line));
                print_json(&json!({ "verified": false, "file": file, "line": line, "message": error.to_string() }))?;
            } else {
                complain(&format!("error: {error}"));
            }
            Ok(Exit::Failed)
        }
    }
}

fn rotate(args: &Rotate) -> Outcome {
    let rotated = audit::rotate(&args.file, SystemClock.now_ms()).map_err(|error| match error {
        NotRotated::Io { source, .. } => {
            Failure::io(&format!("cannot rotate {}", everstep::visible::path(&args.file)))(source)
        }
        error => Failure::usage(error.to_string()),
    })?;
    let (part, last) = (rotated.part.display(), rotated.last);
    if args.json {
        print_json(&json!({ "part": part.to_string(), "last": last.to_string() }))?;
    } else {
        print(&format!("{}, last line {last}\n", text::line(&part.to_string(), 500)))?;
    }
    Ok(Exit::Done)
}

fn unreadable(error: &Unverified) -> Failure {
    let cause = std::error::Error::source(error).map(|cause| format!(": {cause}")).unwrap_or_default();
    Failure::usage(format!("{error}{cause}"))
}

fn object(summary: &Summary) -> Value {
    let head = |head: Option<Head>| head.map(|head| head.to_string());
    let places = |summary: &Summary| summary.torn_at.iter().map(ToString::to_string).collect::<Vec<_>>();
    json!({
        "verified": true,
        "files": summary.files,
        "lines": summary.lines,
        "torn": { "lines": summary.torn, "at": places(summary) },
        "after": head(summary.after),
        "last": head(summary.last),
    })
}

fn describe(summary: &Summary) -> String {
    let mut text = String::new();
    for file in &summary.files {
        text.push_str(&format!("file   {}\n", text::line(&file.to_string_lossy(), 500)));
    }
    if let Some(after) = summary.after {
        text.push_str(&format!("after  {after}, in an earlier file\n"));
    }
    if summary.torn > 0 {
        let places = summary.torn_at.iter().map(|place| text::line(&place.to_string(), 500)).collect::<Vec<_>>();
        text.push_str(&format!(
            "torn   {}, from {}: vouched for by the line behind it\n",
            summary.torn,
            places.join(", ")
        ));
    }
    text.push_str(&format!("lines  {}\n", summary.lines));
    if let Some(last) = summary.last {
        text.push_str(&format!("last   {last}\n"));
    }
    text
}
