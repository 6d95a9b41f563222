//! A strict reader of the Prometheus text format 0.0.4: what `promtool check metrics` refuses, this
//! refuses too.

use std::collections::{BTreeMap, BTreeSet};

/// A sample's labels, in the order they were written.
pub(crate) type Labels = Vec<(String, String)>;

#[derive(Debug, Default)]
pub(crate) struct Family {
    pub(crate) kind: String,
    pub(crate) help: String,
    /// Suffix, labels, value.
    pub(crate) samples: Vec<(String, Labels, f64)>,
}

impl Family {
    /// The value of the one sample with this suffix whose labels include `labels`.
    pub(crate) fn value(&self, suffix: &str, labels: &[(&str, &str)]) -> f64 {
        let has = |all: &Labels| {
            labels.iter().all(|(k, v)| all.iter().any(|(name, value)| name == k && value == v))
        };
        let mut found = self.samples.iter().filter(|(s, all, _)| s == suffix && has(all));
        let value = found.next().unwrap_or_else(|| panic!("no {suffix}{labels:?}")).2;
        assert!(found.next().is_none(), "{suffix}{labels:?} is not one sample");
        value
    }
}

/// Reads a page.
pub(crate) fn read(page: &str) -> Result<BTreeMap<String, Family>, String> {
    let body = page.strip_suffix('\n').ok_or("no newline at the end")?;
    let mut families: BTreeMap<String, Family> = BTreeMap::new();
    let mut current = String::new();
    let mut seen = BTreeSet::new();
    for line in body.split('\n') {
        let fault = |what: &str| Err(format!("{what}: {line}"));
        if let Some(rest) = line.strip_prefix("# HELP ") {
            let (name, help) = rest.split_once(' ').ok_or(format!("no help: {line}"))?;
            let help = unescape(help, false)?;
            let new = Family { help, ..Family::default() };
            if families.insert(name.to_owned(), new).is_some() {
                return fault("a second HELP");
            }
            current = name.to_owned();
        } else if let Some(rest) = line.strip_prefix("# TYPE ") {
            let (name, kind) = rest.split_once(' ').ok_or(format!("no type: {line}"))?;
            let family = families.get_mut(name).ok_or(format!("TYPE before HELP: {line}"))?;
            let known = ["counter", "gauge", "histogram"].contains(&kind);
            if name != current || !known || !family.kind.is_empty() {
                return fault("a wrong TYPE");
            }
            kind.clone_into(&mut family.kind);
        } else {
            let (name, labels, value) = sample(line)?;
            let family = families.get_mut(&current).ok_or("a sample before any HELP")?;
            let suffix = name.strip_prefix(&current).ok_or(format!("a stray sample: {line}"))?;
            let allowed: &[&str] = match family.kind.as_str() {
                "histogram" => &["_bucket", "_sum", "_count"],
                _ => &[""],
            };
            if !allowed.contains(&suffix) {
                return fault("a wrong suffix");
            }
            if !seen.insert((name.clone(), sorted(&labels))) {
                return fault("the same sample twice");
            }
            if family.kind != "gauge" && (value < 0.0 || value.is_nan()) {
                return fault("a negative counter");
            }
            family.samples.push((suffix.to_owned(), labels, value));
        }
    }
    families.iter().try_for_each(|(name, family)| check(name, family))?;
    Ok(families)
}

fn sorted(labels: &Labels) -> Labels {
    let mut labels = labels.clone();
    labels.sort();
    labels
}

fn check(name: &str, family: &Family) -> Result<(), String> {
    if family.kind.is_empty() || family.help.is_empty() {
        return Err(format!("{name} lacks its TYPE or HELP"));
    }
    if (family.kind == "counter") != name.ends_with("_total") {
        return Err(format!("{name} is a {}", family.kind));
    }
    if family.kind != "histogram" {
        return Ok(());
    }
    let mut by_series: BTreeMap<Labels, Vec<(f64, f64)>> = BTreeMap::new();
    for (_, labels, value) in family.samples.iter().filter(|(s, ..)| s == "_bucket") {
        let (le, rest): (Labels, Labels) = labels.iter().cloned().partition(|(k, _)| k == "le");
        let [(_, le)] = le.as_slice() else {
            return Err(format!("{name}: no one le"));
        };
        by_series.entry(sorted(&rest)).or_default().push((number(le)?, *value));
    }
    for (labels, buckets) in &by_series {
        let ascending = buckets.windows(2).all(|w| w[0].0 < w[1].0 && w[0].1 <= w[1].1);
        let count = family
            .samples
            .iter()
            .find(|(s, all, _)| s == "_count" && sorted(all) == *labels)
            .ok_or(format!("{name}{labels:?}: no _count"))?;
        let last = buckets.last().ok_or("no bucket")?;
        if !ascending || last.0 != f64::INFINITY || last.1 != count.2 {
            return Err(format!("{name}{labels:?}: buckets are wrong: {buckets:?}"));
        }
    }
    Ok(())
}

fn sample(line: &str) -> Result<(String, Labels, f64), String> {
    let fault = || format!("no sample: {line}");
    let end = line.find(['{', ' ']).ok_or_else(fault)?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err(fault());
    }
    let mut labels = Labels::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        loop {
            let (label, after) = rest.split_once("=\"").ok_or_else(fault)?;
            let close = closing_quote(after).ok_or_else(fault)?;
            let twice = labels.iter().any(|(known, _)| known == label);
            if !is_name(label) || label.contains(':') || label.starts_with("__") || twice {
                return Err(fault());
            }
            labels.push((label.to_owned(), unescape(&after[..close], true)?));
            rest = &after[close + 1..];
            match rest.strip_prefix(',') {
                Some(more) => rest = more,
                None => break,
            }
        }
        rest = rest.strip_prefix('}').ok_or_else(fault)?;
    }
    let value = rest.strip_prefix(' ').ok_or_else(fault)?;
    Ok((name.to_owned(), labels, number(value)?))
}

fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_' || c == ':')
        && text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == ':')
}

fn closing_quote(text: &str) -> Option<usize> {
    let mut escaped = false;
    text.char_indices().find_map(|(at, c)| {
        let found = c == '"' && !escaped;
        escaped = c == '\\' && !escaped;
        found.then_some(at)
    })
}

fn unescape(text: &str, quotes: bool) -> Result<String, String> {
    let mut out = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        out.push(match (c, quotes) {
            ('\\', _) => match (chars.next(), quotes) {
                (Some('\\'), _) => '\\',
                (Some('n'), _) => '\n',
                (Some('"'), true) => '"',
                other => return Err(format!("a wrong escape {other:?} in {text}")),
            },
            ('"', true) => return Err(format!("a bare quote in {text}")),
            (c, _) => c,
        });
    }
    Ok(out)
}

fn number(text: &str) -> Result<f64, String> {
    match text {
        "+Inf" => Ok(f64::INFINITY),
        text if text.bytes().all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b)) => {
            text.parse().map_err(|error| format!("{text}: {error}"))
        }
        text => Err(format!("{text} is no number")),
    }
}

#[test]
fn it_refuses_what_is_wrong() {
    let head = "# HELP a_total x.\n# TYPE a_total counter\n";
    assert!(read(&format!("{head}a_total{{b=\"c\\\"\\n\"}} 1\n")).is_ok());
    let wrong = [
        "a_total 1".into(),
        "a_total 1\n".into(),
        format!("{head}a_total 1"),
        format!("{head}a_total 1\na_total 1\n"),
        format!("{head}b_total 1\n"),
        format!("{head}a_total{{b=\"c\"d\"}} 1\n"),
        format!("{head}a_total{{b=\"c\\d\"}} 1\n"),
        format!("{head}a_total{{b=\"c\",}} 1\n"),
        format!("{head}a_total{{b=\"c\",b=\"d\"}} 1\n"),
        format!("{head}a_total -1\n"),
        format!("{head}a_total NaN\n"),
        format!("{head}a_total  1\n"),
        format!("{head}\na_total 1\n"),
        format!("{head}{head}a_total 1\n"),
        "# HELP a x.\n# TYPE a counter\na 1\n".into(),
        "# HELP a x.\n# TYPE a histogram\na_bucket{le=\"1\"} 2\na_bucket{le=\"+Inf\"} 1\na_sum 1\n\
         a_count 1\n"
            .into(),
        "# HELP a x.\n# TYPE a histogram\na_bucket{le=\"1\"} 1\na_sum 1\na_count 1\n".into(),
    ];
    for page in wrong {
        assert!(read(&page).is_err(), "{page}");
    }
}
