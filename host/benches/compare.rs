//! What `make compare` sets beside its peers: does what it reads, a line of JSON each, and answers each with a line of JSON. Its one
//! argument is the folder of the store. `compare/compare.py` says what the commands are; the folder `compare` has the peers.
#![allow(clippy::disallowed_methods, reason = "a bench reads the clock")]

use everstep::capability::{Idempotent, Request};
use everstep::{Component, ErrorCode, Everstep, ExecutionId, GuestError, PROGRAM, Policy, Run};
use serde_json::{Value, json};
use std::fs::{self, File, OpenOptions};
use std::io::{BufRead as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Instant, SystemTime};

#[path = "shared/bare.rs"]
mod bare;

/// As the `everstep` command has it.
#[cfg(feature = "allocator")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

/// Files that the program reads.
const FILES: usize = 1_000;

const POLICY: &str = r#"
version = 1
name = "compare"
[limits]
steps = "unlimited"
journal = "unlimited"
cpu = "unlimited"
wall = "unlimited"
memory = "1GiB"
bytes_per_call = "64MiB"
[clock]
mode = "recorded"
[random]
mode = "seeded"
[env]
HOME = "/"
[[capability]]
name = "print"
[[capability]]
name = "echo"
[[capability]]
name = "call"
[[capability]]
name = "nobody"
[[files]]
id = "data"
guest = "/data"
host = "data"
access = "read"
"#;

fn main() -> Outcome<()> {
    let dir = PathBuf::from(std::env::args_os().nth(1).ok_or("the folder of the store is missing")?);
    let compare = Compare::new(&dir)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        // As with the others, compiling is over when the first command comes.
        compare.timed("steps", &json!({ "times": 1 })).await?;
        println!("\"ready\"");
        for line in std::io::stdin().lock().lines() {
            let command: Vec<Value> = serde_json::from_str(&line?)?;
            println!("{}", compare.answer(&command).await?);
        }
        Ok(())
    })
}

struct Compare {
    dir: PathBuf,
    /// Where guests are built.
    shared: PathBuf,
    host: Everstep,
    policy: Policy,
    workbench: Component,
    /// To which the witnessed steps add the moment.
    witness: Arc<Mutex<Option<File>>>,
}

impl Compare {
    fn new(dir: &Path) -> Outcome<Self> {
        fs::create_dir_all(dir.join("data"))?;
        // What one round has compiled is there in the next one.
        let shared = dir.parent().ok_or("the folder of the store has none around it")?;
        let witness = Arc::<Mutex<Option<File>>>::default();
        let noted = Arc::clone(&witness);
        let echo = move |request: Request| {
            let noted = match noted.lock().as_deref_mut() {
                Ok(Some(file)) => note(file),
                _ => Ok(()),
            };
            let failed =
                |error: Box<dyn std::error::Error + Send + Sync>| GuestError::new(ErrorCode::Failed, error.to_string());
            let answer = noted.map(|()| request.message).map_err(failed);
            async move { answer }
        };
        Ok(Self {
            dir: dir.to_owned(),
            shared: shared.to_owned(),
            host: Everstep::open(dir.join("store"))
                .capability("echo", Idempotent(echo))
                .cache(shared.join("cache"))
                .build()?,
            policy: Policy::parse(POLICY, &dir.join("policy.toml"))?,
            workbench: built(shared, "workbench")?.into(),
            witness,
        })
    }

    async fn answer(&self, command: &[Value]) -> Outcome<Value> {
        let number = |at: usize| command.get(at).and_then(Value::as_u64).ok_or("a number is missing");
        let times = |at: usize| number(at).map(|times| json!({ "times": times }));
        let name = |at: usize| command.get(at).and_then(Value::as_str).ok_or("a text is missing");
        Ok(match name(0)? {
            "steps" => json!(self.timed("steps", &times(1)?).await?),
            "external" => json!(self.timed("requests", &times(1)?).await?),
            "one" => {
                let mut took = Vec::new();
                for _ in 0..number(1)? {
                    took.push(self.timed("steps", &json!({ "times": 1 })).await?);
                }
                json!(took)
            }
            "wide" => json!(self.wide("steps", number(1)?, number(2)?).await?),
            "witnessed" | "resume" => {
                let file = OpenOptions::new().create(true).append(true).open(name(3)?)?;
                *self.witness.lock().map_err(|_| "poisoned")? = Some(file);
                self.host.start(self.run("requests", &times(2)?).with_id(name(1)?.parse()?)).await?;
                json!(0)
            }
            "payloads" => {
                json!(self.timed("payloads", &json!({ "bytes": number(1)?, "times": number(2)? })).await?)
            }
            "calls" => json!(self.timed("calls", &times(1)?).await?),
            "suspended" => json!(self.wide("ticks_then_wait", number(1)?, number(2)?).await?),
            "files" => json!(self.files(&self.transfer()?).await?),
            // It has a runtime of its own.
            "bare files" => json!(tokio::task::block_in_place(|| self.bare_files(&self.transfer()?))?),
            other => return Err(format!("{other} is no command").into()),
        })
    }

    fn run(&self, function: &str, args: &Value) -> Run {
        Run::new(self.workbench.clone(), function, args.to_string(), self.policy.clone()).with_id(ExecutionId::random())
    }

    /// Seconds of an execution.
    async fn timed(&self, function: &str, args: &Value) -> Outcome<f64> {
        self.completed(self.run(function, args)).await
    }

    async fn completed(&self, run: Run) -> Outcome<f64> {
        let started = Instant::now();
        let report = self.host.run(run).await?;
        let took = started.elapsed().as_secs_f64();
        if report.result.is_none() { Err(format!("{report:?}").into()) } else { Ok(took) }
    }

    /// Seconds of so many executions of a function, each with one step, so many of them under way at any time.
    async fn wide(&self, function: &str, width: u64, times: u64) -> Outcome<f64> {
        let started = Instant::now();
        let tasks: Vec<_> = (0..width)
            .map(|_| {
                let (host, run) = (self.host.clone(), self.run(function, &json!({ "times": 1 })).without_waiting());
                tokio::spawn(async move {
                    for _ in 0..times / width {
                        let report = host.run(run.clone().with_id(ExecutionId::random())).await?;
                        if report.error.is_some() {
                            return Err(format!("{report:?}").into());
                        }
                    }
                    Outcome::Ok(())
                })
            })
            .collect();
        for task in tasks {
            task.await??;
        }
        Ok(started.elapsed().as_secs_f64())
    }

    /// A program, and the files that it reads.
    fn transfer(&self) -> Outcome<Vec<u8>> {
        for file in 0..FILES {
            fs::write(self.dir.join("data").join(file.to_string()), [b'x'; 4096])?;
        }
        built(&self.shared, "transfer")
    }

    /// Seconds of that program.
    async fn files(&self, program: &[u8]) -> Outcome<f64> {
        let argv = json!(["transfer", "read-each", "/data", FILES.to_string()]).to_string();
        let run = Run::new(Component::from(program.to_vec()), PROGRAM, argv, self.policy.clone());
        self.completed(run.with_id(ExecutionId::random())).await
    }

    /// The same on the bare engine, once compiled.
    fn bare_files(&self, program: &[u8]) -> Outcome<f64> {
        let bare = bare::Engine::new()?;
        let program = bare.compile(program)?;
        let files = FILES.to_string();
        let started = Instant::now();
        let argv = ["transfer", "read-each", "/data", files.as_str()];
        bare.run(&program, argv, &[("/data", &self.dir.join("data"))])?;
        Ok(started.elapsed().as_secs_f64())
    }
}

/// The bytes of a guest of the tests.
fn built(dir: &Path, guest: &str) -> Outcome<Vec<u8>> {
    let built = dir.join(format!("{guest}.wasm"));
    if !built.exists() {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/guests").join(guest);
        everstep::guest_build::build(&source, Some(&built))?;
    }
    Ok(fs::read(built)?)
}

/// Adds the moment, in nanoseconds, to a file.
fn note(file: &mut File) -> Outcome<()> {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH)?.as_nanos();
    Ok(writeln!(file, "{now}")?)
}
