//! Does what it reads, a line each, in workflows of DBOS over the database that `DBOS_DATABASE_URL` names, and answers each with a
//! line of JSON.

use dbos::{Config, DBOS, StartOptions, WorkflowRef, step};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use std::fs::OpenOptions;
use std::io::Write as _;
use std::time::{Instant, SystemTime};
use tokio::io::{AsyncBufReadExt as _, BufReader};

type Outcome<T> = Result<T, Box<dyn std::error::Error + Send + Sync>>;

#[derive(Deserialize, Serialize)]
struct Witnessed {
    times: u64,
    file: String,
}

async fn steps(times: u64) -> dbos::Result<u64> {
    let mut sum = 0;
    for number in 0..times {
        sum += step("number", || async move { Ok::<_, dbos::Error>(number) }).await?;
    }
    Ok(sum)
}

async fn witnessed(args: Witnessed) -> dbos::Result<u64> {
    for number in 0..args.times {
        step("number", || async { Ok::<_, dbos::Error>(note(&args.file, number)) }).await?;
    }
    Ok(args.times)
}

/// Adds the moment, in nanoseconds, to a file.
fn note(file: &str, number: u64) -> u64 {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_nanos();
    let mut file = OpenOptions::new().create(true).append(true).open(file).expect("the file of the comparison");
    writeln!(file, "{now}").expect("the file of the comparison");
    number
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let mut config = Config::from_env("compare");
    config.app_version = Some("1".to_owned());
    config.executor_id = Some("compare".to_owned());
    let dbos = DBOS::new(config);
    let work: WorkflowRef<u64, u64> = dbos.register_workflow("steps", steps)?;
    let noted: WorkflowRef<Witnessed, u64> = dbos.register_workflow("witnessed", witnessed)?;
    // Takes up what another process has left.
    dbos.launch().await?;
    println!("\"ready\"");
    let mut lines = BufReader::new(tokio::io::stdin()).lines();
    while let Some(line) = lines.next_line().await? {
        let command: Vec<Value> = serde_json::from_str(&line)?;
        let number = |at: usize| command[at].as_u64().ok_or("a number is missing");
        let answer = match command[0].as_str().unwrap_or_default() {
            "steps" => {
                let started = Instant::now();
                work.run(number(1)?).await?;
                json!(started.elapsed().as_secs_f64())
            }
            "one" => {
                let mut took = Vec::new();
                for _ in 0..number(1)? {
                    let started = Instant::now();
                    work.run(1).await?;
                    took.push(started.elapsed().as_secs_f64());
                }
                json!(took)
            }
            "wide" => {
                let (width, times) = (number(1)?, number(2)?);
                let started = Instant::now();
                let tasks: Vec<_> = (0..width)
                    .map(|_| {
                        let work = work.clone();
                        tokio::spawn(async move {
                            for _ in 0..times / width {
                                work.run(1).await?;
                            }
                            Ok::<_, dbos::Error>(())
                        })
                    })
                    .collect();
                for task in tasks {
                    task.await??;
                }
                json!(started.elapsed().as_secs_f64())
            }
            "witnessed" => {
                let args = Witnessed { times: number(2)?, file: command[3].as_str().unwrap_or_default().to_owned() };
                noted.start_with(args, StartOptions::default()).await?;
                json!(0)
            }
            "resume" => json!(0),
            other => return Err(format!("{other} is no command").into()),
        };
        println!("{answer}");
    }
    Ok(())
}
