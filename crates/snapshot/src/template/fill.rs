//! Filling a template with what a path has in the place of another template's parameters, by name.

/// The names of a template's parameters, in order, twice where one stands there twice.
pub fn parameters(template: &str) -> impl Iterator<Item = &str> {
    template.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name)
}

/// The names of the parameters that are whole segments: what a path has in their place is told
/// without doubt.
pub fn whole_parameters(template: &str) -> impl Iterator<Item = &str> {
    template.split('/').filter_map(whole)
}

fn whole(segment: &str) -> Option<&str> {
    let name = segment.strip_prefix('{')?.strip_suffix('}')?;
    (!name.contains(['{', '}'])).then_some(name)
}

/// `to` with its parameters filled by what `path` has in the place of those of `from`, as it stands
/// there. `None` where one of them is no whole segment of `from`, or `path` is no path of `from`.
#[must_use]
pub fn filled(from: &str, path: &str, to: &str) -> Option<String> {
    let value = |name: &str| {
        let at = from.split('/').position(|segment| whole(segment) == Some(name))?;
        path.split('/').nth(at).filter(|value| !value.is_empty())
    };
    if from.split('/').count() != path.split('/').count() {
        return None;
    }
    let mut pieces = to.split('{');
    let mut out = pieces.next()?.to_owned();
    for piece in pieces {
        let (name, after) = piece.split_once('}')?;
        out.push_str(value(name)?);
        out.push_str(after);
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_fills_another_template_by_name() {
        let with = |from, path, to| filled(from, path, to);
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(with("/feeds/{id}", "/feeds/7%2F8", "/old/{id}.json"), some("/old/7%2F8.json"));
        assert_eq!(with("/a/{x}/{y}", "/a/1/2", "/b/{y}/{x}/{y}"), some("/b/2/1/2"));
        assert_eq!(with("/feed", "/feed", "/top"), some("/top"));
        assert_eq!(with("/feeds/{id}", "/feeds/7", "/old/{name}"), None);
        assert_eq!(with("/feeds/{id}.json", "/feeds/7.json", "/old/{id}"), None, "not told apart");
        assert_eq!(with("/feeds/{id}", "/feeds/7/8", "/old/{id}"), None, "another path");
        assert_eq!(with("/feeds/{id}", "/feeds/", "/old/{id}"), None);
        let names: Vec<&str> = parameters("/a/{x}/{y}.{z}").collect();
        assert_eq!(names, ["x", "y", "z"]);
        let names: Vec<&str> = whole_parameters("/a/{x}/{y}.{z}/{a}{b}").collect();
        assert_eq!(names, ["x"]);
    }
}
