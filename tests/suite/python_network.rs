//! The network of Python's standard library, over `[[fetch]]`: what clients send and get, their own exceptions, and what is no HTTP.

use crate::faulty::{CrashStore, Fate};
use crate::network::servers::{Authority, Received, Server, Step, ok, response};
use crate::python::{self, PYTHON};
use crate::site::Site;
use crate::support::{Place, Shown, failure, id, life, outcome, parse, quick, result};
use everstep::network::Options;
use everstep::store::{Backend, FailureKind, State};
use everstep::{ErrorCode, Everstep, Run};
use serde_json::json;
use std::sync::Arc;

/// A policy under which these URLs may be fetched.
fn policy(url: &str, more: &str) -> String {
    format!(
        "[limits]\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
         [[capability]]\nname = \"print\"\n[network]\nallow = [\"127.0.0.1/32\"]\n\
         [[fetch]]\nid = \"site\"\nmethods = [\"GET\", \"HEAD\", \"POST\", \"PUT\"]\nurl = \"{url}\"\n{more}\n"
    )
}

fn run(policy: &str, code: &str) -> Run {
    Run::new(PYTHON.clone(), "execute", json!({ "code": code }).to_string(), parse(policy)).with_id(id("x"))
}

/// What a program prints.
fn printed(place: &Place, policy: &str, code: &str) -> String {
    let shown = Shown::default();
    let report = outcome(place.another().host().on_output(shown.sink()), run(policy, code));
    assert_eq!(report.state, State::Completed, "{place}: {report:?}");
    python::printed(&shown)
}

/// Answers with what it was asked.
fn echo(received: &Received) -> Vec<Step> {
    match received.line() {
        "GET /moved" => response(
            "302 Found",
            &[("Location", "/there"), ("Set-Cookie", "a=1; Path=/"), ("Set-Cookie", "b=2; Path=/")],
            b"",
        ),
        "GET /gone" => response("410 Gone", &[("X-Why", "old")], b"no more"),
        "GET /stalls" => vec![Step::Stall],
        line => {
            let agent = received.header("user-agent").concat();
            let cookie = received.header("cookie").concat();
            let own = received.header("x-own").join("+");
            let body = String::from_utf8(received.body.clone()).unwrap();
            response("200 OK", &[("X-Got", "yes")], format!("{line}|{agent}|{cookie}|{own}|{body}").as_bytes())
        }
    }
}

#[test]
fn the_clients_of_the_standard_library_work() {
    let site = Site::start(echo);
    let (host, port) = ("127.0.0.1", site.port());
    for place in Place::each() {
        let urllib = format!(
            "import urllib.request, http.cookiejar\nbase = '{}'\n\
             print(urllib.request.urlopen(base + '/a?b=c').read().decode())\n\
             asked = urllib.request.Request(base + '/p', data=b'hello', headers={{'X-Own': 'mine'}})\n\
             with urllib.request.urlopen(asked, timeout=60) as answer:\n\
             \x20   print(answer.status, answer.headers['x-got'], answer.read().decode())\n\
             jar = http.cookiejar.CookieJar()\n\
             opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))\n\
             answer = opener.open(base + '/moved')\n\
             print(answer.url == base + '/there', sorted(one.name for one in jar), answer.read().decode())\n\
             try: urllib.request.urlopen(base + '/gone')\n\
             except urllib.error.HTTPError as error: print(error.code, error.reason, error.headers['X-Why'], error.read())\n",
            site.url("")
        );
        let expected = "GET /a?b=c|Python-urllib/3.14|||\n\
            200 yes POST /p|Python-urllib/3.14||mine|hello\n\
            True ['a', 'b'] GET /there|Python-urllib/3.14|a=1; b=2||\n\
            410 Gone old b'no more'\n";
        let granted = policy(&site.url("/**"), "");
        assert_eq!(printed(&place, &granted, &urllib), expected, "{place}");
        let client = format!(
            "import http.client, io, asyncio, socket\nclient = http.client.HTTPConnection('{host}', {port})\n\
             for n in range(2):\n\x20   client.request('GET', f'/{{n}}')\n\x20   answer = client.getresponse()\n\
             \x20   print(answer.status, answer.getheader('X-GOT'), answer.read(6))\n\x20   answer.read()\n\
             client.request('HEAD', '/h')\nanswer = client.getresponse()\nprint(answer.status, answer.read())\n\
             client.request('PUT', '/u', body=iter([b'ab', b'', b'cd']), headers={{'User-Agent': 'me'}})\n\
             print(client.getresponse().read())\n\
             async def main():\n\
             \x20   async def one(n):\n\
             \x20       reader, writer = await asyncio.open_connection('{host}', {port})\n\
             \x20       writer.write(f'GET /{{n}} HTTP/1.1\\r\\nHost: {host}:{port}\\r\\nConnection: close\\r\\n\\r\\n'.encode())\n\
             \x20       line = await reader.readline()\n\
             \x20       writer.close()\n\
             \x20       await writer.wait_closed()\n\
             \x20       return line\n\
             \x20   print(await asyncio.gather(*map(one, range(3))))\n\
             asyncio.run(main())\n\
             with socket.create_connection(('{host}', {port})) as raw:\n\
             \x20   raw.sendall(b'GET /r HTTP/1.0\\r\\n')\n\
             \x20   raw.sendall(b'X-Own: raw\\r\\n\\r\\n')\n\
             \x20   print(raw.recv(15))\n"
        );
        let expected = "200 yes b'GET /0'\n200 yes b'GET /1'\n200 b''\nb'PUT /u|me|||abcd'\n\
            [b'HTTP/1.1 200 OK\\r\\n', b'HTTP/1.1 200 OK\\r\\n', b'HTTP/1.1 200 OK\\r\\n']\nb'HTTP/1.1 200 OK'\n";
        assert_eq!(printed(&place, &granted, &client), expected, "{place}");
    }
}

#[test]
fn failures_are_the_exceptions_of_the_client() {
    let site = Site::start(echo);
    // Nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let told = "import urllib.request\n\
        def told(url, **options):\n\
        \x20   try: urllib.request.urlopen(url, **options)\n\
        \x20   except OSError as error: return type(error).__name__, type(getattr(error, 'reason', error)).__name__, str(error)\n";
    for place in Place::each() {
        let code = format!(
            "{told}for url in ('http://example.com/', 'https://example.com/', '{other}/', 'http://{nobody}/'):\n\
             \x20   print(*told(url), sep='|')\nprint(*told('{base}/stalls', timeout=0.3), sep='|')\n",
            base = site.url(""),
            other = site.url("").replace("127.0.0.1", "127.0.0.2"),
        );
        let granted = policy(
            &site.url("/**"),
            &format!("[[fetch]]\nid = \"none\"\nmethods = [\"GET\"]\nurl = \"http://{nobody}/**\"\n"),
        );
        let said = printed(&place, &granted, &code);
        let lines: Vec<_> = said.lines().collect();
        for (line, begins, has) in [
            (lines[0], "URLError|PermissionError|", "fetch GET example.com:80"),
            (lines[1], "URLError|PermissionError|", "fetch GET example.com:443"),
            (lines[2], "URLError|PermissionError|", "fetch GET 127.0.0.2"),
            (lines[3], "URLError|ConnectionRefusedError|", "connection refused"),
            (lines[4], "TimeoutError|TimeoutError|", "too long"),
        ] {
            assert!(line.starts_with(begins) && line.contains(has), "{place}: {line}");
        }
        // A denial that nothing catches is one of the policy.
        let report =
            outcome(place.host(), run(&granted, "import urllib.request\nurllib.request.urlopen('http://a.test/')"));
        let (kind, message) = failure(&report);
        assert_eq!(kind, FailureKind::Returned(ErrorCode::Denied), "{message}");
        assert!(!message.contains("_network.py") && message.contains("fetch GET a.test:80"), "{message}");
    }
    assert!(site.requests().iter().all(|received| received.line() == "GET /stalls"));
}

#[test]
fn what_is_no_request_of_http_goes_nowhere() {
    let site = Site::start(echo);
    let (port, base) = (site.port(), site.url(""));
    for place in Place::each() {
        let code = format!(
            "import socket, ssl\n\
             def told(*sent, host='127.0.0.1'):\n\
             \x20   one = socket.create_connection((host, {port}))\n\
             \x20   try:\n\
             \x20       for data in sent: one.sendall(data)\n\
             \x20       return one.recv(15)\n\
             \x20   except OSError as error: return str(error).partition(']')[2].strip()\n\
             named = b'Host: 127.0.0.1:{port}\\r\\n'\n\
             for sent in [\n\
             \x20   (), (b'\\x16\\x03\\x01',), (b'EHLO me\\r\\n\\r\\n',), (b'GET / HTTP/2.0\\r\\n\\r\\n',), (b'x' * 3000,),\n\
             \x20   (b'GET / HTTP/1.1\\r\\nContent-Length: -1\\r\\n\\r\\n',), (b'GET / HTTP/1.1\\r\\nContent-Length: 1e3\\r\\n\\r\\n',),\n\
             \x20   (b'POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\n-5\\r\\n',),\n\
             \x20   (b'POST / HTTP/1.1\\r\\nTransfer-Encoding: chunked\\r\\n\\r\\nzz\\r\\n',),\n\
             \x20   (b'GET http://example.com/ HTTP/1.1\\r\\n\\r\\n',), (b'GET / HTTP/1.1\\r\\nHost: example.com\\r\\n\\r\\n',),\n\
             \x20   (b'CONNECT example.com:443 HTTP/1.1\\r\\n\\r\\n',), (b'GET / HTTP/1.1\\r\\nX: a\\nb\\r\\n\\r\\n',),\n\
             \x20   (b'GET /\\tx HTTP/1.1\\r\\n\\r\\n',), (b'TRACE / HTTP/1.1\\r\\n\\r\\n',),\n\
             ]: print(told(*sent))\n\
             print(told(b'GET /1 HTTP/1.1\\r\\n' + named + b'\\r\\nGET /2 HTTP/1.1\\r\\n' + named + b'\\r\\n'))\n\
             for refused in (\n\
             \x20   lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM), lambda: socket.socket().bind(('', 80)),\n\
             \x20   lambda: socket.create_server(('', 80)), lambda: __import__('ftplib').FTP('127.0.0.1'), lambda: socket.create_connection(('127.0.0.1', 22)),\n\
             \x20   lambda: ssl.create_default_context().load_cert_chain('x'),\n\
             ):\n\
             \x20   try: print('made', refused())\n\
             \x20   except OSError as error: print('refused')\n",
        );
        let before = site.requests().len();
        let said = printed(&place, &policy(&site.url("/**"), ""), &code);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines.len(), 22, "{said}");
        for line in &lines[..9] {
            assert_eq!(*line, "only requests of HTTP go out of here, as the policy grants them", "{said}");
        }
        assert!(lines[9].contains("the request names") && lines[10].contains("names example.com"), "{said}");
        assert!(lines[11].contains("a proxy is reached by the host"), "{said}");
        for line in &lines[12..15] {
            assert!(!line.starts_with("b'"), "the host refuses it: {said}");
        }
        assert_eq!(lines[15], "b'HTTP/1.1 200 OK'", "{said}");
        assert!(lines[16..].iter().all(|line| *line == "refused"), "{said}");
        let sent: Vec<_> = site.requests()[before..].iter().map(|received| received.line().to_owned()).collect();
        assert_eq!(sent, ["GET /1", "GET /2"], "{base}");
    }
}

#[test]
fn the_host_speaks_tls() {
    let authority = Authority::new();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let server = runtime.block_on(Server::secure(&authority, |_| ok("secret")));
    let (url, port) = (format!("https://127.0.0.1:{}/", server.port()), server.port());
    for place in Place::each() {
        let code = format!(
            "import urllib.request, ssl, asyncio\nprint(urllib.request.urlopen('{url}').read())\n\
             context = ssl._create_unverified_context()\nprint(urllib.request.urlopen('{url}', context=context).read())\n\
             async def main():\n\
             \x20   reader, writer = await asyncio.open_connection('127.0.0.1', {port}, ssl=ssl.create_default_context())\n\
             \x20   writer.write(b'GET / HTTP/1.1\\r\\nHost: 127.0.0.1:{port}\\r\\n\\r\\n')\n\
             \x20   print(await reader.readline())\nasyncio.run(main())\n"
        );
        let granted = policy(&format!("{url}**"), "");
        let trusting = Options::system().with_authorities(&[authority.file()]).unwrap();
        let shown = Shown::default();
        let report = outcome(place.host().network(trusting).on_output(shown.sink()), run(&granted, &code));
        assert_eq!(report.state, State::Completed, "{place}: {report:?}");
        assert_eq!(python::printed(&shown), "b'secret'\nb'secret'\nb'HTTP/1.1 200 OK\\r\\n'\n", "{place}");
        // The host checks certificates, whatever a context says.
        let report = outcome(
            place.another().host(),
            run(
                &granted,
                &format!(
                    "import urllib.request, ssl\nurllib.request.urlopen('{url}', context=ssl._create_unverified_context())"
                ),
            ),
        );
        assert!(report.state == State::Failed && failure(&report).1.contains("certificate"), "{report:?}");
    }
}

#[test]
fn an_answer_that_is_recorded_is_not_asked_for_again() {
    // No server: it fails a commit of the store.
    for place in Place::local() {
        for commit in 1.. {
            let site = Site::start(echo);
            let place = place.another();
            let code = format!(
                "import urllib.request\nprint([urllib.request.urlopen('{}' + str(n)).read().decode().partition('|')[0] for n in range(3)])",
                site.url("/")
            );
            let granted = policy(&site.url("/**"), "");
            let store = place.store();
            let failing = CrashStore::at(Arc::clone(&store), commit, Fate::Kept) as Arc<dyn Backend>;
            let first = life(async { quick(Everstep::over(failing)).build().unwrap().run(run(&granted, &code)).await });
            let shown = Shown::default();
            let report = outcome(quick(Everstep::over(store)).on_output(shown.sink()), run(&granted, &code));
            assert!(result(&report).contains("\"value\": null"), "{report:?}");
            // At most the one whose answer had not been recorded goes out twice.
            assert!(site.requests().len() <= 4, "{place}, commit {commit}: {}", site.requests().len());
            if first.is_ok() {
                assert!(commit > 3, "{place}");
                break;
            }
        }
    }
}
