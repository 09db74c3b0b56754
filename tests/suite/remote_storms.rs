//! Many executions, and workers or servers that die, or stand still, all the time. `EVERSTEP_STORM` is how many executions.
//!
//! One place: it is about workers on a server.

use crate::remote_commands::{Ground, Moments, Process, crowd, until};
use everstep::store::State;
use everstep_tests::deviations::leaves_out;
use rustix::process::Signal;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

/// Three workers, and one of them killed every second: everything ends as if nothing had happened.
#[test]
fn workers_that_are_killed_leave_nothing_undone_and_repeat_nothing() {
    let ground = Ground::new();
    let names = crowd(24);
    ground.submit(names.iter().map(|name| ground.errand(name, 200)).collect());
    let start = || ground.worker(&["--keep-warm", "0ms"]);
    let mut workers: Vec<Process> = (0..3).map(|_| start()).collect();
    let (finished, kills) = (Mutex::new(false), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut moments = Moments::new();
            while !*finished.lock().unwrap() && kills.load(Ordering::SeqCst) < names.len() + 6 {
                std::thread::sleep(Duration::from_millis(800 + moments.next() % 400));
                workers[usize::try_from(moments.next() % 3).unwrap()] = start();
                kills.fetch_add(1, Ordering::SeqCst);
            }
        });
        for (number, name) in names.iter().enumerate() {
            if number == names.len() / 2 {
                // On a fast machine all would be over by then.
                until("kills", || (kills.load(Ordering::SeqCst) >= 5).then_some(()));
            }
            ground.answer(name);
        }
        for name in &names {
            ground.until(name, State::Completed);
        }
        *finished.lock().unwrap() = true;
    });
    for name in &names {
        ground.check(name);
    }
    assert!(kills.into_inner() >= 5);
}

/// Three workers, and one of them stopped all the time, for longer than its lease: what it had goes on elsewhere, and when it wakes up it
/// does nothing with that any more.
#[test]
fn workers_that_are_stopped_beyond_their_lease_leave_nothing_undone_and_repeat_nothing() {
    let ground = Ground::new();
    let names = crowd(12);
    ground.submit(names.iter().map(|name| ground.errand(name, 200)).collect());
    let workers: Vec<Process> = (0..3).map(|_| ground.worker(&["--keep-warm", "0ms"])).collect();
    let finished = Mutex::new(false);
    let stops = std::thread::scope(|scope| {
        let stopping = scope.spawn(|| {
            let (mut moments, mut stops) = (Moments::new(), 0);
            while !*finished.lock().unwrap() {
                std::thread::sleep(Duration::from_millis(moments.next() % 500));
                let worker = &workers[usize::try_from(moments.next() % 3).unwrap()];
                worker.signal(Signal::STOP);
                std::thread::sleep(Duration::from_millis(3_000 + moments.next() % 500));
                worker.signal(Signal::CONT);
                stops += 1;
            }
            stops
        });
        names.iter().for_each(|name| ground.answer(name));
        for name in &names {
            ground.until(name, State::Completed);
        }
        *finished.lock().unwrap() = true;
        stopping.join().unwrap()
    });
    names.iter().for_each(|name| ground.check(name));
    assert!(stops >= 1, "{stops}");
}

#[test]
fn a_server_that_is_killed_and_comes_back_holds_executions_up_and_no_more() {
    if leaves_out() {
        return;
    }
    let mut ground = Ground::new();
    let names = crowd(8);
    let workers = [ground.worker(&["--keep-warm", "0ms"]), ground.worker(&[])];
    ground.submit(names.iter().map(|name| ground.errand(name, 300)).collect());
    let mut moments = Moments::new();
    for round in 0..6 {
        std::thread::sleep(Duration::from_millis(moments.next() % 900));
        ground.stop_serving();
        std::thread::sleep(Duration::from_millis(moments.next() % 1_500));
        ground.serve();
        let open = names.iter().skip(round).step_by(6);
        open.for_each(|name| ground.answer(name));
    }
    names.iter().for_each(|name| ground.check(name));
    drop(workers);
}
