//! What was probably meant by a word that is not known.

/// A longer word than this is no misspelling, and comparing costs the product of both lengths.
const WORD_BYTES_MAX: usize = 64;

/// The candidate that `given` is most likely a misspelling of: by case, hyphens and plural, and by
/// one change in three letters.
pub fn closest<'c>(given: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    if given.len() > WORD_BYTES_MAX {
        return None;
    }
    let plain = plain(given);
    let allowed = (plain.chars().count() / 3).max(1);
    let mut best: Option<(usize, &str)> = None;
    for candidate in candidates {
        let distance = strsim::damerau_levenshtein(&plain, &self::plain(candidate));
        // A word of one or two letters is one change away from any other.
        let close = distance == 0 || (distance <= allowed && candidate.len() > 2);
        if close && best.is_none_or(|(least, _)| distance < least) {
            best = Some((distance, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

/// A word without what people most often get wrong: case, hyphens, the plural.
fn plain(word: &str) -> String {
    let word = word.to_ascii_lowercase().replace(['-', ' ', '.'], "_");
    word.strip_suffix('s').filter(|stem| stem.len() > 2).map_or(word.clone(), str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn likely_words_are_found_and_unlikely_ones_are_not() {
        let keys = ["listen", "keep_alive", "cores", "headers_max", "id"];
        for (given, found) in [
            ("lsiten", Some("listen")),
            ("keep-alive", Some("keep_alive")),
            ("keepalive", Some("keep_alive")),
            ("KEEP_ALIVE", Some("keep_alive")),
            ("core", Some("cores")),
            ("header_max", Some("headers_max")),
            ("ID", Some("id")),
            ("ab", None),
            ("quota", None),
            ("", None),
        ] {
            assert_eq!(closest(given, keys), found, "{given}");
        }
        assert_eq!(closest(&"k".repeat(65), keys), None);
    }
}
