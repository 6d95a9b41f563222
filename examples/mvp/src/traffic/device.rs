//! What the simulated people hold in their hands, and where they are.

use std::time::Duration;

/// A phone model with what its owner runs on it.
#[derive(Clone, Debug)]
pub(super) struct Device {
    pub platform: &'static str,
    pub model: &'static str,
    pub os: &'static str,
    pub version: &'static str,
    pub build: u32,
    pub network: &'static str,
    /// A typical cold start of the app on it. Unit: milliseconds.
    pub start_ms: u32,
}

/// Model, system, weight and a typical cold start in milliseconds.
type Model = (&'static str, &'static str, u32, u32);
/// Version, build and weight.
type Release = (&'static str, u32, u32);

const IOS: [Model; 5] = [
    ("iPhone17,1", "18.1", 18, 520),
    ("iPhone16,1", "18.0", 16, 600),
    ("iPhone15,2", "17.6", 12, 690),
    ("iPhone12,8", "16.7", 5, 1_300),
    ("iPad13,1", "17.5", 3, 880),
];
const ANDROID: [Model; 6] = [
    ("SM-S921B", "15", 14, 740),
    ("SM-A546B", "14", 12, 1_250),
    ("Pixel 8", "15", 8, 790),
    ("Redmi Note 12", "13", 7, 1_700),
    ("SM-A145F", "13", 4, 2_600),
    ("moto g(30)", "12", 2, 3_100),
];
const IOS_RELEASES: [Release; 4] =
    [("3.2.0", 431, 20), ("3.1.0", 412, 60), ("3.0.4", 398, 15), ("2.9.1", 355, 5)];
const ANDROID_RELEASES: [Release; 4] =
    [("3.2.0", 1431, 10), ("3.1.2", 1415, 60), ("3.0.4", 1398, 22), ("2.8.0", 1322, 8)];
const NETWORKS: [(&str, u32); 5] = [("wifi", 50), ("5g", 22), ("4g", 22), ("3g", 5), ("2g", 1)];

/// A device by the weights above.
pub(super) fn pick(dice: &mut fastrand::Rng) -> Device {
    let ios_weight: u32 = IOS.iter().map(|model| model.2).sum();
    let all: u32 = ios_weight + ANDROID.iter().map(|model| model.2).sum::<u32>();
    let (platform, models, releases): (_, &[Model], _) = if dice.u32(..all) < ios_weight {
        ("ios", &IOS, &IOS_RELEASES)
    } else {
        ("android", &ANDROID, &ANDROID_RELEASES)
    };
    let (model, os, _, start_ms) = *weighted(dice, models, |model| model.2);
    let (version, build, _) = *weighted(dice, releases, |release| release.2);
    let (network, _) = *weighted(dice, &NETWORKS, |network| network.1);
    Device { platform, model, os, version, build, network, start_ms }
}

/// An address from the blocks kept for documentation (RFC 5737, RFC 3849), one in four IPv6.
pub(super) fn address(dice: &mut fastrand::Rng) -> String {
    match dice.u8(..4) {
        0 => format!("2001:db8:{:x}:{:x}::{:x}", dice.u16(1..), dice.u16(..), dice.u16(1..)),
        1 => format!("203.0.113.{}", dice.u8(1..255)),
        2 => format!("198.51.100.{}", dice.u8(1..255)),
        _ => format!("192.0.2.{}", dice.u8(1..255)),
    }
}

fn weighted<'a, T>(dice: &mut fastrand::Rng, all: &'a [T], weight: fn(&T) -> u32) -> &'a T {
    let mut left = dice.u32(..all.iter().map(weight).sum::<u32>().max(1));
    for entry in all {
        match left.checked_sub(weight(entry)) {
            Some(rest) => left = rest,
            None => return entry,
        }
    }
    &all[all.len() - 1]
}

impl Device {
    /// The value of `Plimsoll-Client` (a dictionary, RFC 9651).
    pub(super) fn client_header(&self, state: &str) -> String {
        let Self { platform, model, os, version, build, network, .. } = self;
        format!(
            "platform={platform}, version=\"{version}\", build={build}, os=\"{os}\", \
             model=\"{model}\", network=\"{network}\", state={state}"
        )
    }

    /// How long the app takes to start: mostly as it does on this phone, now and then twice as
    /// long, and longer with what was released before a start was worth a look.
    pub(super) fn cold_start(&self, dice: &mut fastrand::Rng) -> Duration {
        let old = if self.version.starts_with('2') { 1.35 } else { 1.0 };
        let long = dice.f64() * dice.f64() * dice.f64();
        Duration::from_millis(u64::from(self.start_ms)).mul_f64(old * (0.85 + 1.5 * long))
    }

    /// How many times as long this network takes as the best one.
    pub(super) fn slowness(&self) -> f64 {
        match self.network {
            "2g" => 4.0,
            "3g" => 2.0,
            "4g" => 1.2,
            _ => 1.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashSet;
    use std::net::IpAddr;

    #[test]
    fn both_platforms_and_every_model_are_seen() {
        let mut dice = fastrand::Rng::with_seed(1);
        let seen: Vec<Device> = (0..2_000).map(|_| pick(&mut dice)).collect();
        let models: HashSet<&str> = seen.iter().map(|device| device.model).collect();
        assert_eq!(models.len(), IOS.len() + ANDROID.len());
        let ios = seen.iter().filter(|device| device.platform == "ios").count();
        assert!((900..1_250).contains(&ios), "{ios}");
    }

    #[test]
    fn the_header_is_the_documented_dictionary() {
        let device = Device {
            platform: "ios",
            model: "iPhone15,2",
            os: "17.2",
            version: "3.1.0",
            build: 412,
            network: "4g",
            start_ms: 690,
        };
        assert_eq!(
            device.client_header("foreground"),
            "platform=ios, version=\"3.1.0\", build=412, os=\"17.2\", model=\"iPhone15,2\", \
             network=\"4g\", state=foreground"
        );
    }

    #[test]
    fn addresses_are_of_nobody() {
        let mut dice = fastrand::Rng::with_seed(2);
        for _ in 0..500 {
            let text = address(&mut dice);
            match text.parse::<IpAddr>().unwrap() {
                IpAddr::V4(v4) => assert!(v4.is_documentation(), "{text}"),
                IpAddr::V6(v6) => assert_eq!(v6.segments()[..2], [0x2001, 0xdb8], "{text}"),
            }
        }
    }
}
