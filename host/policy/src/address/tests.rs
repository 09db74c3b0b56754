use super::*;
use proptest::prelude::*;

fn ip(text: &str) -> IpAddr {
    text.parse().unwrap()
}

fn cidr(text: &str) -> Cidr {
    text.parse().unwrap()
}

fn judged(text: &str) -> Result<(), Class> {
    Rules::default().check(ip(text))
}

/// First and last address of every range that is refused, and its class.
const REFUSED: &[(&str, &str, Class)] = &[
    ("0.0.0.0", "0.0.0.0", Class::Unspecified),
    ("0.0.0.1", "0.255.255.255", Class::Reserved),
    ("10.0.0.0", "10.255.255.255", Class::Private),
    ("100.64.0.0", "100.127.255.255", Class::Shared),
    ("127.0.0.0", "127.255.255.255", Class::Loopback),
    ("169.254.0.0", "169.254.255.255", Class::LinkLocal),
    ("172.16.0.0", "172.31.255.255", Class::Private),
    ("192.0.0.0", "192.0.0.255", Class::Reserved),
    ("192.0.2.0", "192.0.2.255", Class::Documentation),
    ("192.88.99.0", "192.88.99.255", Class::Reserved),
    ("192.168.0.0", "192.168.255.255", Class::Private),
    ("198.18.0.0", "198.19.255.255", Class::Reserved),
    ("198.51.100.0", "198.51.100.255", Class::Documentation),
    ("203.0.113.0", "203.0.113.255", Class::Documentation),
    ("224.0.0.0", "239.255.255.255", Class::Multicast),
    ("240.0.0.0", "255.255.255.254", Class::Reserved),
    ("255.255.255.255", "255.255.255.255", Class::Broadcast),
    ("169.254.169.254", "169.254.169.254", Class::Metadata),
    ("169.254.170.2", "169.254.170.2", Class::Metadata),
    ("169.254.170.23", "169.254.170.23", Class::Metadata),
    ("100.100.100.200", "100.100.100.200", Class::Metadata),
    ("192.0.0.192", "192.0.0.192", Class::Metadata),
    ("168.63.129.16", "168.63.129.16", Class::Metadata),
    ("::", "::", Class::Unspecified),
    ("::1", "::1", Class::Loopback),
    ("::127.0.0.1", "::127.0.0.1", Class::Loopback),
    ("::8.8.8.8", "::8.8.8.8", Class::Embedded),
    ("::ffff:127.0.0.0", "::ffff:127.255.255.255", Class::Loopback),
    ("::ffff:0:127.0.0.1", "::ffff:0:127.0.0.1", Class::Loopback),
    ("::ffff:0:8.8.8.8", "::ffff:0:8.8.8.8", Class::Embedded),
    ("64:ff9b::10.0.0.0", "64:ff9b::10.255.255.255", Class::Private),
    ("64:ff9b:1::169.254.169.254", "64:ff9b:1::169.254.169.254", Class::Metadata),
    ("64:ff9b:1:7f00:0:100::", "64:ff9b:1:7f00:0:100::", Class::Loopback),
    ("64:ff9b:1::8.8.8.8", "64:ff9b:1::8.8.8.8", Class::Embedded),
    ("100::", "100::ffff:ffff:ffff:ffff", Class::Reserved),
    ("100:0:0:1::", "100:0:0:1:ffff:ffff:ffff:ffff", Class::Reserved),
    ("2001:1::1", "2001:1ff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
    ("2001:2::", "2001:2:0:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
    ("2001:10::", "2001:3f:ffff:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
    ("2001:db8::", "2001:db8:ffff:ffff:ffff:ffff:ffff:ffff", Class::Documentation),
    ("2002:808:808::", "2002:808:808:ffff:ffff:ffff:ffff:ffff", Class::Embedded),
    ("2002:a00::", "2002:aff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Private),
    ("2002:a9fe:a9fe::1", "2002:a9fe:a9fe::1", Class::Metadata),
    // Teredo: server 8.8.4.4 and client 8.8.8.8; client 127.0.0.1; server 10.0.0.1.
    ("2001:0:808:404:0:0:f7f7:f7f7", "2001:0:808:404:ffff:ffff:f7f7:f7f7", Class::Embedded),
    ("2001:0:808:404:0:0:80ff:fffe", "2001:0:808:404:ffff:ffff:80ff:fffe", Class::Loopback),
    ("2001:0:a00:1:0:0:f7f7:f7f7", "2001:0:a00:1:0:0:f7f7:f7f7", Class::Private),
    ("3fff::", "3fff:fff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Documentation),
    ("4000::", "5eff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
    ("5f00::", "5f00:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Reserved),
    ("fc00::", "fdff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::UniqueLocal),
    ("fe80::", "febf:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::LinkLocal),
    ("fec0::", "feff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Private),
    ("ff00::", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Class::Multicast),
    ("fd00:ec2::254", "fd00:ec2::254", Class::Metadata),
    ("fd00:ec2::23", "fd00:ec2::23", Class::Metadata),
    ("fd20:ce::254", "fd20:ce::254", Class::Metadata),
    ("fd00:42::42", "fd00:42::42", Class::Metadata),
];

/// The neighbours of the ranges, and addresses of the registries that the internet reaches.
const PERMITTED: &[&str] = &[
    "1.0.0.0",
    "9.255.255.255",
    "11.0.0.0",
    "100.63.255.255",
    "100.128.0.0",
    "126.255.255.255",
    "128.0.0.0",
    "169.253.255.255",
    "169.255.0.0",
    "172.15.255.255",
    "172.32.0.0",
    "191.255.255.255",
    "192.0.1.0",
    "192.0.3.0",
    "192.31.196.1",
    "192.52.193.1",
    "192.88.98.255",
    "192.88.100.0",
    "192.167.255.255",
    "192.169.0.0",
    "192.175.48.1",
    "198.17.255.255",
    "198.20.0.0",
    "198.51.99.255",
    "198.51.101.0",
    "203.0.112.255",
    "203.0.114.0",
    "223.255.255.255",
    "168.63.129.15",
    "::ffff:8.8.8.8",
    "64:ff9b::8.8.8.8",
    "2001:200::",
    "2001:db7:ffff::",
    "2001:db9::",
    "2001:4860:4860::8888",
    "2003::",
    "2606:4700::1111",
    "2620:4f:8000::1",
    "3ffe:ffff::",
    "3fff:1000::",
];

#[test]
fn every_range_that_is_not_global_is_refused_with_its_class() {
    for (first, last, class) in REFUSED {
        for address in [first, last] {
            assert_eq!(judged(address), Err(*class), "{address}");
        }
    }
}

#[test]
fn every_neighbour_of_a_range_is_permitted() {
    for address in PERMITTED {
        assert_eq!(judged(address), Ok(()), "{address}");
    }
}

#[test]
fn allow_takes_out_of_the_block_what_it_names_and_nothing_else() {
    let rules = Rules { block: vec![cidr("127.0.0.0/8")], allow: vec![cidr("127.0.0.1/32")] };
    assert_eq!(rules.check(ip("127.0.0.1")), Ok(()));
    assert_eq!(rules.check(ip("::ffff:127.0.0.1")), Ok(()), "the same address, mapped");
    assert_eq!(rules.check(ip("127.0.0.2")), Err(Class::Blocked));
    for tunnel in ["::127.0.0.1", "64:ff9b::127.0.0.1", "64:ff9b:1::127.0.0.1", "2002:7f00:1::"] {
        assert_eq!(rules.check(ip(tunnel)), Err(Class::Blocked), "{tunnel} is another way to the address");
    }
    let tunnel = Rules { block: Vec::new(), allow: vec![cidr("64:ff9b::/96")] };
    assert_eq!(tunnel.check(ip("64:ff9b::10.0.0.1")), Ok(()));
    assert_eq!(tunnel.check(ip("10.0.0.1")), Err(Class::Private));
}

#[test]
fn everything_of_one_family_in_allow_opens_nothing_of_the_other() {
    let six = Rules { block: Vec::new(), allow: vec![cidr("::/0")] };
    assert_eq!(six.check(ip("::1")), Ok(()));
    assert_eq!(six.check(ip("127.0.0.1")), Err(Class::Loopback));
    assert_eq!(six.check(ip("::ffff:127.0.0.1")), Err(Class::Loopback));
    let four = Rules { block: Vec::new(), allow: vec![cidr("0.0.0.0/0")] };
    assert_eq!(four.check(ip("127.0.0.1")), Ok(()));
    assert_eq!(four.check(ip("::1")), Err(Class::Loopback));
}

#[test]
fn block_adds_to_what_is_not_global_in_every_form() {
    let rules = Rules { block: vec![cidr("8.8.0.0/16"), cidr("2606:4700::/32")], allow: Vec::new() };
    for address in ["8.8.8.8", "::ffff:8.8.8.8", "64:ff9b::8.8.8.8", "2002:808:808::1", "2606:4700::1111"] {
        assert_eq!(rules.check(ip(address)), Err(Class::Blocked), "{address}");
    }
    assert_eq!(rules.check(ip("8.9.0.0")), Ok(()));
    assert_eq!(rules.check(ip("127.0.0.1")), Err(Class::Loopback));
}

#[test]
fn a_range_is_written_as_its_first_address_and_a_prefix() {
    for (text, shown) in [
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("0.0.0.0/0", "0.0.0.0/0"),
        ("127.0.0.1", "127.0.0.1/32"),
        ("::1", "::1/128"),
        ("::/0", "::/0"),
        ("FD00::/8", "fd00::/8"),
        ("::ffff:10.0.0.0/104", "10.0.0.0/8"),
        ("::ffff:127.0.0.1", "127.0.0.1/32"),
    ] {
        assert_eq!(cidr(text).to_string(), shown, "{text}");
        let json = serde_json::to_string(&cidr(text)).unwrap();
        assert_eq!(json, format!("{shown:?}"));
        assert_eq!(serde_json::from_str::<Cidr>(&json).unwrap(), cidr(text));
    }
}

#[test]
fn what_is_no_range_is_refused_with_the_remedy() {
    for text in
        ["", "10", "10.0.0.0.0", "010.0.0.1", "127.1", "0x7f000001", "localhost", "fe80::1%eth0", "[::1]", " ::1"]
    {
        assert!(matches!(text.parse::<Cidr>(), Err(CidrError::Address { .. })), "{text}");
    }
    for text in ["10.0.0.0/", "10.0.0.0/33", "::/129", "10.0.0.0/08", "10.0.0.0/+8", "10.0.0.0/8/8", "::/-1", "::/256"]
    {
        assert!(matches!(text.parse::<Cidr>(), Err(CidrError::Prefix { .. })), "{text}");
    }
    let error = "10.1.2.3/8".parse::<Cidr>().unwrap_err();
    assert!(error.to_string().ends_with("write 10.0.0.0/8 for the range"), "{error}");
    let error = "fd00::1/8".parse::<Cidr>().unwrap_err();
    assert!(error.to_string().ends_with("write fd00::/8 for the range"), "{error}");
}

#[test]
fn a_range_covers_what_lies_in_it() {
    for (wide, narrow) in [("10.0.0.0/8", "10.1.0.0/16"), ("10.0.0.0/8", "10.0.0.0/8"), ("::/0", "fd00::/8")] {
        assert!(cidr(wide).covers(&cidr(narrow)), "{wide} {narrow}");
    }
    for (wide, narrow) in [("10.1.0.0/16", "10.0.0.0/8"), ("10.0.0.0/8", "11.0.0.0/8"), ("::/0", "10.0.0.0/8")] {
        assert!(!cidr(wide).covers(&cidr(narrow)), "{wide} {narrow}");
    }
}

/// The ways to carry a v4 address that say nothing else about the connection.
fn translated(v4: Ipv4Addr) -> [Ipv6Addr; 2] {
    [v4.to_ipv6_mapped(), Ipv6Addr::from_bits(0x64_ff9b << 96 | u128::from(v4.to_bits()))]
}

/// The ways to carry a v4 address that are refused whatever they carry.
fn tunnelled(v4: Ipv4Addr, other: u64) -> [Ipv6Addr; 5] {
    let (bits, other) = (u128::from(v4.to_bits()), u128::from(other));
    let (high, low) = (bits >> 16, bits & 0xffff);
    [
        Ipv6Addr::from_bits(bits),
        Ipv6Addr::from_bits(0x64_ff9b_0001 << 80 | bits),
        Ipv6Addr::from_bits(0x64_ff9b_0001 << 80 | high << 64 | low << 40 | (other & 0xff_ffff)),
        Ipv6Addr::from_bits(0x2002 << 112 | bits << 80 | other),
        Ipv6Addr::from_bits(0x2001 << 112 | 0x0808_0808 << 64 | (other & 0xffff_ffff) << 32 | (bits ^ 0xffff_ffff)),
    ]
}

fn any_range() -> impl Strategy<Value = Cidr> {
    (any::<IpAddr>(), 0_u8..=128).prop_map(|(address, prefix)| {
        let prefix = prefix.min(bits(address).1);
        match format!("{address}/{prefix}").parse() {
            Ok(range) => range,
            Err(CidrError::HostBits { meant, .. }) => meant,
            Err(error) => panic!("{error}"),
        }
    })
}

proptest! {
    #[test]
    fn a_translated_address_is_judged_as_its_v4(v4: Ipv4Addr) {
        for address in translated(v4) {
            prop_assert_eq!(Rules::default().check(address.into()), Rules::default().check(v4.into()), "{}", address);
        }
    }

    #[test]
    fn a_tunnelled_address_is_always_refused_and_with_the_class_of_its_v4(v4: Ipv4Addr, other: u64) {
        for address in tunnelled(v4, other) {
            // The unspecified and the loopback address of IPv6 look like tunnels to 0.0.0.0 and 0.0.0.1, and the longer of the
            // NAT64 prefixes reads like the shorter one where the bits between them are zero.
            if address.to_bits() <= 1 || v4.to_bits() >> 16 == 0 || v4.to_bits() == 0 {
                continue;
            }
            let class = Rules::default().check(v4.into()).err().unwrap_or(Class::Embedded);
            prop_assert_eq!(Rules::default().check(address.into()), Err(class), "{}", address);
        }
    }

    #[test]
    fn a_range_reads_as_it_is_written(range in any_range()) {
        prop_assert_eq!(range.to_string().parse::<Cidr>(), Ok(range));
    }

    #[test]
    fn a_range_holds_what_the_ranges_that_it_covers_hold(a in any_range(), b in any_range(), address: IpAddr) {
        if a.covers(&b) && b.contains(address) {
            prop_assert!(a.contains(address));
        }
        prop_assert!(a.covers(&a));
        prop_assert!(a.contains(a.first));
    }

    #[test]
    fn a_block_never_permits_more_and_an_allow_never_less(
        rules in (prop::collection::vec(any_range(), 0..4), prop::collection::vec(any_range(), 0..4)),
        more in any_range(),
        address: IpAddr,
    ) {
        let rules = Rules { block: rules.0, allow: rules.1 };
        let permitted = rules.check(address).is_ok();
        let mut blocked = rules.clone();
        blocked.block.push(more);
        prop_assert!(permitted || blocked.check(address).is_err());
        let mut allowed = rules;
        allowed.allow.push(more);
        prop_assert!(!permitted || allowed.check(address).is_ok());
    }
}
