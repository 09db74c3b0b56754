//! Sessions and programs whose host is killed again and again.

use super::*;

/// Fifty cells that compute, draw, sleep, write files, ask the client; the host is killed between them and inside of them.
#[test]
fn fifty_cells_killed_between_and_inside_leave_the_same_names_and_each_effect_once() {
    let undisturbed = Fifty::run(|_| None);
    let mut moments = 0x9e37_79b9_7f4a_7c15_u64;
    let mut kills = 0;
    let disturbed = Fifty::run(|_| {
        // Xorshift (Marsaglia, 2003): moments that differ and are the same in every run.
        moments ^= moments << 13;
        moments ^= moments >> 7;
        moments ^= moments << 17;
        kills += u32::from(moments.is_multiple_of(3));
        moments.is_multiple_of(3).then(|| Duration::from_micros(moments / 3 % 120_000))
    });
    assert!(kills >= 10, "{kills}");
    assert_eq!(undisturbed.names, disturbed.names);
    assert_eq!(undisturbed.printed, disturbed.printed);
    assert_eq!(undisturbed.files, disturbed.files);
    // A request that was answered, or not, when the host died keeps its id: the client has seen each of them.
    assert_eq!(undisturbed.asked.len(), 10);
    assert_eq!(disturbed.asked, undisturbed.asked);
}

struct Fifty {
    names: Value,
    printed: String,
    files: BTreeMap<String, String>,
    /// What the client was asked, each request once.
    asked: Vec<Value>,
}

impl Fifty {
    fn code(n: u32) -> String {
        match n % 5 {
            0 => format!("import json, asyncio, random, everstep\ntotal = globals().get('total', 0) + {n}\nnames = globals().get('names', []) + ['c{n}']"),
            1 => "async def nap(k):\n    await asyncio.sleep(0.002 * k)\n    return k * k\nsquares = await asyncio.gather(*(nap(k) for k in range(5)))\nprint(squares)".to_owned(),
            2 => format!("log = open('/out/log.txt').read() if {n} > 2 else ''\nwith open('/out/log.txt', 'w') as file: file.write(log + 'cell {n}\\n')\nlines = open('/data/lines.txt').read().split()"),
            3 => format!("answer = await everstep.request('weather', {n})\nprint('answered', answer)\ntotal += answer"),
            _ => format!("drawn = sorted(random.sample(range(1000), 3)) == []\nprint('cell', {n}, total)\nlength = len(names)"),
        }
    }

    /// `kill` says how long after sending a cell the host is killed, if it is.
    fn run(mut kill: impl FnMut(u32) -> Option<Duration>) -> Self {
        let desk = Desk::new();
        let mut client = desk.client();
        let mut asked: BTreeMap<u64, Value> = BTreeMap::new();
        for n in 0..50 {
            let (id, code) = (format!("c{n}"), Self::code(n));
            client.begin(&id, &code);
            if let Some(after) = kill(n) {
                std::thread::sleep(after);
                client.host.kill().unwrap();
                drop(client);
                client = desk.client();
                // Whoever does not know whether a cell was taken sends it again.
                client.begin(&id, &code);
            }
            loop {
                let message = client.until(&id, |message| {
                    message["type"] == "capability_request"
                        || message["reply_to"] == id.as_str() && message["type"] != "output"
                });
                if message["type"] != "capability_request" {
                    assert_eq!(message["type"], "result", "{message}");
                    break;
                }
                let step = message["id"].as_str().unwrap().split_once('.').unwrap().1.parse().unwrap();
                let before = asked.insert(step, message["message"].clone());
                assert!(before.is_none_or(|before| before == message["message"]), "{message}");
                client.ask("capability_response", &json!({ "request_id": message["id"], "value": n }));
            }
        }
        let names = "{name: value for name, value in globals().items() if name in ('total', 'names', 'squares', 'log', 'lines', 'answer', 'drawn', 'length')}";
        let names = client.cell("names", names)["value"].clone();
        drop(client);
        let logs = desk.everstep(&["logs", "s"]).output().unwrap();
        let files = fs::read_dir(desk.path().join("out")).unwrap().map(|entry| entry.unwrap());
        let files =
            files.map(|entry| (entry.file_name().into_string().unwrap(), fs::read_to_string(entry.path()).unwrap()));
        Self {
            names,
            printed: String::from_utf8(logs.stdout).unwrap(),
            files: files.collect(),
            asked: asked.into_values().collect(),
        }
    }
}

#[allow(clippy::disallowed_methods, reason = "how long a host has lived")]
fn now() -> std::time::Instant {
    std::time::Instant::now()
}

/// A program that reads, asks, sleeps, gathers and writes, killed at many moments; somebody follows its output all the time.
#[test]
fn a_program_killed_again_and_again_shows_each_line_once() {
    let code = "import asyncio, time\nlines = open('/data/lines.txt').read().split()\nprint('read', lines)\n\
                name = input('name? ')\nprint('hello', name)\n\
                async def nap(n):\n    await asyncio.sleep(0.05 * (n % 4))\n    print('napped', n)\n    return n * n\n\
                async def all():\n    return await asyncio.gather(*(nap(n) for n in range(10)))\n\
                squares = await all()\ntime.sleep(0.1)\n\
                import sqlite3\nbase = sqlite3.connect('/out/squares.db')\nbase.execute('create table squares (n)')\n\
                for n in squares:\n    with open(f'/out/{n}.txt', 'w') as file: file.write(name * n)\n    \
                with base: base.execute('insert into squares values (?)', (n,))\n    print('wrote', n)\n\
                print('sum', base.execute('select sum(n) from squares').fetchone()[0])\nbase.close()";
    let run = |desk: &Desk, mut kill: Box<dyn FnMut() -> Option<Duration>>| {
        fs::write(desk.path().join("p.py"), code).unwrap();
        let exec = ["exec", "p.py", "--policy", "policy.toml", "--id", "x"];
        let mut follower: Option<Child> = None;
        let mut kills = 0;
        loop {
            // Who might answer there says nothing.
            let mut host = desk.everstep(&exec);
            let mut host = host.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
            let begun = now();
            let deadline = kill();
            let status = loop {
                if follower.is_none() && desk.everstep(&["show", "x"]).output().unwrap().status.success() {
                    follower = Some(desk.everstep(&["logs", "x", "--follow"]).stdout(Stdio::piped()).spawn().unwrap());
                }
                let open = desk.everstep(&["promise", "list", "--json"]).output().unwrap();
                let open: Value = serde_json::from_slice(&open.stdout).unwrap_or_default();
                if let Some(id) = open["promises"][0]["id"].as_str() {
                    drop(desk.everstep(&["promise", "resolve", id, "\"Ada\""]).output().unwrap());
                }
                if let Some(status) = host.try_wait().unwrap() {
                    break status;
                }
                if deadline.is_some_and(|deadline| begun.elapsed() >= deadline) {
                    host.kill().unwrap();
                    break host.wait().unwrap();
                }
                assert!(begun.elapsed() < PATIENCE, "it hangs");
                std::thread::sleep(Duration::from_millis(5));
            };
            if status.success() {
                break;
            }
            assert!(status.code().is_none(), "{status}");
            kills += 1;
        }
        let shown = follower.unwrap().wait_with_output().unwrap();
        let mut files =
            fs::read_dir(desk.path().join("out")).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
        files.sort();
        let files: Vec<_> =
            files.into_iter().map(|file| (file.file_name().unwrap().to_owned(), fs::read(file).unwrap())).collect();
        (String::from_utf8(shown.stdout).unwrap(), files, kills)
    };
    let (whole, files, _) = run(&Desk::new(), Box::new(|| None));
    assert!(whole.ends_with("sum 285\n") && whole.lines().count() == 23, "{whole}");
    assert_eq!(files.len(), 11);
    let mut total = 0;
    for round in 0..4_u64 {
        let mut life = 0;
        let kill = move || {
            life += 1;
            (life <= 12).then(|| Duration::from_millis(40 + 30 * life + 13 * round))
        };
        let (shown, written, kills) = run(&Desk::new(), Box::new(kill));
        total += kills;
        let sorted = |text: &str| {
            let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
            lines.sort();
            lines
        };
        // Naps that are over when a host comes back end in the order of their times, as they do undisturbed.
        assert_eq!(sorted(&shown), sorted(&whole));
        assert_eq!(shown, whole);
        assert_eq!(written, files);
    }
    assert!(total >= 8, "{total} kills");
}
