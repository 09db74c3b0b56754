//! Answers that reach a guest while they are written: what it does with them waits for that write, and is undone if it fails.

use crate::faulty::{CrashStore, Fate};
use crate::recovery::World;
use crate::support::{Place, Shown, eventually, id, life, quick, result, run, soon};
use everstep::clock::SystemClock;
use everstep::store::Backend;
use everstep::{Error, Everstep};
use std::sync::{Arc, mpsc};
use std::time::Duration;

/// The promise for which `asks` waits.
const QUESTION: u64 = 1;

/// How many milliseconds a guest may take to go on, on a busy machine too.
const PATIENCE: usize = 60_000;

/// Waits until the question of an execution is in the store.
async fn asked(host: &Everstep) {
    let reader = host.reader();
    eventually("the question", async || (!reader.promises().await.unwrap().is_empty()).then_some(())).await;
}

#[test]
fn a_guest_goes_on_with_an_answer_while_it_is_written_and_shows_nothing_before() {
    // One place: a store in memory has nothing to wait for, and a server is another process.
    let place = Place::folder();
    let shown = Shown::default();
    let (tell, told) = mpsc::channel();
    life(async {
        let store = CrashStore::at(place.store(), u32::MAX, Fate::Lost);
        let builder = quick(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>)).on_output(shown.sink());
        let host = builder.keep_warm(Duration::MAX).build().unwrap();
        let handle = host.start(run("asks", "null")).await.unwrap();
        asked(&host).await;
        let (during, lines) = (host.clone(), shown.clone());
        store.before_an_answer_is_durable(move || {
            // "answered" is the step after the question.
            let went_on = || during.steps_so_far(&id("x")).is_some_and(|steps| steps > QUESTION + 1);
            let look = || {
                std::thread::sleep(Duration::from_millis(1));
                went_on().then_some(())
            };
            let went_on = std::iter::repeat_with(look).take(PATIENCE).flatten().next().is_some();
            tell.send((went_on, lines.lines())).unwrap();
        });
        host.settle(&id("x").promise(QUESTION), Ok("5".into())).await.unwrap();
        assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "5");
    });
    assert_eq!(told.recv().unwrap(), (true, vec!["asking\n".to_owned()]), "went on, and what was shown");
    assert_eq!(shown.lines(), ["asking\n", "answered\n"]);
}

#[test]
fn an_answer_that_is_lost_while_it_is_written_was_never_given() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        let world = World::new(Arc::new(SystemClock));
        let inner = place.store();
        let store = CrashStore::at(Arc::clone(&inner), u32::MAX, Fate::Foretold);
        life(async {
            let builder = world.builder(Everstep::over(Arc::clone(&store) as Arc<dyn Backend>));
            let host = builder.keep_warm(Duration::MAX).build().unwrap();
            let handle = host.start(run("asks", "null")).await.unwrap();
            asked(&host).await;
            store.strike();
            let lost = host.settle(&id("x").promise(QUESTION), Ok("9".into())).await;
            assert!(matches!(lost, Err(Error::Store(_))), "{lost:?}");
            let ended = soon("the end", handle.wait()).await;
            assert!(matches!(ended.as_ref().map_err(|error| &**error), Err(Error::Store(_))), "{ended:?}");
        });
        assert_eq!(world.shown.lines(), ["asking\n"]);
        life(async {
            let host = world.host(Everstep::over(inner));
            let handle = host.start(run("asks", "null")).await.unwrap();
            host.settle(&id("x").promise(QUESTION), Ok("5".into())).await.unwrap();
            assert_eq!(result(&soon("the end", handle.wait()).await.unwrap()), "5");
        });
        assert_eq!(world.shown.lines(), ["asking\n", "answered\n"]);
    }
}
