# Networks: members, subnets, what is private.
import ipaddress as ip

network = ip.ip_network("192.168.4.0/22")
print(network.num_addresses, network.netmask, network.broadcast_address, [str(n) for n in network.subnets(prefixlen_diff=1)])
for text in ("192.168.7.255", "8.8.8.8", "127.0.0.1", "::1", "fe80::1%eth0", "2001:db8::8a2e:370:7334", "256.1.1.1"):
    try:
        address = ip.ip_address(text)
        print(f"{text:24} v{address.version} member={address in network if address.version == 4 else '-'} private={address.is_private} loopback={address.is_loopback}")
    except ValueError as error:
        print(error)
print([str(n) for n in ip.collapse_addresses(ip.ip_network(f"10.0.{i}.0/24") for i in range(4))])
print(ip.ip_address("2001:db8::1").exploded, int(ip.ip_address("1.2.3.4")), ip.ip_address(3232235777), ip.ip_interface("10.1.2.3/8").network)
print(sorted(map(ip.ip_address, ["10.0.0.10", "10.0.0.9"])), [str(h) for h in ip.ip_network("10.0.0.0/30").hosts()])
