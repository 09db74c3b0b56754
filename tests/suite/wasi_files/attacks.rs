//! Attempts to leave the granted folders, and to take more than the limits allow.

use super::*;
use std::os::unix::fs::symlink;

#[test]
fn nothing_outside_the_granted_folders_is_reached() {
    for sandbox in Sandbox::each() {
        let policy = granted(&sandbox, FILES);
        symlink(sandbox.path("secret"), sandbox.path("out/link")).unwrap();
        symlink("/etc", sandbox.path("out/etc")).unwrap();
        fs::hard_link(sandbox.path("secret"), sandbox.path("out/hard")).unwrap();
        let mode = rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR;
        let kind = rustix::fs::FileType::Fifo;
        rustix::fs::mknodat(rustix::fs::CWD, sandbox.path("out/fifo"), kind, mode, 0).unwrap();
        let before = sandbox.inventory().unwrap();
        let calls = json!([
            open("s", "/out/../secret", "r"),
            open("s", "/out/f/../../secret", "r"),
            open("s", "/out/link", "r"),
            open("s", "/out/link", "wc"),
            open("s", "/out/etc/passwd", "r"),
            open("s", "/out/hard", "rw"),
            open("s", "/out/fifo", "r"),
            open("s", "/out//etc/passwd", "r"),
            { "rename": { "from": "/out/link", "to": "/out/x" } },
            { "rename": { "from": "/in/a.txt", "to": "/out/x" } },
            { "unlink": "/out/link" },
            { "symlink": { "to": "/etc/passwd", "path": "/out/l" } },
            { "link": { "from": "/in/a.txt", "to": "/out/l" } },
            { "readlink": "/out/link" },
            { "mkdir": "/out/../f" },
            { "mkdir": "/out/etc/f" },
            open("s", "/out/nul\0", "wc"),
            open("s", "/out/dot.", "wc"),
            open("s", &format!("/out/{}", "x".repeat(5_000)), "wc"),
            { "touch": { "path": "/out/link", "seconds": 1 } },
        ]);
        let told = told(&sandbox, &policy, calls);
        let expected = [
            "not-permitted",
            "not-permitted",
            "access",
            "access",
            "access",
            "access",
            "access",
            "not-permitted",
            "access",
            "access",
            "access",
            "not-permitted",
            "not-permitted",
            "access",
            "not-permitted",
            "access",
            "invalid",
            "invalid",
            "name-too-long",
            "access",
        ];
        let told: Vec<&str> = told.iter().map(|told| told.strip_prefix("error: ").unwrap_or(told)).collect();
        assert_eq!(told, expected);
        assert_eq!(sandbox.inventory().unwrap(), before);
    }
}

#[test]
fn sizes_quotas_and_memory_end_in_the_right_error() {
    let more = "max_file = \"1MiB\"\nmax_written = \"2MiB\"\nmax_files = 3\naccess = \"write\"";
    for sandbox in Sandbox::each() {
        let scratch = "[[files]]\nid = \"tmp\"\nguest = \"/tmp\"\naccess = \"scratch\"\nmax_file = \"8GiB\"\nmax_written = \"16GiB\"\n";
        let files = FILES.replace("access = \"write\"", more);
        let policy = sandbox.policy(&format!("[limits]\nmemory = \"16MiB\"\n{BASICS}{files}{scratch}")).unwrap();
        let huge = 1_u64 << 62;
        let calls = json!([
            open("a", "/out/a", "rwc"),
            { "set-size": { "name": "a", "size": huge } },
            { "write": { "name": "a", "offset": huge, "len": 1, "seed": 0 } },
            { "write": { "name": "a", "offset": u64::MAX, "len": 2, "seed": 0 } },
            { "read": { "name": "a", "offset": u64::MAX, "len": 5 } },
            { "append": { "name": "a", "len": 1_000_000, "seed": 0 } },
            open("b", "/out/b", "wc"),
            { "append": { "name": "b", "len": 1_000_000, "seed": 0 } },
            open("c", "/out/c", "wc"),
            { "append": { "name": "c", "len": 200_000, "seed": 0 } },
            open("d", "/out/d", "wc"),
            { "mkdir": "/out/e" },
            open("t", "/tmp/t", "wc"),
            { "set-size": { "name": "t", "size": 1_u64 << 32 } },
            { "set-size": { "name": "t", "size": huge } },
            { "append": { "name": "t", "len": 4_000_000, "seed": 0 } },
            { "append": { "name": "t", "len": 4_000_000, "seed": 0 } },
            { "append": { "name": "t", "len": 4_000_000, "seed": 0 } },
            { "append": { "name": "t", "len": 4_000_000, "seed": 0 } },
            { "flood": { "path": "/in/a.txt", "handles": 100_000 } },
        ]);
        let told = told(&sandbox, &policy, calls);
        assert_eq!(
            told[..5],
            ["", "error: file-too-large", "error: file-too-large", "error: file-too-large", "0 cbf29ce484222325"]
        );
        assert_eq!(told[5..12], ["", "", "", "", "error: quota", "error: quota", "error: quota"]);
        assert_eq!(told[12..15], ["", "error: insufficient-space", "error: file-too-large"]);
        assert_eq!(told[15], "");
        assert_eq!(told[18], "error: insufficient-space", "{told:?}");
        assert_eq!(told[19], "error: insufficient-memory");
        assert_eq!(fs::metadata(sandbox.path("out/a")).unwrap().len(), 1_000_000);
        let audited = sandbox.audit().unwrap();
        assert!(audited.iter().any(|line| line["decision"] == "deny"), "{audited:?}");
    }
}

#[test]
fn files_and_the_memory_of_the_guest_share_one_limit() {
    for sandbox in Sandbox::each() {
        let scratch = "[[files]]\nid = \"tmp\"\nguest = \"/tmp\"\naccess = \"scratch\"\n";
        let policy = sandbox.policy(&format!("[limits]\nmemory = \"24MiB\"\n{BASICS}{FILES}{scratch}")).unwrap();
        fs::File::create(sandbox.path("in/large")).unwrap().set_len(8 << 20).unwrap();
        let calls = json!([
            open("large", "/in/large", "r"),
            { "read": { "name": "large", "offset": 0, "len": 8 << 20 } },
            // What was read can be read again, so it leaves for this.
            { "grow": 9 << 20 },
            open("t", "/tmp/t", "wc"),
            { "set-size": { "name": "t", "size": 1 } },
            { "grow": 20 << 20 },
            { "set-size": { "name": "t", "size": 20 << 20 } },
        ]);
        let told = told(&sandbox, &policy, calls);
        assert!(told[1].starts_with("8388608 "), "{told:?}");
        assert_eq!(told[2..], ["", "", "", "error: insufficient-memory", "error: file-too-large"]);
    }
}
