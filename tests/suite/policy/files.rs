//! Folders: what a guest cannot reach, whatever it calls it.

use super::denied;
use everstep_tests::place::Place;
use everstep_tests::sandbox::{FILES, Sandbox, calls};
use rustix::fs::{CWD, FileType, Mode, makedev, mknodat};
use serde_json::{Value, json};
use std::fs::{self, File};
use std::os::unix::fs::symlink;
use std::os::unix::net::UnixListener;

/// Every operation on a path.
fn every(path: &str) -> [Value; 5] {
    let [read, list, stat, remove] = ["read", "list", "stat", "remove"].map(|operation| json!({ operation: path }));
    [read, json!({ "write": [path, "x"] }), list, stat, remove]
}

fn changing(path: &str) -> [Value; 2] {
    [json!({ "write": [path, "x"] }), json!({ "remove": path })]
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn nothing_outside_the_grants_can_be_named() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        let outside = sandbox.path("secret");
        let long = format!("/in/{}", "x".repeat(5_000));
        let deep = format!("/out{}", "/x".repeat(1_000));
        let paths = [
            "/secret",
            outside.to_str().unwrap(),
            "/etc/passwd",
            "/proc/self/environ",
            "/dev/sda",
            "/",
            "",
            "in/a.txt",
            "/in/../secret",
            "/in/..",
            "/in/../../../../../../etc/passwd",
            "/out/x/../../secret",
            "/in/./a.txt",
            "//in/a.txt",
            "/in//a.txt",
            "/in/",
            "/IN/a.txt",
            "/input",
            "/in\\..\\secret",
            "\\\\?\\C:\\",
            "/in/a.txt\0",
            "/in/\0/../../secret",
            "/out/\u{1b}[2J",
            "/out/\n",
            "/out/x.",
            "/out/x /y",
            "/out/...",
            "/in/\u{202e}/../a",
            &long,
            &deep,
        ];
        let attempts = paths.iter().flat_map(|path| every(path)).collect::<Vec<_>>();
        denied(&sandbox, &host, &policy, &attempts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_read_grant_is_not_written_to() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        let attempts = ["/in/a.txt", "/in/new", "/in/new/folder", "/in"].iter().flat_map(|path| changing(path));
        denied(&sandbox, &host, &policy, &attempts.collect::<Vec<_>>()).await;
        let read = calls(&host, &policy, json!([{ "read": "/in/a.txt" }])).await.unwrap();
        assert_eq!(read[0]["ok"], "inside");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_link_leads_nowhere_as_the_last_component_or_on_the_way() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), sandbox.policy(FILES).unwrap());
        let mut attempts = Vec::new();
        for folder in ["in", "out"] {
            symlink("../secret", sandbox.path(folder).join("file")).unwrap();
            symlink(sandbox.path("secret"), sandbox.path(folder).join("absolute")).unwrap();
            symlink("..", sandbox.path(folder).join("folder")).unwrap();
            symlink("nowhere", sandbox.path(folder).join("dangling")).unwrap();
            symlink("a.txt", sandbox.path(folder).join("inside")).unwrap();
            symlink("/proc/self", sandbox.path(folder).join("proc")).unwrap();
            let paths =
                ["file", "absolute", "folder", "folder/secret", "folder/new", "dangling", "inside", "proc/environ"];
            attempts.extend(paths.iter().flat_map(|path| every(&format!("/{folder}/{path}"))));
        }
        denied(&sandbox, &host, &policy, &attempts).await;
        let listed = calls(&host, &policy, json!([{ "list": "/out" }])).await.unwrap();
        assert!(listed[0]["ok"].as_array().unwrap().iter().all(|entry| entry["kind"] == "other"), "{listed:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn special_files_are_refused_without_waiting() {
    for sandbox in Sandbox::each() {
        let policy = sandbox.policy(FILES).unwrap();
        let host = sandbox.host().unwrap();
        mknodat(CWD, sandbox.path("out/fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
        let _socket = UnixListener::bind(sandbox.path("out/socket")).unwrap();
        let mut attempts = ["/out/fifo", "/out/socket"].iter().flat_map(|path| every(path)).collect::<Vec<_>>();
        // Only root makes devices.
        if mknodat(CWD, sandbox.path("out/zero"), FileType::CharacterDevice, Mode::RWXU, makedev(1, 5)).is_ok() {
            attempts.extend(every("/out/zero"));
        }
        denied(&sandbox, &host, &policy, &attempts).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn a_file_that_is_too_large_is_not_read_and_not_written() {
    for sandbox in Sandbox::each() {
        let policy = sandbox.policy(&FILES.replace("access", "max_file = \"1KiB\"\naccess")).unwrap();
        let host = sandbox.host().unwrap();
        fs::write(sandbox.path("in/exact"), [0; 1024]).unwrap();
        fs::write(sandbox.path("in/large"), [0; 1025]).unwrap();
        File::create(sandbox.path("in/sparse")).unwrap().set_len(1 << 40).unwrap();
        let attempts = json!([
            { "read": "/in/exact" },
            { "write_bytes": ["/out/exact", 1024] },
            { "read": "/in/large" },
            { "read": "/in/sparse" },
            { "write_bytes": ["/out/large", 1025] },
        ]);
        let outcomes = calls(&host, &policy, attempts).await.unwrap();
        assert!(outcomes[..2].iter().all(|outcome| outcome["error"].is_null()), "{outcomes:?}");
        assert!(outcomes[2..].iter().all(|outcome| outcome["error"] == "limit-exceeded"), "{outcomes:?}");
        assert!(!sandbox.path("out/large").exists());
        let policy = sandbox.policy(&FILES.replace("access", "max_file = \"unlimited\"\naccess")).unwrap();
        let outcomes = calls(&host, &policy, json!([{ "read": "/in/sparse" }])).await.unwrap();
        assert_eq!(outcomes[0]["error"], "limit-exceeded", "limits.bytes_per_call holds still: {outcomes:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
pub(super) async fn the_host_keeps_its_store_and_its_cache_to_itself() {
    // One place: the store is in the folder of the sandbox.
    let sandbox = Sandbox::over(Place::folder()).unwrap();
    let cache = sandbox.path("cache");
    // One place: the store is in the folder of the sandbox.
    let host = everstep::Everstep::open(sandbox.path("store")).cache(&cache).build().unwrap();
    for folder in ["store/sub", "cache/sub"] {
        fs::create_dir(sandbox.path(folder)).unwrap();
    }
    symlink("store", sandbox.path("alias")).unwrap();
    let grant = |folder: &str, access: &str| {
        format!("[[files]]\nid = 'work'\nguest = '/work'\nhost = '{folder}'\naccess = '{access}'")
    };
    // The folder above holds the policy file as well, which a policy may not grant; so it is named from elsewhere.
    let above = sandbox.path("");
    let elsewhere = Sandbox::over(sandbox.place().another()).unwrap();
    for folder in [above.as_path(), &sandbox.path("store"), &sandbox.path("store/sub"), &sandbox.path("alias"), &cache]
    {
        let policy = elsewhere.policy(&grant(folder.to_str().unwrap(), "write")).unwrap();
        let error = calls(&host, &policy, json!([{ "list": "/work" }])).await.unwrap_err().to_string();
        assert!(error.starts_with("the [[files]] rule \"work\" lets the guest write in "), "{error}");
        assert!(error.ends_with("which is the host's own; grant a folder apart from it"), "{error}");
    }
    let policy = sandbox.policy(&grant("out", "write")).unwrap();
    calls(&host, &policy, json!([{ "list": "/work" }])).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_folders_of_the_system_are_no_grants_however_they_are_spelled() {
    // One place: no policy comes as far as a host.
    let sandbox = Sandbox::over(Place::memory()).unwrap();
    for (link, target) in [
        ("to-proc", "/proc"),
        ("to-self", "/proc/self"),
        ("to-root", "/"),
        ("to-dev", "/dev"),
        ("chain", "to-sys"),
        ("to-sys", "/sys"),
    ] {
        symlink(target, sandbox.path(link)).unwrap();
    }
    let up = "../".repeat(sandbox.path("x").components().count());
    let spelled = [
        "/proc",
        "/proc/",
        "//proc",
        "/proc/self",
        "/proc/self/",
        "/proc/1",
        "/proc/self/root",
        "/proc/self/cwd",
        "/proc/thread-self",
        "/sys",
        "/sys/kernel",
        "/dev",
        "/dev/shm",
        "/dev/../proc",
        "/usr/../sys",
        "/",
        "/..",
        "//",
        "to-proc",
        "to-proc/self",
        "to-self",
        "to-root",
        "to-root/proc",
        "to-dev",
        "chain",
        "to-sys/kernel",
        "./to-proc",
        "missing/../to-proc",
        "/proc/missing",
        "/dev/fd",
    ];
    let spelled = spelled.iter().map(|host| (*host).to_owned()).chain([format!("{up}proc"), format!("{up}dev"), up]);
    for host in spelled {
        for access in ["read", "overlay", "write"] {
            let grant = format!("[[files]]\nid = 'work'\nguest = '/work'\nhost = '{host}'\naccess = '{access}'");
            let error = sandbox.policy(&grant).map(drop).expect_err(&host).to_string();
            assert!(error.contains("work") && error.contains(":5: "), "{host}: {error}");
            assert!(error.contains("holds what the system shows of itself"), "{host}: {error}");
        }
    }
    for host in ["in", "in/../out", "/usr/share", "/procedure", "/system", "/devices"] {
        sandbox
            .policy(&format!("[[files]]\nid = 'work'\nguest = '/work'\nhost = '{host}'\naccess = 'read'"))
            .expect(host);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_leads_into_the_system_by_now_is_refused_when_its_folder_is_opened() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        symlink("in", sandbox.path("alias")).unwrap();
        let policy =
            sandbox.policy("[[files]]\nid = 'work'\nguest = '/work'\nhost = 'alias'\naccess = 'read'").unwrap();
        calls(&host, &policy, json!([{ "list": "/work" }])).await.unwrap();
        for target in ["/proc", "/proc/self", "/", "/dev", "/sys"] {
            fs::remove_file(sandbox.path("alias")).unwrap();
            symlink(target, sandbox.path("alias")).unwrap();
            let host = sandbox.host().unwrap();
            let error = calls(&host, &policy, json!([{ "list": "/work" }])).await.unwrap_err().to_string();
            assert!(
                error.contains("\"work\"") && error.contains("holds what the system shows of itself"),
                "{target}: {error}"
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_with_a_name_outside_is_left_alone_where_the_guest_may_write() {
    for sandbox in Sandbox::each() {
        let host = sandbox.host().unwrap();
        for folder in ["in", "out"] {
            fs::create_dir(sandbox.path(folder).join("deep")).unwrap();
            fs::hard_link(sandbox.path("secret"), sandbox.path(folder).join("deep/hard")).unwrap();
            fs::write(sandbox.path(folder).join("own"), "own").unwrap();
            fs::hard_link(sandbox.path(folder).join("own"), sandbox.path(folder).join("deep/own")).unwrap();
        }
        let attempts = |path: &str| {
            [
                json!({ "read": path }),
                json!({ "write": [path, "x"] }),
                json!({ "stat": path }),
                json!({ "remove": path }),
            ]
        };
        let policy = sandbox.policy(FILES).unwrap();
        denied(&sandbox, &host, &policy, &attempts("/out/deep/hard")).await;
        let overlay = sandbox.policy(&FILES.replace("\"write\"", "\"overlay\"")).unwrap();
        denied(&sandbox, &host, &overlay, &attempts("/out/deep/hard")).await;
        for policy in [&policy, &overlay] {
            let outcomes = calls(
                &host,
                policy,
                json!([{ "read": "/in/deep/hard" }, { "read": "/out/own" }, { "read": "/out/deep/own" }]),
            );
            let outcomes = outcomes.await.unwrap();
            assert_eq!(
                outcomes.iter().map(|one| one["ok"].clone()).collect::<Vec<_>>(),
                [json!("outside"), json!("own"), json!("own")]
            );
        }
        assert_eq!(fs::read_to_string(sandbox.path("secret")).unwrap(), "outside");
    }
}
