//! `everstep session`: a Python session that another program drives over standard input and output.

use super::place::{CacheArg, NetworkArg, Place, Settings, WarmArg};
use super::run::told;
use super::signals::Signals;
use super::watch::block_on;
use super::{Exit, Failure, Outcome, complain, exec, granted, json_line, log, print};
use everstep::session::{self, Message, Refused, Request, Session};
use everstep::{Everstep, ExecutionId, Policy, Run};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::io::BufRead;
use std::path::PathBuf;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};

/// How often to check that the client is still there.
const TICK: Duration = Duration::from_millis(200);

/// Drive a Python session with JSON Lines on standard input and output
///
/// One request per line: execute, complete, inspect, input_response, capability_response, interrupt, resume, status, shutdown. One message per line: ready,
/// output, display, input_request, capability_request, result, error, notice, denied. The namespace is kept between cells and after a crash: the
/// same --id resumes the session, and requests that are still open are sent again with the same ids. When standard input ends, the cells that
/// were sent run to their end unless they need an answer, and the session can be resumed later.
#[derive(clap::Args)]
#[command(after_help = EXAMPLES)]
pub(crate) struct Args {
    #[command(flatten)]
    pub(super) place: Placed,
    /// Print the JSON Schemas of requests and messages, and exit
    #[arg(long)]
    schema: bool,
}

/// Which session, where it is kept, and what its host may do.
#[derive(clap::Args)]
pub(super) struct Placed {
    /// The id of the session [default: a new one]
    #[arg(long)]
    pub(super) id: Option<ExecutionId>,
    /// What cells may do; must grant [clock], [random] and the capability `session` [default: these, print, display and input]. Capabilities
    /// that it grants by other names are served by the client
    #[arg(long, value_name = "FILE")]
    policy: Option<PathBuf>,
    #[command(flatten)]
    python: exec::PythonArg,
    /// Where the session is stored: a folder, the URL of a server, whose workers run it, or `memory`
    #[arg(long, visible_alias = "remote", value_name = "memory|DIR|URL", default_value = ".everstep")]
    pub(super) store: Place,
    /// The group of workers that runs it, on a server
    #[arg(long, value_name = "NAME", default_value = "default")]
    group: String,
    /// On a server, be one more worker of the group, for Python, until the command ends
    #[arg(long)]
    worker: bool,
    #[command(flatten)]
    warm: WarmArg,
    #[command(flatten)]
    network: NetworkArg,
    #[command(flatten)]
    cache: CacheArg,
}

const EXAMPLES: &str = "\
Examples:
  everstep session --id notebook-1
  echo '{\"type\": \"execute\", \"id\": \"1\", \"code\": \"6 * 7\"}' | everstep session
  everstep session --schema > session.schema.json";

/// The parts needed to open a session.
pub(super) struct Ready {
    pub(super) host: Everstep,
    pub(super) feed: session::Feed,
    pub(super) run: Run,
    pub(super) place: Place,
    is_worker: bool,
}

impl Ready {
    /// The end of the session here: what runs in this process is given back to the other workers.
    pub(super) fn leaving(&self) -> Leaving {
        Leaving(self.is_worker.then(|| self.host.clone()))
    }
}

/// A host that may be a worker of a server.
pub(super) struct Leaving(Option<Everstep>);

impl Leaving {
    /// Gives back what it runs.
    ///
    /// # Errors
    /// The server gives no answer.
    pub(super) async fn leave(self) -> Result<(), Failure> {
        match self.0 {
            Some(host) => Ok(host.leave(Duration::ZERO).await?),
            None => Ok(()),
        }
    }
}

impl Placed {
    /// A host for the session, and the run that starts it.
    pub(super) fn prepare(self) -> Result<Ready, Failure> {
        let Self { id, policy, python, store, group, worker, warm, network, cache } = self;
        let policy = granted::session(policy.as_deref(), exec::memory(python.python.as_deref()))?;
        store.check_out_of_reach(&policy)?;
        let component = exec::component(python.python.as_deref(), &policy, &cache)?;
        let mut run = Run::new(component, "session", "{}", policy).without_upgrading();
        run.trace = log::trace();
        let run = if let Some(id) = id { run.with_id(id) } else { run };
        let (scope, components) = store.part(worker, &run.component)?;
        let settings = Settings { cache, warm, network, scope, group: Some(group), components };
        let (builder, feed) = session::listen(settings.host(&store)?);
        let host = builder.build()?;
        Ok(Ready { host, feed, run, place: store, is_worker: worker })
    }
}

pub(crate) fn run(args: Args) -> Outcome {
    if args.schema {
        let schema = serde_json::to_string_pretty(&session::schema());
        let schema = schema.map_err(|error| Failure::io("cannot write JSON")(error.into()))?;
        print(&format!("{schema}\n"))?;
        return Ok(Exit::Done);
    }
    block_on(Box::pin(async move {
        let ready = args.place.prepare()?;
        let leaving = ready.leaving();
        let served = Box::pin(serve(ready)).await;
        let left = leaving.leave().await;
        served.and_then(|exit| left.map(|()| exit))
    }))
}

async fn serve(ready: Ready) -> Outcome {
    let Ready { host, feed, run, place, .. } = ready;
    let (id, most) = (run.id.clone(), longest_line(&run.policy));
    let (fail, mut failures) = unbounded_channel();
    // The first failure ends the session, so later ones are dropped.
    let write = move |message| write(&message).unwrap_or_else(|failure| drop(fail.send(failure)));
    let mut session = Session::open(host, feed, run, write).await?;
    complain_of_disregarded(&session, &id, &place);
    let (mut requests, mut signals) = (read(most), Signals::start(false)?);
    tokio::select! {
        biased;
        Some(failure) = failures.recv() => return Err(failure),
        served = session.serve(&mut requests) => served?,
        () = client_gone() => {}
        exit = signals.end() => return Ok(exit),
    }
    // A failure to write the last messages counts as well.
    failures.try_recv().map_or(Ok(Exit::Done), Err)
}

/// Notes the parts of the command line that are ignored for a session that existed before.
pub(super) fn complain_of_disregarded(session: &Session, id: &ExecutionId, place: &Place) {
    let option = place.option();
    session.disregarded().iter().for_each(|disregarded| complain(&told(id, disregarded, &option)));
}

/// The most bytes of a line besides its value: names, ids and white space.
const ENVELOPE: u64 = 64 << 10;
/// The longest line, whatever the policy allows, in bytes.
const LONGEST: u64 = 256 << 20;

fn longest_line(policy: &Policy) -> usize {
    let most = policy.limits.bytes_per_call.saturating_add(ENVELOPE).min(LONGEST);
    usize::try_from(most).unwrap_or(usize::MAX)
}

/// Writes a message as one line.
fn write(message: &Message) -> Result<(), Failure> {
    print(&format!("{}\n", json_line(message)?))
}

/// Completes once the reader of standard output is gone.
async fn client_gone() {
    let mut tick = tokio::time::interval(TICK);
    loop {
        tick.tick().await;
        let stdout = std::io::stdout();
        let mut polled = [PollFd::new(&stdout, PollFlags::empty())];
        if poll(&mut polled, Some(&Timespec::default())).is_ok() && polled[0].revents().contains(PollFlags::ERR) {
            return;
        }
    }
}

/// The requests on standard input, until it ends. A line of more than `most` bytes is refused without being kept.
fn read(most: usize) -> UnboundedReceiver<Result<Request, Refused>> {
    let (sender, requests) = unbounded_channel();
    // The thread ends with the process, or with standard input.
    std::thread::spawn(move || {
        let mut lines = Lines { from: std::io::stdin().lock(), most };
        while let Ok(Some(line)) = lines.next() {
            let request = match line {
                Line::Fits(line) if line.iter().all(u8::is_ascii_whitespace) => continue,
                Line::Fits(line) => Request::parse(&line),
                Line::TooLong(bytes) => {
                    let message = format!("a line of {bytes} bytes; a request may have {most} (limits.bytes_per_call)");
                    Err(Refused { id: None, message })
                }
            };
            if sender.send(request).is_err() {
                return;
            }
        }
    });
    requests
}

/// Lines, of which at most `most` bytes are kept.
struct Lines<R> {
    from: R,
    most: usize,
}

#[derive(Debug, PartialEq, Eq)]
enum Line {
    Fits(Vec<u8>),
    /// The length of the line, in bytes.
    TooLong(u64),
}

impl<R: BufRead> Lines<R> {
    /// The next line, with its end; `None` at the end of input.
    fn next(&mut self) -> std::io::Result<Option<Line>> {
        let (mut line, mut length) = (Vec::new(), 0_u64);
        loop {
            let part = self.from.fill_buf()?;
            let end = part.iter().position(|byte| *byte == b'\n').map(|at| at + 1);
            let taken = end.unwrap_or(part.len());
            length += taken as u64;
            if length <= self.most as u64 {
                line.extend_from_slice(&part[..taken]);
            } else {
                line = Vec::new();
            }
            self.from.consume(taken);
            if end.is_some() || taken == 0 {
                break;
            }
        }
        Ok(match length {
            0 => None,
            length if length <= self.most as u64 => Some(Line::Fits(line)),
            length => Some(Line::TooLong(length)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Line, Lines};

    #[test]
    fn a_line_that_is_too_long_is_passed_over_and_the_next_one_read() {
        let from = std::io::BufReader::with_capacity(3, &b"abcd\nefghijk\n\nlast"[..]);
        let mut lines = Lines { from, most: 5 };
        let mut next = || lines.next().unwrap();
        assert_eq!(next(), Some(Line::Fits(b"abcd\n".to_vec())));
        assert_eq!(next(), Some(Line::TooLong(8)));
        assert_eq!(next(), Some(Line::Fits(b"\n".to_vec())));
        assert_eq!((next(), next()), (Some(Line::Fits(b"last".to_vec())), None));
    }
}
