//! docs/plan.md: the part that is made from the types is fresh.

use std::path::Path;

use plimsoll_plan::documents::reference_markdown;

const MARK: &str = "<!-- From here on made from the types; \
                    `PLIMSOLL_BLESS=1 cargo test -p plimsoll-plan` writes it anew. -->\n";

#[test]
#[expect(clippy::disallowed_methods, reason = "a test's own switch")]
fn the_page_of_the_plan_is_fresh() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/plan.md");
    let page = std::fs::read_to_string(&file).unwrap();
    let (written, _) = page.split_once(MARK).expect("docs/plan.md has no mark");
    let wanted = format!("{written}{MARK}\n{}", reference_markdown());
    if std::env::var_os("PLIMSOLL_BLESS").is_some() {
        std::fs::write(&file, &wanted).unwrap();
    }
    let page = std::fs::read_to_string(&file).unwrap();
    assert_eq!(page, wanted, "docs/plan.md is stale; see the comment in it");
}
