//! Several hosts over one folder, in one process: each holds its own, they hear each other, and what one leaves the others go on with.
//! `shared_commands` does the same with real processes.
//!
//! One place: what hosts share is a store in a folder.

use crate::support::{Calls, Place, Shown, eventually, id, life, result, run, soon};
use everstep::store::operation::{Operation, Settlement};
use everstep::store::record::{PromiseState, Value};
use everstep::store::{Change, Execution, FailureKind, State};
use everstep::{Builder, Cancellation, Error, ErrorCode, Everstep, Patience, Report, Run, Scope};
use std::io::{Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;

/// A host that takes up everything.
fn that_stays(place: &Place) -> Builder {
    place.host().scope(Scope::Everything)
}

/// A host with a life of its own: it ends at once when dropped, with everything that it started.
struct Other {
    host: Option<Everstep>,
    runtime: Option<Runtime>,
}

impl Other {
    fn start(builder: Builder) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        let host = runtime.block_on(async { builder.build().unwrap() });
        Self { host: Some(host), runtime: Some(runtime) }
    }

    fn host(&self) -> &Everstep {
        self.host.as_ref().unwrap()
    }

    fn run(&self, run: Run) -> JoinHandle<Result<Report, Arc<Error>>> {
        let host = self.host().clone();
        self.runtime.as_ref().unwrap().spawn(async move { host.run(run).await })
    }

    fn block_on<T>(&self, work: impl Future<Output = T>) -> T {
        self.runtime.as_ref().unwrap().block_on(work)
    }

    async fn state(&self, of: &str) -> Option<State> {
        self.host().reader().execution(&id(of)).await.ok().map(|execution| execution.state)
    }

    fn until(&self, what: &str, of: &str, state: State) {
        life(eventually(what, async || (self.state(of).await == Some(state)).then_some(())));
    }

    fn stored(&self, of: &str) -> Execution {
        self.block_on(self.host().reader().execution(&id(of))).unwrap()
    }

    /// Answers the only promise that waits for somebody, once it does.
    fn answer(&self, of: &str, value: &str) {
        let asked = life(eventually("a question", async || {
            let promises = self.host().reader().promises().await.unwrap();
            promises.into_iter().map(|promise| promise.id).find(|promise| promise.execution.root() == id(of).root())
        }));
        self.block_on(self.host().settle(&asked, Ok(value.to_owned()))).unwrap();
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        drop(self.host.take());
        self.runtime.take().unwrap().shutdown_timeout(Duration::from_secs(20));
    }
}

fn ended(run: JoinHandle<Result<Report, Arc<Error>>>) -> Report {
    life(soon("an end", run)).unwrap().unwrap()
}

fn folder(place: &Place) -> &Path {
    place.path()
}

/// What is in the folder of the sockets.
fn sockets(store: &Path) -> Vec<PathBuf> {
    let entries = std::fs::read_dir(store.join("hosts")).into_iter().flatten();
    entries.map(|entry| entry.unwrap().path()).collect()
}

/// The threads by which the hosts of this process talk.
fn talking() -> usize {
    let tasks = std::fs::read_dir("/proc/self/task").unwrap();
    let names = tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    names.filter(|name| name.starts_with("everstep-host")).count()
}

fn open_files() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

#[test]
fn hosts_run_their_own_side_by_side_and_leave_nothing_behind() {
    let (place, calls) = (Place::folder(), Calls::default());
    // What a process opens once stays open.
    drop(Other::start(place.host()).run(run("same", "1").with_id(id("first"))));
    let before = open_files();
    let start = |_| Other::start(place.host().scope(Scope::Started).capability("echo", calls.echo()));
    let others: Vec<Other> = (0..3).map(start).collect();
    let runs: Vec<_> = (0..24)
        .map(|number| {
            let run = if number % 2 == 0 { run("requests_at_once", "5") } else { run("sums_children", "4") };
            others[number % 3].run(run.with_id(id(&format!("x{number}"))))
        })
        .collect();
    for (number, run) in runs.into_iter().enumerate() {
        assert_eq!(result(&ended(run)), if number % 2 == 0 { "[10,0]" } else { "10" });
    }
    let by_step = calls.by_step();
    assert!(by_step.len() == 60 && by_step.iter().all(|(_, times)| *times == 1), "{by_step:?}");
    assert_eq!(sockets(folder(&place)).len(), 3);
    drop(others);
    assert_eq!(sockets(folder(&place)), [""; 0].map(PathBuf::from));
    life(eventually("the end of every thread", async || (talking() == 0).then_some(())));
    // A host has more than ten files open; who waits here has a few.
    life(eventually("the end of every connection", async || (open_files() <= before + 8).then_some(())));
}

#[test]
fn what_is_settled_in_one_host_reaches_the_run_that_waits_in_another() {
    let place = Place::folder();
    let [first, second] = [(); 2].map(|()| Other::start(place.host().scope(Scope::Started)));
    let third = Other::start(place.host());
    for number in 0..10 {
        let name = format!("x{number}");
        let run = first.run(run("asks", "null").with_id(id(&name)));
        [&second, &third][number % 2].answer(&name, &number.to_string());
        assert_eq!(result(&ended(run)), number.to_string());
    }
}

#[test]
fn what_runs_in_another_host_is_waited_for_and_not_run_again() {
    let (place, calls, shown) = (Place::folder(), Calls::default(), Shown::default());
    let first = Other::start(place.host().scope(Scope::Started).capability("once", calls.echo()));
    let second = place.host().scope(Scope::Started).capability("once", calls.echo()).on_output(shown.sink());
    let second = Other::start(second);
    let own = first.run(run("pauses", "null"));
    life(eventually("the first request", async || (calls.total() == 1).then_some(())));
    let attached = second.run(run("pauses", "null"));
    let resumed = second.block_on(second.host().resume(&id("x"), Patience::Forever)).unwrap();
    second.answer("x", "5");
    let reports = [ended(own), ended(attached), second.block_on(soon("its end", resumed.wait())).unwrap()];
    assert_eq!(reports.each_ref().map(result), ["8"; 3]);
    assert_eq!((calls.by_step(), shown.lines()), (vec![(1, 1), (3, 1)], Vec::new()));
    let other = second.block_on(second.host().run(run("pauses", "1"))).unwrap_err();
    assert!(matches!(&*other, Error::IdInUse { .. }), "{other}");
}

#[test]
fn of_two_hosts_that_create_the_same_at_once_one_runs_it() {
    let (place, calls) = (Place::folder(), Calls::default());
    let [first, second] =
        [(); 2].map(|()| Other::start(place.host().scope(Scope::Started).capability("echo", calls.echo())));
    for number in 0..15 {
        let name = id(&format!("x{number}"));
        let both = [&first, &second].map(|host| host.run(run("requests_at_once", "3").with_id(name.clone())));
        assert_eq!(both.map(|run| result(&ended(run)).to_owned()), ["[3,0]"; 2]);
    }
    let by_step = calls.by_step();
    assert!(by_step.len() == 45 && by_step.iter().all(|(_, times)| *times == 1), "{by_step:?}");
    for number in 0..15 {
        let name = id(&format!("y{number}"));
        let of = |host: &Other, args: &str| host.run(run("same", args).with_id(name.clone()));
        let both = [of(&first, "1"), of(&second, "2")].map(|run| life(soon("an end", run)).unwrap());
        let told = |outcome: &Result<Report, Arc<Error>>| match outcome {
            Ok(report) => result(report).to_owned(),
            Err(error) if matches!(&**error, Error::IdInUse { .. }) => "told".to_owned(),
            Err(error) => panic!("{error}"),
        };
        let told = both.each_ref().map(told);
        assert!(told == ["1", "told"] || told == ["told", "2"], "{told:?}");
    }
}

#[test]
fn a_host_that_stays_takes_over_what_another_held() {
    let (place, calls) = (Place::folder(), Calls::default());
    let stays = Other::start(that_stays(&place).capability("once", calls.echo()).capability("echo", calls.echo()));
    let first = Other::start(place.host().scope(Scope::Started).capability("once", calls.echo()));
    let names: Vec<String> = (0..5).map(|number| format!("x{number}")).collect();
    for name in &names {
        drop(first.run(run("pauses", "null").with_id(id(name))));
    }
    drop(first.run(run("asks_child", "null").with_id(id("parent"))));
    life(eventually("the first requests", async || (calls.total() == 5).then_some(())));
    life(eventually("the question of the child", async || {
        (stays.host().reader().promises().await.unwrap().len() == 6).then_some(())
    }));
    drop(first);
    for name in names.iter().map(|name| &**name).chain(["parent"]) {
        stays.answer(name, "5");
        stays.until("its end", name, State::Completed);
    }
    assert_eq!(stays.stored("x0").result.as_deref(), Some("8"));
    let by_step = calls.by_step();
    assert!(by_step.len() == 10 && by_step.iter().all(|(_, times)| *times == 1), "{by_step:?}");
}

/// Two that stay do not get in each other's way.
#[test]
fn what_nobody_has_is_taken_up_by_one_of_those_that_stay() {
    let (place, calls) = (Place::folder(), Calls::default());
    let builder = || place.host().capability("once", calls.echo());
    let names: Vec<String> = (0..12).map(|number| format!("x{number}")).collect();
    {
        let first = Other::start(builder().scope(Scope::Started));
        for name in &names {
            let left = ended(first.run(run("pauses", "null").with_id(id(name)).without_waiting()));
            assert_eq!(left.state, State::Suspended);
        }
    }
    let stay = [(); 2].map(|()| Other::start(builder().scope(Scope::Everything)));
    let settles = Other::start(builder().scope(Scope::Nothing));
    for name in &names {
        settles.answer(name, "5");
    }
    for name in &names {
        stay[0].until("its end", name, State::Completed);
    }
    let by_step = calls.by_step();
    assert!(by_step.len() == 24 && by_step.iter().all(|(_, times)| *times == 1), "{by_step:?}");
}

#[test]
fn what_a_host_has_started_is_left_to_it_until_it_ends() {
    let (place, own, others) = (Place::folder(), Calls::default(), Calls::default());
    let stays = Other::start(that_stays(&place).capability("once", others.echo()));
    let keep = place.host().scope(Scope::Started).keep_warm(Duration::ZERO);
    let first = Other::start(keep.capability("once", own.echo()));
    // One that comes later is told, too.
    let later = Other::start(that_stays(&place).capability("once", others.echo()));
    let runs = ["x", "y"].map(|name| first.run(run("pauses", "null").with_id(id(name))));
    let parent = first.run(run("asks_child", "null").with_id(id("parent")));
    for name in ["x", "y", "parent"] {
        stays.until("its suspension", name, State::Suspended);
    }
    stays.answer("x", "5");
    later.answer("parent", "7");
    let [x, y] = runs;
    assert_eq!([result(&ended(x)), result(&ended(parent))], ["8", "7"]);
    assert_eq!((own.total(), others.total()), (3, 0));
    drop(y);
    drop(first);
    later.answer("y", "5");
    later.until("its end", "y", State::Completed);
    assert_eq!((own.total(), others.total()), (3, 1));
}

#[test]
fn what_is_canceled_ends_where_it_runs_and_cleans_up_there_once() {
    let place = Place::folder();
    for round in 0..6 {
        let [here, there] = [(); 2].map(|()| Shown::default());
        let first = Other::start(place.host().scope(Scope::Started).on_output(here.sink()));
        let second = Other::start(place.host().scope(Scope::Nothing).on_output(there.sink()));
        let name = format!("x{round}");
        let run = first.run(run("cleans_up", "null").with_id(id(&name)));
        life(eventually("its promise", async || {
            (!first.host().reader().promises().await.unwrap().is_empty()).then_some(())
        }));
        let canceled = second.block_on(soon("the cancellation", second.host().cancel(&id(&name)))).unwrap();
        assert_eq!(canceled, Cancellation::Canceled);
        assert_eq!(ended(run).state, State::Canceled);
        life(eventually("the clean-up", async || (here.lines().len() + there.lines().len() >= 2).then_some(())));
        drop((first, second));
        assert_eq!(
            (here.lines().concat(), there.lines().concat()),
            ("cleaning up\ncanceled\n".to_owned(), String::new())
        );
        let reader = place.host().build().unwrap().reader();
        let (output, steps) = life(async { (reader.output(&id(&name)).await, reader.steps(&id(&name)).await) });
        assert_eq!(output.unwrap().len(), 2, "{steps:?}");
    }
}

#[test]
fn a_timer_fires_once_also_when_the_host_that_set_it_is_gone() {
    let place = Place::folder();
    let stay = [(); 2].map(|()| Other::start(that_stays(&place)));
    let first = Other::start(place.host().scope(Scope::Started).keep_warm(Duration::ZERO));
    for name in ["x", "y", "z"] {
        drop(first.run(run("sleeps", "400").with_id(id(name))));
    }
    let within = run("awaits_within", "400").with_id(id("w"));
    drop(first.run(within));
    for name in ["x", "y", "z", "w"] {
        stay[0].until("its suspension", name, State::Suspended);
    }
    drop(first);
    for name in ["x", "y", "z"] {
        stay[1].until("its end", name, State::Completed);
        let steps = stay[1].block_on(stay[1].host().reader().steps(&id(name))).unwrap();
        assert_eq!(steps.iter().filter(|step| step.kind == "timers.sleep").count(), 1, "{steps:?}");
    }
    stay[1].until("its end", "w", State::Failed);
    let failure = stay[1].stored("w").progress.error.unwrap();
    assert_eq!(failure.kind, FailureKind::Returned(ErrorCode::TimedOut));
}

/// Whoever joins is told what others say from then on, however much they say meanwhile.
#[test]
fn a_host_that_joins_while_another_talks_is_heard_and_hears() {
    let place = Place::folder();
    let store = place.store();
    let first = Other::start(place.host().scope(Scope::Started));
    let stop = Arc::new(std::sync::atomic::AtomicBool::new(false));
    // What it commits is told by whoever commits.
    let talks = {
        let (host, stop) = (first.host().clone(), Arc::clone(&stop));
        let runtime = first.runtime.as_ref().unwrap();
        runtime.spawn(async move {
            for number in 0.. {
                if stop.load(std::sync::atomic::Ordering::Relaxed) {
                    return;
                }
                host.run(run("same", "1").with_id(id(&format!("talk{number}")))).await.unwrap();
            }
        })
    };
    for number in 0..25 {
        let joins = Other::start(place.host().scope(Scope::Started));
        assert!(!joins.host().is_alone(), "round {number}");
        let name = format!("x{number}");
        let run = first.run(run("awaits", "null").with_id(id(&name)));
        joins.answer(&name, "1");
        assert_eq!(result(&ended(run)), "1");
        let name = format!("y{number}");
        let run = joins.run(crate::support::run("awaits", "null").with_id(id(&name)));
        life(eventually("its promise", async || store.promise(&format!("{name}.0")).unwrap()));
        first.answer(&name, "1");
        assert_eq!(result(&ended(run)), "1");
    }
    stop.store(true, std::sync::atomic::Ordering::Relaxed);
    life(soon("the end of the talk", talks)).unwrap();
}

#[test]
fn what_lies_in_the_folder_of_the_sockets_disturbs_no_host() {
    let place = Place::folder();
    let hosts = folder(&place).join("hosts");
    std::fs::create_dir_all(&hosts).unwrap();
    // Dead, a file, a folder, and a name of nobody.
    drop(UnixListener::bind(hosts.join("everstep-dead")).unwrap());
    std::fs::write(hosts.join("everstep-file"), "text").unwrap();
    std::fs::write(hosts.join("notes"), "text").unwrap();
    let [first, second] = [(); 2].map(|()| Other::start(place.host().scope(Scope::Started)));
    assert!(!hosts.join("everstep-dead").exists());
    let live: Vec<PathBuf> = sockets(folder(&place)).into_iter().filter(|path| is_live(path)).collect();
    assert_eq!(live.len(), 2);
    for socket in live.iter().cycle().take(300) {
        let Ok(mut stream) = UnixStream::connect(socket) else { panic!("{socket:?}") };
        stream.write_all(b"what is that?\n").unwrap();
    }
    let silent: Vec<UnixStream> =
        live.iter().cycle().take(100).map(|path| UnixStream::connect(path).unwrap()).collect();
    // One that greets as a host that is not there, and goes away in the middle of a word.
    let mut liar = UnixStream::connect(&live[0]).unwrap();
    liar.write_all(b"{\"hello\":{\"name\":\"everstep-liar\",\"roots\":[\"x\"]}}\n{\"heard\":[{\"settled\":\"x")
        .unwrap();
    liar.read_exact(&mut [0; 10]).unwrap();
    drop(liar);
    let run = first.run(run("asks", "null"));
    second.answer("x", "1");
    assert_eq!(result(&ended(run)), "1");
    drop(silent);
}

fn is_live(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

#[test]
fn a_store_deep_in_folders_is_shared_like_any_other() {
    let dir = tempfile::tempdir().unwrap();
    let deep = dir.path().join("a-folder-with-a-long-name/".repeat(8));
    assert!(deep.as_os_str().len() > 200);
    let place = |scope| crate::support::quick(Everstep::open(&deep)).scope(scope);
    let first = Other::start(place(Scope::Started));
    let second = Other::start(place(Scope::Everything));
    assert!(!second.host().is_alone());
    let run = first.run(run("asks", "null"));
    second.answer("x", "1");
    assert_eq!(result(&ended(run)), "1");
}

#[test]
fn where_the_sockets_cannot_be_no_host_starts_and_says_why() {
    let place = Place::folder();
    std::fs::write(folder(&place).join("hosts"), "a file").unwrap();
    let Err(error) = place.host().build() else { panic!("it started") };
    let error = error.to_string();
    assert!(error.contains("hosts") && error.contains("the sockets of its hosts"), "{error}");
}

/// A host that is gone before the first record of what it claimed, or whose name nobody knows.
#[test]
fn what_was_claimed_and_not_begun_is_taken_over() {
    let place = Place::folder();
    {
        let first = Other::start(place.host().scope(Scope::Started));
        assert_eq!(ended(first.run(run("asks", "null").without_waiting())).state, State::Suspended);
    }
    let store = place.store();
    let settlement = Settlement {
        id: "x.1".to_owned(),
        state: PromiseState::Resolved,
        value: Value { headers: std::collections::BTreeMap::new(), data: Some("7".to_owned()) },
    };
    store.commit(&[Change::operation(1, Operation::PromiseSettle(settlement))]).unwrap();
    let (_, task) = store.promise("x").unwrap().unwrap();
    let version = task.unwrap().version;
    let (pid, ttl) = ("everstep-0123456789abcdef".to_owned(), everstep::store::record::NEVER);
    let acquire = Operation::TaskAcquire { id: "x".to_owned(), version, pid, ttl };
    store.commit(&[Change::operation(1, acquire)]).unwrap();
    assert_eq!(store.held().unwrap().len(), 1);
    let stays = Other::start(that_stays(&place));
    stays.until("its end", "x", State::Completed);
}
