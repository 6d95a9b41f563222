//! Which addresses a call may go to.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// What kind of place an address is, by the IANA special-purpose registries (RFC 6890 and its
/// updates) and the documented addresses of cloud metadata services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AddressClass {
    /// Reachable from the whole internet.
    Public,
    /// Ours or our neighbours': allowed only where the caller opts in.
    Private(&'static str),
    /// Never called, whatever the caller says.
    Never(&'static str),
}

use AddressClass::{Never, Private, Public};

const METADATA: AddressClass = Never("a cloud metadata address");

/// Says what kind of place `address` is. Forms that carry an IPv4 address inside an IPv6 one
/// (mapped, RFC 4291 §2.5.5.2; NAT64, RFC 6052) are judged by the address inside.
#[must_use]
pub fn classify(address: IpAddr) -> AddressClass {
    match address {
        IpAddr::V4(v4) => classify_v4(v4),
        IpAddr::V6(v6) => classify_v6(v6),
    }
}

fn classify_v4(v4: Ipv4Addr) -> AddressClass {
    match v4.octets() {
        // Azure's wire server stands in public space, Alibaba's in the carrier-grade NAT block,
        // Oracle's in the protocol assignments.
        [168, 63, 129, 16] | [100, 100, 100, 200] | [192, 0, 0, 192] => METADATA,
        [0, ..] => Never("an address of \"this network\" (0.0.0.0/8)"),
        [10, ..] | [172, 16..=31, ..] | [192, 168, ..] => Private("a private address (RFC 1918)"),
        [127, ..] => Private("a loopback address"),
        [100, 64..=127, ..] => Private("a carrier-grade NAT address (100.64.0.0/10)"),
        [198, 18 | 19, ..] => Private("a benchmarking address (198.18.0.0/15)"),
        [169, 254, ..] => Never("a link-local address, where cloud metadata services answer"),
        [192, 0, 0, _] => Never("a protocol assignment (192.0.0.0/24)"),
        [192, 0, 2, _] | [198, 51, 100, _] | [203, 0, 113, _] => Never("a documentation address"),
        [192, 88, 99, _] => Never("a 6to4 relay address"),
        [224..=239, ..] => Never("a multicast address"),
        [240..=255, ..] => Never("a reserved address (240.0.0.0/4)"),
        _ => Public,
    }
}

fn classify_v6(v6: Ipv6Addr) -> AddressClass {
    let s = v6.segments();
    let inner = || {
        let [.., a, b, c, d] = v6.octets();
        classify_v4(Ipv4Addr::new(a, b, c, d))
    };
    match s {
        [0, 0, 0, 0, 0, 0, 0, 1] => Private("the loopback address"),
        [0, 0, 0, 0, 0, 0xffff, ..] | [0x64, 0xff9b, 0, 0, 0, 0, ..] => inner(),
        [0, 0, 0, 0, 0, 0, ..] => Never("an unspecified or IPv4-compatible address (::/96)"),
        [0x64, 0xff9b, 1, ..] => Private("a local NAT64 address (64:ff9b:1::/48)"),
        [0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254] | [0xfd20, 0xce, 0, 0, 0, 0, 0, 0x254] => METADATA,
        [0xfc00..=0xfdff, ..] => Private("a unique local address (fc00::/7)"),
        [0xfe80..=0xfebf, ..] => Never("a link-local address"),
        [0xfec0..=0xfeff, ..] => Never("a site-local address (deprecated)"),
        [0xff00..=0xffff, ..] => Never("a multicast address"),
        [0x2001, 0..=0x01ff, ..] => Never("a protocol assignment, Teredo among them (2001::/23)"),
        [0x2001, 0xdb8, ..] | [0x3fff, 0..=0x0fff, ..] => Never("a documentation address"),
        [0x2002, ..] => Never("a 6to4 address (2002::/16)"),
        [0x2000..=0x3fff, ..] => Public,
        _ => Never("an address outside global unicast (2000::/3)"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn class(text: &str) -> AddressClass {
        classify(text.parse().unwrap())
    }

    #[test]
    fn the_internet_is_public() {
        for text in [
            "1.1.1.1",
            "8.8.8.8",
            "9.255.255.255",
            "11.0.0.0",
            "100.63.255.255",
            "100.128.0.0",
            "126.255.255.255",
            "128.0.0.0",
            "169.253.255.255",
            "172.15.255.255",
            "172.32.0.0",
            "192.167.255.255",
            "192.169.0.0",
            "198.17.255.255",
            "198.20.0.0",
            "223.255.255.255",
            "168.63.129.15",
            "2606:4700:4700::1111",
            "2001:4860:4860::8888",
            "2001:200::1",
            "::ffff:8.8.8.8",
            "64:ff9b::8.8.8.8",
        ] {
            assert_eq!(class(text), Public, "{text}");
        }
    }

    #[test]
    fn our_own_networks_need_an_opt_in() {
        for text in [
            "10.0.0.0",
            "10.255.255.255",
            "172.16.0.0",
            "172.31.255.255",
            "192.168.0.1",
            "127.0.0.1",
            "127.255.255.255",
            "100.64.0.0",
            "100.127.255.255",
            "198.18.0.1",
            "198.19.255.255",
            "::1",
            "fc00::1",
            "fdff:ffff::1",
            "::ffff:127.0.0.1",
            "::ffff:10.1.2.3",
            "64:ff9b::127.0.0.1",
            "64:ff9b::192.168.1.1",
            "64:ff9b:1::1",
        ] {
            assert!(matches!(class(text), Private(_)), "{text}: {:?}", class(text));
        }
    }

    #[test]
    fn some_places_are_never_called() {
        for text in [
            "0.0.0.0",
            "0.1.2.3",
            "169.254.169.254",
            "169.254.0.1",
            "100.100.100.200",
            "168.63.129.16",
            "192.0.0.192",
            "192.0.2.1",
            "198.51.100.1",
            "203.0.113.1",
            "192.88.99.1",
            "224.0.0.1",
            "239.255.255.255",
            "240.0.0.1",
            "255.255.255.255",
            "::",
            "::2",
            "::127.0.0.1",
            "::ffff:169.254.169.254",
            "::ffff:0.0.0.0",
            "64:ff9b::169.254.169.254",
            "fe80::1",
            "febf::1",
            "fec0::1",
            "ff02::1",
            "fd00:ec2::254",
            "fd20:ce::254",
            "2001::1",
            "2001:1ff::1",
            "2001:db8::1",
            "3fff::1",
            "2002:7f00:1::",
            "2002:808:808::1",
            "100::1",
            "5f00::1",
            "4000::1",
        ] {
            assert!(matches!(class(text), Never(_)), "{text}: {:?}", class(text));
        }
    }

    proptest! {
        /// Wrapping an IPv4 address must never make it look better than it is.
        #[test]
        fn a_mapped_address_is_judged_as_what_it_wraps(bits in any::<u32>()) {
            let v4 = Ipv4Addr::from(bits);
            let mapped = v4.to_ipv6_mapped();
            prop_assert_eq!(classify(mapped.into()), classify(v4.into()));
        }

        /// The standard library's own notion of loopback, private, link-local and multicast is
        /// never public here.
        #[test]
        fn nothing_special_to_the_standard_library_is_public(bits in any::<u128>()) {
            let v6 = Ipv6Addr::from(bits);
            let [.., a, b, c, d] = v6.octets();
            let v4 = Ipv4Addr::new(a, b, c, d);
            if v4.is_private() || v4.is_loopback() || v4.is_link_local() || v4.is_multicast()
                || v4.is_broadcast() || v4.is_documentation() || v4.is_unspecified()
            {
                prop_assert_ne!(classify(v4.into()), Public);
            }
            if v6.is_loopback() || v6.is_multicast() || v6.is_unspecified()
                || v6.is_unique_local() || v6.is_unicast_link_local()
            {
                prop_assert_ne!(classify(v6.into()), Public);
            }
        }
    }
}
