//! Private and metadata addresses with somebody behind them: the tests run again in a network namespace that has them.

use super::servers::{Server, ok};
use super::{allow, get};
use everstep::capability::http::Client;
use everstep::network::address::{Class, Rules};
use everstep::network::{Cause, Options};
use std::process::{Command, Output};

/// Says that a test runs in the namespace that was made for it.
const INSIDE: &str = "EVERSTEP_TEST_NAMESPACE";

/// Gives the loopback interface of a new namespace the addresses that a cloud or a company network has.
const ADDRESSES: &str = "
import fcntl, socket, struct
v4 = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
def name(text): return text.encode().ljust(16, b'\\0')
def v4_request(interface, address):
    return name(interface) + struct.pack('=HH4s8x', socket.AF_INET, 0, socket.inet_aton(address))
fcntl.ioctl(v4, 0x8914, name('lo') + struct.pack('=H', 0x41) + bytes(14))
for number, address in enumerate(['169.254.169.254', '10.1.2.3', '100.64.0.1', '192.168.1.1', '8.8.8.8'], 1):
    interface = f'lo:{number}'
    fcntl.ioctl(v4, 0x8916, v4_request(interface, address))
    fcntl.ioctl(v4, 0x891c, v4_request(interface, '255.255.255.255'))
v6 = socket.socket(socket.AF_INET6, socket.SOCK_DGRAM)
for address in ['fd00:ec2::254', 'fd12::1']:
    request = socket.inet_pton(socket.AF_INET6, address) + struct.pack('=Ii', 128, socket.if_nametoindex('lo'))
    fcntl.ioctl(v6, 0x8916, request)
";

/// Runs a test of this binary in a new network namespace, with and, if that is not permitted, without being root.
fn run_inside(test: &str) -> Output {
    let binary = std::env::current_exe().unwrap();
    let script = format!("python3 -c \"$ADDRESSES\" && exec \"$BINARY\" --exact --ignored {test} --nocapture");
    let in_namespace = |options: &[&str]| {
        let mut command = Command::new("unshare");
        command.args(options).args(["--net", "sh", "-c", &script]);
        command.env("ADDRESSES", ADDRESSES).env("BINARY", &binary).env(INSIDE, "1");
        command.output().expect("this test needs `unshare` of util-linux and python3; install them")
    };
    let output = in_namespace(&["--user", "--map-root-user"]);
    let not_permitted = output.stdout.is_empty() && !output.status.success();
    if not_permitted { in_namespace(&[]) } else { output }
}

#[test]
fn private_and_metadata_addresses_that_would_answer_are_not_reached_unless_allowed() {
    let output = run_inside("network::namespace::inside");
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(
        output.status.success() && out.contains("1 passed"),
        "this test needs a network namespace of its own; run it as root, or permit user namespaces with \
         `sysctl -w kernel.unprivileged_userns_clone=1 user.max_user_namespaces=1000`\n{out}\n{err}"
    );
}

#[tokio::test]
#[ignore = "runs in a network namespace of its own, from the test above"]
async fn inside() {
    assert!(std::env::var_os(INSIDE).is_some(), "it is started by the test above");
    for (address, class) in [
        ("169.254.169.254", Class::Metadata),
        ("10.1.2.3", Class::Private),
        ("192.168.1.1", Class::Private),
        ("100.64.0.1", Class::Shared),
        ("fd00:ec2::254", Class::Metadata),
        ("fd12::1", Class::UniqueLocal),
    ] {
        let host = if address.contains(':') { format!("[{address}]") } else { address.to_owned() };
        let server = Server::at(&format!("{host}:80"), |_| ok("credentials")).await;
        let url = format!("http://{host}/latest/meta-data/");
        let strict = Client::new(&Options::system(), Rules::default());
        assert_eq!(get(&strict, &url).await.unwrap_err().cause, Cause::Refused(class), "{address}");
        let other =
            Client::new(&Options::system(), allow(&["127.0.0.1", "10.1.2.4", "169.254.169.253", "fd00:ec2::253"]));
        assert_eq!(get(&other, &url).await.unwrap_err().cause, Cause::Refused(class), "{address}");
        if let Ok(std::net::IpAddr::V4(v4)) = address.parse() {
            let mapped = format!("http://[{}]/", v4.to_ipv6_mapped());
            assert_eq!(get(&strict, &mapped).await.unwrap_err().cause, Cause::Refused(class), "{mapped}");
        }
        assert_eq!(server.connections(), 0, "{address}");
        let allowed = Client::new(&Options::system(), allow(&[address]));
        assert_eq!(get(&allowed, &url).await.unwrap().body, b"credentials", "{address} would answer");
        assert_eq!(server.connections(), 1, "{address}");
    }
    redirected().await;
}

/// A public server that leads to a private one.
async fn redirected() {
    let private = Server::at("10.1.2.3:80", |_| ok("private")).await;
    let _public = Server::at("8.8.8.8:80", |_| super::servers::redirect(302, "http://10.1.2.3/")).await;
    let strict = Client::new(&Options::system(), Rules::default());
    let failure = get(&strict, "http://8.8.8.8/").await.unwrap_err();
    assert_eq!(failure.cause, Cause::Refused(Class::Private));
    assert!(failure.sent, "the public server was reached");
    assert_eq!(private.connections(), 0);
    let allowed = Client::new(&Options::system(), allow(&["10.1.2.3"]));
    assert_eq!(get(&allowed, "http://8.8.8.8/").await.unwrap().body, b"private");
}
