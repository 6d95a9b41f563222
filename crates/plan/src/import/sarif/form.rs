//! As much of SARIF's form as is read. The results are counted while they are read, so that a
//! report of a hundred thousand takes no more memory than its rules.

use std::collections::HashMap;
use std::fmt;

use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};

use crate::import::REPORT_RULES_MAX;

/// The longest name of a rule that is read, bytes.
const RULE_BYTES_MAX: usize = 512;

#[derive(Deserialize)]
pub(super) struct Log {
    pub(super) version: Option<String>,
    pub(super) runs: Option<Vec<Run>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Run {
    pub(super) tool: Tool,
    pub(super) results: Option<Results>,
    pub(super) invocations: Option<Vec<Invocation>>,
    pub(super) external_property_file_references: Option<External>,
}

/// Results may stand in another file.
#[derive(Deserialize)]
pub(super) struct External {
    pub(super) results: Option<IgnoredAny>,
}

#[derive(Deserialize)]
pub(super) struct Tool {
    pub(super) driver: Component,
    pub(super) extensions: Option<Vec<Component>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Component {
    pub(super) name: String,
    pub(super) version: Option<String>,
    pub(super) semantic_version: Option<String>,
    pub(super) rules: Option<Vec<Rule>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Rule {
    pub(super) id: String,
    pub(super) default_configuration: Option<Configuration>,
}

#[derive(Deserialize)]
pub(super) struct Configuration {
    pub(super) level: Option<Level>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Invocation {
    pub(super) execution_successful: Option<bool>,
    pub(super) start_time_utc: Option<String>,
    pub(super) end_time_utc: Option<String>,
    pub(super) rule_configuration_overrides: Option<Vec<Override>>,
    pub(super) tool_execution_notifications: Option<Vec<Notification>>,
    pub(super) tool_configuration_notifications: Option<Vec<Notification>>,
}

#[derive(Deserialize)]
pub(super) struct Override {
    pub(super) configuration: Option<Configuration>,
}

#[derive(Deserialize)]
pub(super) struct Notification {
    pub(super) level: Option<Level>,
}

/// How bad it is; in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Level {
    None,
    Note,
    Warning,
    Error,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Kind {
    NotApplicable,
    Pass,
    Fail,
    Review,
    Open,
    Informational,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Baseline {
    New,
    Unchanged,
    Updated,
    Absent,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
enum Status {
    Accepted,
    UnderReview,
    Rejected,
}

#[derive(Deserialize)]
struct Suppression {
    status: Option<Status>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct One {
    level: Option<Level>,
    kind: Option<Kind>,
    rule_id: Option<String>,
    rule_index: Option<i64>,
    rule: Option<RuleReference>,
    suppressions: Option<Vec<Suppression>>,
    baseline_state: Option<Baseline>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct RuleReference {
    id: Option<String>,
    index: Option<i64>,
    tool_component: Option<ComponentReference>,
}

#[derive(Deserialize)]
struct ComponentReference {
    index: Option<i64>,
}

/// What results have in common that are counted together.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) struct Group {
    /// The result's own level.
    pub(super) level: Option<Level>,
    /// Its rule by name.
    pub(super) rule: Option<String>,
    /// By place among the rules.
    pub(super) index: Option<usize>,
    /// Of this extension; else of the tool itself.
    pub(super) extension: Option<usize>,
}

/// The results of a run.
#[derive(Debug, Default)]
pub(super) struct Results {
    pub(super) groups: HashMap<Group, u64>,
    pub(super) suppressed: u64,
}

impl Results {
    fn add(&mut self, one: One) -> Result<(), String> {
        if one.baseline_state == Some(Baseline::Absent) {
            return Ok(());
        }
        if one.is_suppressed() {
            self.suppressed += 1;
            return Ok(());
        }
        if one.kind.is_some_and(|kind| kind != Kind::Fail) {
            return Ok(());
        }
        let group = one.group();
        if group.rule.as_ref().is_some_and(|rule| rule.len() > RULE_BYTES_MAX) {
            return Err(format!("a rule has a name of more than {RULE_BYTES_MAX} bytes"));
        }
        if self.groups.len() >= REPORT_RULES_MAX && !self.groups.contains_key(&group) {
            return Err(format!("the results are of more than {REPORT_RULES_MAX} rules"));
        }
        *self.groups.entry(group).or_default() += 1;
        Ok(())
    }
}

impl One {
    /// By one that is accepted, and none that is not.
    fn is_suppressed(&self) -> bool {
        let all = self.suppressions.as_deref().unwrap_or_default();
        let accepted = |one: &Suppression| one.status.is_none_or(|is| is == Status::Accepted);
        !all.is_empty() && all.iter().all(accepted)
    }

    fn group(self) -> Group {
        // -1 stands for none.
        let place = |index: Option<i64>| index.and_then(|index| usize::try_from(index).ok());
        let (mut rule, mut index, mut extension) = (self.rule_id, place(self.rule_index), None);
        if let Some(reference) = self.rule {
            rule = rule.or(reference.id);
            index = index.or(place(reference.index));
            extension = reference.tool_component.and_then(|component| place(component.index));
        }
        Group { level: self.level, rule, index, extension }
    }
}

impl<'de> Deserialize<'de> for Results {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct List;

        impl<'de> Visitor<'de> for List {
            type Value = Results;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of results")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Results, A::Error> {
                let mut results = Results::default();
                while let Some(one) = list.next_element::<One>()? {
                    results.add(one).map_err(A::Error::custom)?;
                }
                Ok(results)
            }
        }
        deserializer.deserialize_seq(List)
    }
}
