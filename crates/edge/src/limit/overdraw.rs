//! Trying whether a limit refuses, by a key that is nobody's.

use plimsoll_base::Nanos;

use super::{Decision, Keys, Limits, Per, PolicySet};

impl Limits {
    /// All limits in the order of their indices, with what each counts apart.
    pub(crate) fn named(&self) -> impl Iterator<Item = (&str, Per)> {
        self.policies.iter().map(|policy| (&*policy.name, policy.per))
    }

    /// The limits of a set that let pass what is too much, or refuse what is not: each is tried by
    /// a key with one unit left, which has to pass, and a second one has to be refused for this
    /// limit. The key is forgotten again; neither figures nor other nodes hear of it.
    pub(crate) fn silent(&self, set: PolicySet, now: Nanos) -> impl Iterator<Item = usize> {
        set.iter().filter(move |index| !self.refuses(set, *index, now))
    }

    fn refuses(&self, set: PolicySet, tried: usize, now: Nanos) -> bool {
        let key = self.hasher.of_nobody();
        let keys = Keys { ip: key, caller: key, operation: key };
        // Keys that are known already, so that a full table cannot charge the bucket that new ones
        // share.
        for (index, policy) in set.iter().filter_map(|i| Some((i, self.policies.get(i)?))) {
            let gcra = &policy.state.gcra;
            let tat = if index == tried { gcra.with_one_unit_left(now.0) } else { now.0 };
            policy.state.store.lock(key).keep(key, tat);
        }
        let within = self.decide::<false>(set, &keys, 1, now);
        let beyond = self.decide::<false>(set, &keys, 1, now);
        for policy in set.iter().filter_map(|index| self.policies.get(index)) {
            policy.state.store.lock(key).forget(key);
        }
        match (within, beyond) {
            (Decision::Allowed(_), Decision::Refused(refused)) => refused.names(tried),
            _ => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::limit::{LimitOptions, LimitsOptions, Units};

    fn limit(name: &str, per: Per, burst: u32, units: Units) -> LimitOptions {
        LimitOptions {
            name: name.to_owned(),
            per,
            quota: burst,
            window: Duration::from_secs(60),
            burst,
            units,
            operations: Vec::new(),
            keys_max: 1,
        }
    }

    #[test]
    fn each_limit_is_seen_to_refuse_and_nothing_is_left_of_it() {
        let options = LimitsOptions {
            limits: vec![
                limit("ip", Per::Ip, 3, Units::Requests),
                limit("caller", Per::Caller, 1_000_000, Units::Requests),
                limit("single", Per::Caller, 1, Units::Requests),
                limit("cost", Per::Operation, 50, Units::Cost),
            ],
            operations: vec!["a".to_owned()],
            shared: true,
        };
        let limits = Limits::build(&options, None, &[7; 16]).unwrap();
        let (of, now) = (limits.policies_for(Some(0)), Nanos(5));
        // The one key there is room for is taken, so that further ones share a bucket.
        let keys = of.keys(1, 1);
        assert!(matches!(limits.check(of.by_caller, &keys, 1, now), Decision::Allowed(_)));
        let before = limits.stats();
        for set in [of.by_ip, of.by_caller] {
            assert_eq!(limits.silent(set, now).count(), 0);
        }
        assert_eq!(limits.stats(), before, "neither keys nor refusals");
        assert_eq!(
            limits.spent(now, usize::MAX, 0).len(),
            3,
            "other nodes hear of the caller alone"
        );
    }

    #[test]
    fn a_limit_that_lets_pass_what_is_too_much_is_named() {
        let options = LimitsOptions {
            limits: vec![limit("caller", Per::Caller, 2, Units::Requests)],
            ..LimitsOptions::default()
        };
        let limits = Limits::build(&options, None, &[7; 16]).unwrap();
        let set = limits.policies_for(None).by_caller;
        let broken = plimsoll_base::failpoint::fail("edge.limits");
        assert_eq!(limits.silent(set, Nanos(5)).collect::<Vec<_>>(), [0]);
        drop(broken);
        assert_eq!(limits.silent(set, Nanos(5)).count(), 0);
    }
}
