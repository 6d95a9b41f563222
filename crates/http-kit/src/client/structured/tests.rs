use std::convert::Infallible;

use proptest::prelude::*;
use sfv::visitor::{DictionaryVisitor, EntryVisitor, Ignored, InnerListVisitor, ItemVisitor};
use sfv::{BareItemFromInput, KeyRef, Parser};

use super::*;

type Entries = Vec<(String, Option<String>)>;

fn ours(text: &str) -> Option<Entries> {
    let mut entries = Entries::new();
    let read = read(text, |key, value| {
        entries.push((key.to_owned(), value.map(Cow::into_owned)));
    });
    read.ok().map(|()| entries)
}

/// The same, as the `sfv` crate reads it.
fn theirs(text: &str) -> Option<Entries> {
    Parser::new(text).parse_dictionary_with_visitor(Oracle::default()).ok()
}

#[derive(Default)]
struct Oracle(Entries);

struct Last<'o>(&'o mut Option<String>);

impl<'de> DictionaryVisitor<'de> for Oracle {
    type Out = Entries;
    type Error = Infallible;

    fn entry(&mut self, key: &'de KeyRef) -> Result<impl EntryVisitor<'de>, Infallible> {
        self.0.push((key.as_str().to_owned(), None));
        Ok(Last(&mut self.0.last_mut().unwrap().1))
    }

    fn finish(self) -> Result<Entries, Infallible> {
        Ok(self.0)
    }
}

impl<'de> EntryVisitor<'de> for Last<'_> {
    type Error = Infallible;

    fn item(self) -> Result<impl ItemVisitor<'de>, Infallible> {
        Ok(|item: BareItemFromInput<'de>| {
            *self.0 = match item {
                BareItemFromInput::String(text) => Some(text.as_str().to_owned()),
                BareItemFromInput::Token(token) => Some(token.as_str().to_owned()),
                BareItemFromInput::Integer(number) => Some(number.to_string()),
                BareItemFromInput::Decimal(number) => Some(number.to_string()),
                BareItemFromInput::DisplayString(text) => Some(text.into_owned()),
                _ => None,
            };
            Ok::<_, Infallible>(Ignored)
        })
    }

    fn inner_list(self) -> Result<impl InnerListVisitor<'de>, Infallible> {
        Ok(Ignored)
    }
}

#[test]
fn what_stands_as_it_is_meant_is_borrowed() {
    let text =
        "platform=ios, version=\"3.1.0\", build=412, os=17.2, name=%\"a\";p=1, flag, l=(1 2)";
    read(text, |key, value| match value {
        Some(value) => assert!(matches!(value, Cow::Borrowed(_)), "{key}"),
        None => assert!(matches!(key, "flag" | "l"), "{key}"),
    })
    .unwrap();
}

#[test]
fn the_corners_are_read_as_the_oracle_reads_them() {
    for text in [
        "",
        " ",
        "\t",
        "a",
        "a ",
        "a\t",
        " a",
        "a,",
        "a ,b",
        "a\t,\tb",
        "a, ",
        "a;",
        "a;b",
        "a; b=1",
        "a;B",
        "A",
        "*a",
        "a=",
        "a==",
        "a= 1",
        "a =1",
        "a=1 2",
        "a=?0",
        "a=?1",
        "a=?2",
        "a=?",
        "a=-",
        "a=-0",
        "a=007",
        "a=-007",
        "a=0.0",
        "a=-0.0",
        "a=1.10",
        "a=01.50",
        "a=1.",
        "a=.1",
        "a=1.0000",
        "a=123456789012345",
        "a=1234567890123456",
        "a=123456789012.1",
        "a=1234567890123.1",
        "a=@1",
        "a=@-1",
        "a=@1.0",
        "a=@",
        "a=::",
        "a=:=:",
        "a=:YQ==:",
        "a=:YQ=:",
        "a=:YQ:",
        "a=:Y:",
        "a=:Y=:",
        "a=:YWI=:",
        "a=:YWI==:",
        "a=:YWJj:",
        "a=:YWJj=:",
        "a=:YW Jj:",
        "a=:Y",
        "a=:YR==:",
        "a=%\"\"",
        "a=%\"%c3%bc\"",
        "a=%\"%C3%BC\"",
        "a=%\"%c3\"",
        "a=%\"%41\"",
        "a=%\"x%\"",
        "a=%\"\\\"",
        "a=%",
        "a=\"",
        "a=\"\"",
        "a=\"\\\"\\\\\"",
        "a=\"\\x\"",
        "a=\"x\\",
        "a=\"\t\"",
        "a=()",
        "a=( )",
        "a=(1)",
        "a=(1 2 )",
        "a=(1,2)",
        "a=(1\t2)",
        "a=(1",
        "a=(1 ",
        "a=(",
        "a=((1))",
        "a=(b;c);d",
        "a=(b)c",
        "a=*x:/",
        "a=x\"",
        "a=1, a=2, a",
        "a\u{7f}",
        "a=\"\u{7f}\"",
    ] {
        assert_eq!(ours(text), theirs(text), "{text:?}");
    }
}

const PIECES: &[&str] = &[
    "platform",
    "version",
    "a",
    "*",
    "=",
    ",",
    ";",
    " ",
    "\t",
    "\"",
    "\\",
    "(",
    ")",
    "?0",
    "?1",
    ":",
    "YQ==",
    "YWJj",
    "=",
    "@",
    "%\"",
    "%c3",
    "%bc",
    "%41",
    "-",
    ".",
    "0",
    "1",
    "12",
    "100",
    "999999999999",
    "123456789012345",
    "ios",
    "IOS",
    "3.1.0",
    "\"3.1.0\"",
    ", ",
    "_",
    "/",
    "!",
    "\u{7f}",
    "\u{1}",
    "\u{fc}",
];

fn item() -> impl Strategy<Value = String> {
    prop_oneof![
        "[A-Za-z*][A-Za-z0-9!#$%&'*+.^_`|~:/-]{0,6}",
        "\"([ !#-\\[\\]-~]|\\\\\"|\\\\\\\\){0,8}\"",
        "-?[0-9]{1,16}",
        "-?[0-9]{1,13}\\.[0-9]{1,4}",
        "\\?[01]",
        ":[A-Za-z0-9+/]{0,6}={0,3}:",
        "@-?[0-9]{1,4}",
        "%\"([a-z ]|%[0-9a-f]{2}|%c3%bc){0,5}\"",
    ]
}

fn valid() -> impl Strategy<Value = String> {
    let key = "[a-z*][a-z0-9_.*-]{0,4}";
    let parameters = prop::collection::vec(
        (key, prop::option::of(item())).prop_map(|(key, value)| match value {
            Some(value) => format!(";{key}={value}"),
            None => format!("; {key}"),
        }),
        0..3,
    )
    .prop_map(|all| all.concat());
    let list = prop::collection::vec(item(), 0..3).prop_map(|all| format!("({})", all.join(" ")));
    let member = (key, prop::option::of(prop_oneof![4 => item(), 1 => list]), parameters).prop_map(
        |(key, value, parameters)| match value {
            Some(value) => format!("{key}={value}{parameters}"),
            None => format!("{key}{parameters}"),
        },
    );
    let comma = prop::sample::select(vec![",", ", ", " ,", "\t,\t"]);
    (prop::collection::vec(member, 0..5), comma).prop_map(|(all, comma)| all.join(comma))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn dictionaries_are_read_as_the_oracle_reads_them(text in valid()) {
        prop_assert_eq!(ours(&text), theirs(&text));
    }

    #[test]
    fn so_are_dictionaries_with_a_fault(
        text in valid(),
        at in any::<prop::sample::Index>(),
        cut in 0usize..3,
        piece in prop::sample::select(PIECES),
    ) {
        let at = at.index(text.len() + 1);
        let text = format!("{}{piece}{}", &text[..at], &text[text.len().min(at + cut)..]);
        prop_assert_eq!(ours(&text), theirs(&text));
    }

    #[test]
    fn so_is_what_is_put_together_at_random(
        pieces in prop::collection::vec(prop::sample::select(PIECES), 0..14),
    ) {
        let text = pieces.concat();
        prop_assert_eq!(ours(&text), theirs(&text));
    }

    #[test]
    fn so_is_any_text(text in any::<String>(), ascii in "[ -~\t]{0,24}") {
        prop_assert_eq!(ours(&text), theirs(&text));
        prop_assert_eq!(ours(&ascii), theirs(&ascii));
    }
}
