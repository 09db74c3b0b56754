//! A folder with a policy in it, and hosts over a place for executions.

use crate::guests;
use crate::place::{Place, cached};
use anyhow::{Context, Result};
use everstep::store::State;
use everstep::{Builder, Everstep, ExecutionId, Policy, Report, Run};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// A temporary folder: `in` and `out` for guests, `secret` outside any grant, and `audit.jsonl`; and a place for executions.
#[derive(Debug)]
pub struct Sandbox {
    dir: TempDir,
    place: Place,
}

/// Grants what most tests need: `/in` to read, `/out` to write, and an audit log.
pub const FILES: &str = r#"
    [[files]]
    id = "in"
    guest = "/in"
    host = "in"
    access = "read"
    [[files]]
    id = "out"
    guest = "/out"
    host = "out"
    access = "write"
    [audit]
    file = "audit.jsonl"
"#;

impl Sandbox {
    /// A fresh one for each place.
    ///
    /// # Panics
    /// The temporary folder cannot be written.
    #[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    pub fn each() -> impl Iterator<Item = Self> {
        Place::each().map(|place| Self::over(place).unwrap())
    }

    /// The same, but for a server, for a test that has no meaning there.
    ///
    /// # Panics
    /// The temporary folder cannot be written.
    #[allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
    pub fn local() -> impl Iterator<Item = Self> {
        Place::local().map(|place| Self::over(place).unwrap())
    }

    /// A fresh one for this place.
    ///
    /// # Errors
    /// The temporary folder cannot be written.
    pub fn over(place: Place) -> Result<Self> {
        let sandbox = Self { dir: TempDir::new()?, place };
        for folder in ["in", "out"] {
            fs::create_dir(sandbox.path(folder))?;
        }
        fs::write(sandbox.path("in/a.txt"), "inside")?;
        fs::write(sandbox.path("secret"), "outside")?;
        Ok(sandbox)
    }

    /// Where its executions live.
    pub fn place(&self) -> &Place {
        &self.place
    }

    /// A path below it.
    pub fn path(&self, path: impl AsRef<Path>) -> PathBuf {
        self.dir.path().join(path)
    }

    /// A policy as if its file stood here.
    ///
    /// # Errors
    /// It does not load.
    pub fn policy(&self, toml: &str) -> Result<Policy> {
        Ok(Policy::parse(&format!("version = 1\n{toml}"), &self.path("policy.toml"))?)
    }

    /// What the next host over its place is built from.
    pub fn builder(&self) -> Builder {
        cached(self.place.plain())
    }

    /// A host over its place; it finds what the last one left.
    ///
    /// # Errors
    /// The store cannot be opened, or the engine not started.
    pub fn host(&self) -> Result<Everstep> {
        Ok(self.builder().build()?)
    }

    /// What the audit log holds. Checks that each line holds the hash of the one before it.
    ///
    /// # Errors
    /// The chain is broken.
    pub fn audit(&self) -> Result<Vec<Value>> {
        let text = fs::read_to_string(self.path("audit.jsonl"))?;
        let (mut previous, mut lines) = ("0".repeat(64), Vec::new());
        for (sequence, line) in text.lines().enumerate() {
            let entry: Value = serde_json::from_str(line)?;
            anyhow::ensure!(entry["previous"] == previous.as_str(), "line {sequence} is not chained: {line}");
            anyhow::ensure!(entry["sequence"] == sequence, "line {sequence} has another number: {line}");
            previous = hex::encode(Sha256::digest(line));
            lines.push(entry);
        }
        Ok(lines)
    }

    /// Every entry below it with its content, apart from the audit log; to see that nothing has changed.
    ///
    /// # Errors
    /// Something cannot be read.
    pub fn inventory(&self) -> Result<Vec<String>> {
        let mut entries = Vec::new();
        inventory(self.dir.path(), &mut entries)?;
        entries.sort();
        Ok(entries)
    }
}

fn inventory(dir: &Path, entries: &mut Vec<String>) -> Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        let found = fs::symlink_metadata(&path)?;
        if path.ends_with("audit.jsonl") {
            continue;
        }
        let content = if found.is_file() && found.len() < 1 << 20 { fs::read(&path)? } else { Vec::new() };
        entries.push(format!("{} {:?} {} {:?}", path.display(), found.file_type(), found.len(), content));
        if found.is_dir() {
            inventory(&path, entries)?;
        }
    }
    Ok(())
}

/// Lets the guest `hostile` make these calls; what each came to.
///
/// # Errors
/// The execution did not complete.
pub async fn calls(host: &Everstep, policy: &Policy, calls: Value) -> Result<Vec<Value>> {
    let report = attack(host, policy, "calls", &calls.to_string()).await?;
    outcomes(&report)
}

/// What each call of a completed `calls` came to.
///
/// # Errors
/// The execution did not complete.
pub fn outcomes(report: &Report) -> Result<Vec<Value>> {
    anyhow::ensure!(report.state == State::Completed, "{report:?}");
    Ok(serde_json::from_str(report.result.as_deref().context("no result")?)?)
}

/// Runs one function of the guest `hostile` to its end.
///
/// # Errors
/// The host failed, which no guest may bring about.
pub async fn attack(host: &Everstep, policy: &Policy, function: &str, args: &str) -> Result<Report> {
    Ok(host.run(hostile(policy, function, args)?).await?)
}

/// A run of one function of the guest `hostile`.
///
/// # Errors
/// The guest does not compile.
pub fn hostile(policy: &Policy, function: &str, args: &str) -> Result<Run> {
    Ok(Run::new(guests::fixture("hostile")?, function, args, policy.clone()))
}

/// An id.
///
/// # Errors
/// It is none.
pub fn id(text: &str) -> Result<ExecutionId> {
    Ok(ExecutionId::new(text)?)
}
