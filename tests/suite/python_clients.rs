//! Packages of Python that speak HTTP, as they come from the index, what packages try that they may not, and where else they are to be had.
//!
//! One place: it drives the program, whose store is a folder.

use crate::network::servers::{Received, Step, raw, redirect, response};
use crate::python::beside;
use crate::python_packages::{Desk, text};
use crate::remote_commands::{Ground, Process};
use crate::site::Site;
use everstep_tests::guests;
use serde_json::json;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

/// Answers as a site does; what is sent to `/echo` comes back as JSON, with one name for the boundary that a client draws.
fn answer(received: &Received, busy: &AtomicUsize) -> Vec<Step> {
    let (_, target) = received.line().split_once(' ').unwrap();
    match target {
        "/hello" => response("200 OK", &[], b"hello"),
        "/lines" => raw(*b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n\
                          7\r\nline 0\n\r\n7\r\nline 1\n\r\n7\r\nline 2\n\r\n0\r\n\r\n"),
        "/cookies" => {
            let cookies =
                [("Set-Cookie", "a=1; Path=/"), ("set-cookie", "b=2, 3; Path=/"), ("SET-COOKIE", "c=4; Path=/only")];
            response("200 OK", &cookies, b"")
        }
        "/moved" => response("302 Found", &[("Location", "/echo"), ("Set-Cookie", "d=5; Path=/")], b""),
        "/keep" => redirect(307, "/echo"),
        "/loop" => redirect(302, "/loop"),
        "/gone" => response("410 Gone", &[], b"no more"),
        "/busy" if busy.fetch_add(1, Ordering::SeqCst).is_multiple_of(2) => response("503 Busy", &[], b""),
        "/busy" => response("200 OK", &[], b"served at last"),
        "/stalls" => vec![Step::Stall],
        _ => {
            let one = |name: &str| received.header(name).concat();
            let kind = one("content-type");
            let boundary = kind.split_once("boundary=").map_or("no boundary", |(_, name)| name.trim_matches('"'));
            let body = String::from_utf8(received.body.clone()).unwrap();
            let told = json!({
                "line": received.line(), "type": kind.replace(boundary, "BOUNDARY"), "body": body.replace(boundary, "BOUNDARY"),
                "cookie": one("cookie"), "own": one("x-own"), "authorization": one("authorization"),
            });
            let headers = [("X-Got", "yes"), ("Content-Type", "application/json")];
            response("200 OK", &headers, told.to_string().as_bytes())
        }
    }
}

#[test]
fn the_clients_of_http_that_people_install_work() {
    let (desk, _) = Desk::with_real_packages();
    let busy = AtomicUsize::new(0);
    let site = Site::start(move |received| answer(received, &busy));
    let site_url = site.url("");
    // Nobody listens there.
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let policy = format!(
        "version = 1\n[limits]\nwasm_stack = \"8MiB\"\n[clock]\nmode = \"recorded\"\n[random]\nmode = \"seeded\"\n\
         [[capability]]\nname = \"print\"\n[network]\nallow = [\"127.0.0.1/32\"]\n\
         [[fetch]]\nid = \"site\"\nmethods = [\"GET\", \"HEAD\", \"POST\", \"PUT\"]\nurl = \"{site_url}/**\"\n\
         [[fetch]]\nid = \"nobody\"\nmethods = [\"GET\"]\nurl = \"http://{nobody}/**\"\n"
    );
    fs::write(desk.path("policy.toml"), policy).unwrap();
    let (nobody, denied) = (format!("http://{nobody}"), site_url.replace("127.0.0.1", "127.0.0.2"));
    for name in ["requests_.py", "urllib3_.py", "httpx_.py", "aiohttp_.py"] {
        let script = guests::project().join("tests/packages/clients").join(name);
        let lines = fs::read_to_string(&script).unwrap();
        let lines = lines.lines().filter_map(|line| line.trim_start().strip_prefix("#>"));
        let expected: Vec<&str> = lines.map(|line| line.strip_prefix(' ').unwrap_or(line)).collect();
        let output = desk.run(&[
            "exec",
            "--python",
            "real.wasm",
            "--policy",
            "policy.toml",
            "--store",
            "memory",
            script.to_str().unwrap(),
            &site_url,
            &nobody,
            &denied,
        ]);
        let (printed, said) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(printed.lines().collect::<Vec<_>>(), expected, "{name}: {said}");
        assert!(output.status.success() && expected.len() > 10, "{name}: {said}");
    }
    let secret = site
        .requests()
        .into_iter()
        .filter(|received| received.line().contains("secret") || received.line().starts_with("DELETE"));
    assert_eq!(secret.count(), 0, "what is denied is not sent");
    // The client keeps nothing of what was behind its error, and the program ends with it all the same.
    let code = format!(
        "import asyncio, httpx\nasync def main():\n    async with httpx.AsyncClient() as client: await client.get('{denied}/')\nasyncio.run(main())"
    );
    let output =
        desk.run(&["exec", "--python", "real.wasm", "--policy", "policy.toml", "--store", "memory", "-c", &code]);
    let said = text(&output.stderr);
    assert!(
        output.status.code() == Some(3)
            && said.contains("\nthe policy denied this: ")
            && said.contains("fetch GET 127.0.0.2"),
        "{said}"
    );
}

#[test]
fn a_package_gets_at_nothing_while_it_is_built_in_nor_when_it_is_imported() {
    let desk = Desk::with_packages();
    // That it was imported while the component was built is told by the list.
    let code = "import builtins, spy\nprint(spy.DONE, spy.done(), hasattr(builtins, 'SPIED'))\n\
                print([name for name in spy.ENVIRONMENT if name.startswith(('PIP', 'EVERSTEP', 'HOME', 'PATH', 'VIRTUAL'))])";
    assert_eq!(desk.printed(code), "[] [] False\n[]\n");
    // What a program imports by name it has asked for.
    assert_eq!(desk.printed("import builtins, sitecustomize\nprint(builtins.SPIED)"), "site\n");
    assert!(!desk.path("spied").exists());
    for tool in fs::read_dir(guests::project().join("target/python/componentize-py-0.25.1/bin")).unwrap() {
        let content = fs::read(tool.unwrap().path()).unwrap_or_default();
        assert!(!content.starts_with(b"#!/bin/sh\nexit 7"), "no script of a package is among the tools");
    }
}

#[test]
fn a_wheel_that_leaves_its_folder_is_refused_and_sources_are_not_run() {
    let desk = Desk::new();
    for (wanted, says) in [
        ("escape", "trying to install outside the target directory"),
        ("nested", "Unknown scheme key"),
        ("rooted", "trying to install outside the target directory"),
        ("named", "no version of named fits named"),
        ("versioned", "Invalid version: '../../../escaped'"),
        ("unbuilt", "unbuilt is there without a wheel, and code of a package is not run to make one"),
        ("./wheels/unbuilt-1.0.tar.gz", "unbuilt-1.0.tar.gz is no wheel, and code of a package is not run to make one"),
        ("./sources", "sources is no wheel, and code of a package is not run to make one"),
    ] {
        let said = desk.refused(&["--with", wanted, "-o", "x.wasm"]);
        assert!(said.contains(says), "{wanted}: {said}");
    }
    assert!(!desk.path("ran").exists(), "setup.py was run");
    for place in ["/tmp/escaped.py".into(), desk.path("escaped.py"), guests::project().join("target/escaped.py")] {
        assert!(!place.exists(), "{}", place.display());
    }
}

#[test]
fn a_prompt_has_the_packages_of_its_component() {
    let desk = Desk::with_packages();
    let mut command = Command::new("python3");
    command.arg(guests::project().join("tests/suite/terminal.py")).arg(beside("everstep"));
    command.args(["repl", "--python", "good.wasm", "--id", "p"]).current_dir(desk.path("."));
    command.env("TERM", "xterm").env("XDG_STATE_HOME", desk.path("state")).env_remove("EVERSTEP_LOG");
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let (mut keys, mut screen) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
    let mut shown = String::new();
    for (awaited, typed) in [(">>> ", "import palette\r"), (">>> ", "palette.mix('a')\r"), ("dark a", "exit()\r")] {
        let mut bytes = [0; 4096];
        while !shown.contains(awaited) {
            let length = screen.read(&mut bytes).unwrap();
            assert!(length > 0, "it ended: {shown}");
            shown.push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
        shown.clear();
        keys.write_all(typed.as_bytes()).unwrap();
    }
    // The end of what is typed would close the terminal.
    let mut rest = Vec::new();
    screen.read_to_end(&mut rest).unwrap();
    drop(keys);
    let rest = String::from_utf8_lossy(&rest).into_owned();
    assert!(child.wait().unwrap().success() && rest.trim_end().ends_with("ended 0."), "{rest}");
}

#[test]
fn a_worker_has_the_packages_of_its_component() {
    let (desk, ground) = (Desk::with_packages(), Ground::new());
    let python = format!("--python={}", desk.path("good.wasm").display());
    let worker = Process::start(ground.desk.command(&["worker", &python, "--remote", &ground.url]));
    worker.until_said("worker of group default");
    let code = "import palette; print(palette.mix('a', 'b'))";
    let output = ground.desk.command(&["exec", &python, "-c", code, "--remote", &ground.url]).output().unwrap();
    assert_eq!(text(&output.stdout), "dark a+b\n", "{output:?}");
}
