//! Bytes that are no guest.

use super::{limits, lives, run};
use everstep::Run;
use everstep_tests::guests;
use everstep_tests::handmade::Module;
use everstep_tests::sandbox::Sandbox;
use std::fs;
use std::os::unix::fs::FileExt;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_guest_is_refused_and_says_what_it_is() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let hostile = guests::fixture("hostile").unwrap();
        let random = (0..100_000_u64).map(|n| (n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 56) as u8).collect::<Vec<_>>();
        let imports = r#"(component (import "wasi:keyvalue/store@0.2.0" (instance)) (import "env" (func)))"#;
        let many_imports = (0..5_000).map(|n| format!("(import \"import-{n}\" (func))")).collect::<String>();
        let cases = [
            (Vec::new(), "this is not a WebAssembly component but an empty file"),
            (random, "this is not a WebAssembly component but something else"),
            (hostile[..8].to_vec(), "the component exports nothing; one that can be run exports wasi:cli/run@0.2"),
            (hostile[..hostile.len() / 2].to_vec(), "the component is malformed at byte "),
            ([&hostile[..8], &[0xff; 100][..]].concat(), "the component is malformed at byte "),
            (wat::parse_str("(module)").unwrap(), "this is not a WebAssembly component but a core module"),
            (
                wat::parse_str("(component)").unwrap(),
                "the component exports nothing; one that can be run exports wasi:cli/run@0.2",
            ),
            (
                wat::parse_str(imports).unwrap(),
                "the component imports what this host does not offer: wasi:keyvalue/store@0.2.0 (compose the component with one that exports it, or reach the service through everstep:host/bridge), env (",
            ),
            (
                wat::parse_str(format!("(component {many_imports})")).unwrap(),
                "the component imports what this host does not offer",
            ),
        ];
        for (bytes, says) in cases {
            let error = host.run(Run::new(bytes, "f", "null", policy.clone())).await.unwrap_err().to_string();
            assert!(error.starts_with(says), "expected {says:?}, got {error:?}");
            assert!(error.len() < 2_000, "{error}");
        }
        assert!(host.reader().executions().await.unwrap().is_empty(), "nothing was started");
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_guest_with_the_wrong_types_is_refused() {
    for sandbox in Sandbox::each() {
        let (host, policy) = (sandbox.host().unwrap(), limits(&sandbox, ""));
        let exports = r#"(component
        (core module $m (func (export "f") (result i32) i32.const 0))
        (core instance $c (instantiate $m))
        (func $f (result u32) (canon lift (core func $c "f")))
        (instance $i (export "start" (func $f)))
        (export "everstep:host/guest@0.1.0" (instance $i)))"#;
        let import = exports.replace(
            "(component",
            r#"(component (import "everstep:host/timers@0.1.0" (instance (export "now" (func)))) "#,
        );
        for text in [exports, &import] {
            let component = wat::parse_str(text).unwrap();
            let error = host.run(Run::new(component, "f", "null", policy.clone())).await.unwrap_err().to_string();
            assert!(error.starts_with("cannot link the component: "), "{error}");
        }
        lives(&host, &policy).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_keep_the_compiler_busy_is_refused_or_quick() {
    for sandbox in Sandbox::each() {
        // Without a cache: this is about compiling.
        let host = sandbox.place().plain().instances(4).build().unwrap();
        let policy = limits(&sandbox, "");
        let many = "(func)".repeat(100_000);
        let table = format!("(func (param i32) (block (br_table {} (local.get 0))))", "0 ".repeat(1 << 20));
        let wide = format!(
            "(func (param i32) {} (br_table {} (local.get 0)) {})",
            "block ".repeat(5_000),
            (0..5_000).map(|n| format!("{n} ")).collect::<String>(),
            "end ".repeat(5_000)
        );
        for (more, refused) in [(&many, true), (&table, true), (&wide, false)] {
            let component = Module { more, ..Module::default() }.component().unwrap();
            let ran = host.run(Run::new(component, "f", "null", policy.clone())).await;
            match refused {
                true => assert!(ran.unwrap_err().to_string().contains("more than the"), "{}", &more[..80]),
                false => assert_eq!(ran.unwrap().result.as_deref(), Some("1")),
            }
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cached_component_that_was_tampered_with_is_compiled_anew() {
    for sandbox in Sandbox::each() {
        let policy = limits(&sandbox, "");
        let component = Module::default().component().unwrap();
        let host = || sandbox.place().plain().instances(2).cache(sandbox.path("cache")).build().unwrap();
        assert_eq!(run(&host(), &policy, &component).await.result.as_deref(), Some("1"));
        let files = || fs::read_dir(sandbox.path("cache")).unwrap().map(|entry| entry.unwrap().path());
        let cached = files().find(|path| path.extension().is_some_and(|extension| extension == "cwasm")).unwrap();
        let good = fs::read(&cached).unwrap();
        for place in [0, 20, 100, good.len() / 2, good.len() - 1] {
            let file = fs::OpenOptions::new().write(true).open(&cached).unwrap();
            file.write_all_at(&[good[place] ^ 1], place as u64).unwrap();
            assert_eq!(run(&host(), &policy, &component).await.result.as_deref(), Some("1"));
            assert_eq!(fs::read(&cached).unwrap().len(), good.len());
            assert_eq!(fs::read(&cached).unwrap()[place], good[place], "it was replaced");
        }
        for bytes in [&good[..good.len() / 2], &[], b"\x7fELF"] {
            fs::write(&cached, bytes).unwrap();
            assert_eq!(run(&host(), &policy, &component).await.result.as_deref(), Some("1"));
        }
    }
}
