//! Does the work whose instructions `counted/main.rs` counts: `counted COMPONENT CACHE` runs the functions of the workbench in memory.
//!
//! Each kind of work has a function of its own, by whose name the count is found. One thread does all of it.

use everstep::capability::{Idempotent, Request};
use everstep::policy::url::Target;
use everstep::policy::{Call, FetchCall, Usage};
use everstep::{Everstep, ExecutionId, Policy, Run};
use std::fmt::Write;
use std::hint::black_box;
use std::path::Path;
use tokio::runtime::{Builder, Runtime};

const POLICY: &str = r#"
version = 1
name = "counted"
[limits]
cpu = "unlimited"
wall = "unlimited"
[clock]
mode = "recorded"
[[capability]]
name = "echo"
"#;

/// A host in memory, and a run for it.
struct Work {
    runtime: Runtime,
    host: Everstep,
    run: Run,
}

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [component, cache] = &arguments[..] else { anyhow::bail!("usage: counted COMPONENT CACHE") };
    let runtime = Builder::new_current_thread().enable_all().build()?;
    let echo = |request: Request| async move { Ok(request.message) };
    // One instance: valgrind leaves little room for reserved memory.
    let host = Everstep::local().capability("echo", Idempotent(echo)).instances(1).cache(cache);
    let host = runtime.block_on(async { host.build() })?;
    let component: everstep::Component = std::fs::read(component)?.into();
    let run = Run::new(component, "ticks", "", Policy::parse(POLICY, Path::new("policy.toml"))?);
    let work = Work { runtime, host, run };
    // Loads the component, and has everything in place that stays.
    work.run("steps", 1, 1)?;
    work.run("requests", 1, 1)?;
    work.run("ticks", 1, 1)?;
    internal_steps(&work)?;
    external_steps(&work)?;
    starts(&work)?;
    denied_fetches()
}

#[inline(never)]
fn internal_steps(work: &Work) -> anyhow::Result<()> {
    work.run("steps", 2_000, 1)
}

#[inline(never)]
fn external_steps(work: &Work) -> anyhow::Result<()> {
    work.run("requests", 200, 1)
}

#[inline(never)]
fn starts(work: &Work) -> anyhow::Result<()> {
    work.run("ticks", 1, 100)
}

/// Fetches that no rule allows, out of a thousand.
#[inline(never)]
fn denied_fetches() -> anyhow::Result<()> {
    let mut rules = "version = 1\n".to_owned();
    for n in 0..1_000 {
        let url = format!("https://api.github.com/repos/owner-{n}/**");
        writeln!(rules, "[[fetch]]\nid = \"r{n}\"\nurl = \"{url}\"\nmethods = [\"GET\"]")?;
    }
    let policy = Policy::parse(&rules, Path::new("policy.toml"))?;
    let url = Target::parse("https://api.github.com/user/repos")?;
    denials(&policy, &url);
    Ok(())
}

#[inline(never)]
fn denials(policy: &Policy, url: &Target) {
    for _ in 0..1_000 {
        let call = Call::Fetch(FetchCall { method: "GET", url, bytes: 0 });
        black_box(policy.decide(black_box(&call), &Usage::default(), 0));
    }
}

impl Work {
    /// Runs a function `executions` times, and has it do its part `times` times in each.
    fn run(&self, function: &str, times: u32, executions: u32) -> anyhow::Result<()> {
        for _ in 0..executions {
            let mut run = self.run.clone().with_id(ExecutionId::random());
            (run.function, run.args) = (function.to_owned(), format!("{{\"times\": {times}}}"));
            let report = self.runtime.block_on(self.host.run(run))?;
            anyhow::ensure!(report.error.is_none(), "{report:?}");
        }
        Ok(())
    }
}
