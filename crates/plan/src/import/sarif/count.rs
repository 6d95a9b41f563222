//! The level in force for each group of results, once a run's rules are known: they may stand
//! before the results or after them.

use std::cmp::Reverse;
use std::collections::HashMap;

use crate::import::REPORT_RULES_MAX;
use crate::import::error::ImportError;
use crate::import::sarif::form::{Component, Group, Level, Results, Run};
use crate::import::text::rule_name;

/// The results of all runs.
#[derive(Debug, Default)]
pub(super) struct Counted {
    by_rule: HashMap<(Level, Option<String>), u64>,
    pub(super) suppressed: u64,
}

impl Counted {
    /// How many have this level.
    pub(super) fn of(&self, level: Level) -> u64 {
        self.by_rule.iter().filter(|((one, _), _)| *one == level).map(|(_, count)| count).sum()
    }

    /// The rule with the most results of the worst level there is.
    pub(super) fn worst_rule(&self) -> Option<String> {
        let named = self.by_rule.iter().filter_map(|((level, rule), count)| {
            rule.as_deref().map(|rule| (*level, *count, Reverse(rule)))
        });
        let (_, _, Reverse(rule)) = named.max()?;
        rule_name(rule)
    }

    /// Adds a run; `at` is its place in the report.
    pub(super) fn add(&mut self, run: &Run, at: &str) -> Result<(), ImportError> {
        let results = results(run, at)?;
        self.suppressed += results.suppressed;
        let rules = Rules::of(run, at)?;
        let level_less = results.groups.keys().any(|group| group.level.is_none());
        if level_less && run.overrides_levels() {
            let says = "levels that were changed for this run are not read: have the tool write \
                        `level` with each result";
            return Err(ImportError::at(format!("{at}/invocations"), says));
        }
        for (group, count) in &results.groups {
            let rule = rules.find(group).map_err(|says| ImportError::at(at, says))?;
            let level = group.level.or(rule.and_then(|rule| rule.level)).unwrap_or(Level::Warning);
            let name = rule.map(|rule| rule.id).or(group.rule.as_deref());
            if level != Level::None {
                *self.by_rule.entry((level, name.map(str::to_owned))).or_default() += count;
            }
        }
        Ok(())
    }
}

fn results<'a>(run: &'a Run, at: &str) -> Result<&'a Results, ImportError> {
    if run.external_property_file_references.as_ref().is_some_and(|one| one.results.is_some()) {
        let says = "the results stand in another file: have the tool write them into this one";
        return Err(ImportError::at(format!("{at}/externalPropertyFileReferences"), says));
    }
    run.results.as_ref().ok_or_else(|| {
        let says = "there are no `results`, which says that the tool did not look; an empty list \
                    would say that it found nothing";
        ImportError::at(at, says)
    })
}

/// A rule as it was declared.
#[derive(Clone, Copy)]
struct Declared<'a> {
    id: &'a str,
    level: Option<Level>,
}

/// The rules of the tool itself or of one of its extensions.
struct Of<'a> {
    by_place: Vec<Declared<'a>>,
    by_name: HashMap<&'a str, usize>,
}

struct Rules<'a> {
    driver: Of<'a>,
    extensions: Vec<Of<'a>>,
}

impl<'a> Of<'a> {
    fn new(component: &'a Component) -> Self {
        let rules = component.rules.iter().flatten();
        let declared = rules.map(|rule| Declared {
            id: &rule.id,
            level: rule.default_configuration.as_ref().and_then(|one| one.level),
        });
        let by_place: Vec<_> = declared.collect();
        // Of two with one name the first counts.
        let by_name = by_place.iter().enumerate().rev().map(|(place, rule)| (rule.id, place));
        let by_name = by_name.collect();
        Self { by_place, by_name }
    }

    /// By its name, or by what that begins with: `CA2101/attributes` is of the rule `CA2101`
    /// (§3.27.5).
    fn named(&self, name: &str) -> Option<Declared<'a>> {
        let mut name = name;
        loop {
            if let Some(rule) = self.by_name.get(name).and_then(|place| self.by_place.get(*place)) {
                return Some(*rule);
            }
            (name, _) = name.rsplit_once('/')?;
        }
    }
}

impl<'a> Rules<'a> {
    fn of(run: &'a Run, at: &str) -> Result<Self, ImportError> {
        let extensions: Vec<_> = run.tool.extensions.iter().flatten().map(Of::new).collect();
        let driver = Of::new(&run.tool.driver);
        let count: usize = extensions.iter().chain([&driver]).map(|of| of.by_place.len()).sum();
        if count > REPORT_RULES_MAX {
            let says = format!("the tool names more than {REPORT_RULES_MAX} rules");
            return Err(ImportError::at(format!("{at}/tool"), says));
        }
        Ok(Self { driver, extensions })
    }

    /// The rule of a group; none where it is not declared.
    fn find(&self, group: &Group) -> Result<Option<Declared<'a>>, String> {
        let of = match group.extension {
            None => &self.driver,
            Some(place) => self.extensions.get(place).ok_or_else(|| {
                let count = self.extensions.len();
                format!("a result is of extension {place}, and the tool has {count}, from 0")
            })?,
        };
        if let Some(place) = group.index {
            let rule = of.by_place.get(place).ok_or_else(|| {
                let count = of.by_place.len();
                format!("a result is of rule {place}, and there are {count}, from 0")
            });
            return rule.map(|rule| Some(*rule));
        }
        let Some(name) = group.rule.as_deref() else { return Ok(None) };
        let anywhere = || self.extensions.iter().find_map(|of| of.named(name));
        Ok(of.named(name).or_else(anywhere))
    }
}
