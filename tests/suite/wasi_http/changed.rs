//! A program that asks otherwise when it is resumed: what only requests of `wasi:http` say is compared, and named.

use super::*;
use everstep::{Everstep, Patience};

const MARK: &[u8] = b"everstep-variant:";

/// The fixture with another variant of `varies` in its bytes.
fn variant(name: &str) -> Component {
    let mut bytes = guests::fixture("requests").unwrap();
    let places: Vec<_> = bytes.windows(MARK.len()).enumerate().filter(|(_, window)| *window == MARK).collect();
    assert_eq!(places.len(), 1, "the variant must stand in one place");
    let at = places[0].0 + MARK.len();
    bytes[at..at + 7].copy_from_slice(format!("{name:7}").as_bytes());
    bytes.into()
}

async fn resumed(host: &Everstep, name: &str) -> Report {
    host.resume_with(&id("x"), Some(&variant(name)), Patience::None).await.unwrap().wait().await.unwrap()
}

#[test]
fn a_program_that_asks_otherwise_is_halted_by_a_message_that_names_what_differs() {
    const TOLD: [(&str, &str); 4] = [
        ("plain", "with redirects returned, no timeouts"),
        ("patient", "with redirects returned, timeouts: first byte 60000000000 ns"),
        ("hasty", "with redirects returned, timeouts: connect 5000000000 ns"),
        ("follows", "with redirects followed"),
    ];
    let site = Site::start(|_| ok("fine"));
    let policy = parse(&format!("{}[[capability]]\nname = \"input\"\n", on(&site, "")));
    for place in Place::each() {
        for (recorded, _) in TOLD {
            let place = place.another();
            TOLD.iter().for_each(|(name, _)| place.equip(&variant(name)));
            let before = site.requests().len();
            life(async {
                let host = place.host().build().unwrap();
                let run = Run::new(variant(recorded), "varies", json!(site.url("/")).to_string(), policy.clone());
                let report = host.run(run.with_id(id("x")).without_waiting()).await.unwrap();
                assert_eq!(report.state, State::Suspended, "{report:?}");
                let journal = host.reader().journal(&id("x")).await.unwrap();
                for (attempted, told) in TOLD.into_iter().filter(|(name, _)| *name != recorded) {
                    let report = resumed(&host, attempted).await;
                    let (kind, message) = failure(&report);
                    assert_eq!(kind, FailureKind::Divergence, "{message}");
                    assert!(message.contains("attempted 0 http.fetch \"GET ") && message.contains(told), "{message}");
                }
                assert!(host.reader().journal(&id("x")).await.unwrap() == journal);
                assert_eq!(resumed(&host, recorded).await.state, State::Suspended);
            });
            assert_eq!(site.requests().len(), before + 1, "{recorded}: nothing is sent again");
        }
    }
}
