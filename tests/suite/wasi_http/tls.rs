//! Sites with a certificate: whom a program reaches, and what it is told where it reaches nobody.

use super::clients::{CLIENTS, client};
use super::*;
use crate::network::servers::Authority;
use everstep::ReplayEnd;
use everstep::network::Options;
use tokio::io::AsyncWriteExt;

/// One that answers in plain text whatever it is sent.
fn plain() -> Site {
    Site::with(|mut stream| async move {
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\n\r\n").await;
        let _ = stream.shutdown().await;
    })
}

#[test]
fn a_site_is_reached_if_the_host_trusts_its_certificate_and_a_replay_knows_why_not() {
    let (authority, other) = (Authority::new(), Authority::new());
    let site = Site::secure(&authority, |received| ok(received.line()));
    let plain = plain();
    let named = |host: &str| format!("https://{host}:{}/", site.port());
    let no_tls = format!("https://{}/", plain.address());
    // Its certificate is for the address, and not for the name.
    let cases = [
        (&authority, named("127.0.0.1"), "200 GET /"),
        (&other, named("127.0.0.1"), "ErrorCode::TlsCertificateError"),
        (&authority, named("localhost"), "ErrorCode::TlsCertificateError"),
        (&authority, no_tls, "ErrorCode::TlsProtocolError"),
    ];
    let rule =
        |number: usize, url: &str| format!("[[fetch]]\nid = \"r{number}\"\nurl = \"{url}**\"\nmethods = [\"GET\"]\n");
    let places = Place::each().count();
    for place in Place::each() {
        for (number, (trusted, url, expected)) in cases.iter().enumerate() {
            let policy = parse(&format!("{BASICS}{}", rule(number, url)));
            let options = Options::system().with_authorities(&[trusted.file()]).unwrap();
            let place = place.another();
            place.equip(&GUEST);
            let (report, replayed) = life(async {
                let host = place.host().network(options).build().unwrap();
                let report = host.run(script(&policy, &json!([fetch(url)]))).await.unwrap();
                (report, host.replay(&id("x"), None, None).await.unwrap())
            });
            assert_eq!(outcomes(&report), [*expected], "{place}: {url}");
            assert_eq!(replayed.end, ReplayEnd::Repeated, "{place}: {url}");
        }
    }
    assert_eq!(site.requests().len(), places, "one that is not trusted gets no request");
}

#[test]
fn a_client_library_reads_a_site_with_a_certificate() {
    let authority = Authority::new();
    let site = Site::secure(&authority, |_| ok("secret"));
    let url = format!("https://127.0.0.1:{}/", site.port());
    let rule = format!("[[fetch]]\nid = \"site\"\nurl = \"{url}**\"\nmethods = [\"GET\"]\n");
    let policy = parse(&format!("{BASICS}{rule}"));
    for place in Place::each() {
        place.equip(&CLIENTS);
        let trusting = || Options::system().with_authorities(&[authority.file()]).unwrap();
        let report = outcome(place.host().network(trusting()), client(&policy, &["wstd", "get", &url]));
        assert_eq!(result(&report), "null", "{place}");
        let stranger = place.another();
        stranger.equip(&CLIENTS);
        let report = outcome(stranger.host(), client(&policy, &["wstd", "get", &url]));
        assert_eq!((report.state, report.exit_code), (State::Failed, Some(1)), "{place}: {report:?}");
    }
    assert_eq!(site.requests().len(), Place::each().count());
}
