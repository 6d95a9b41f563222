//! What the names of operations suggest about them. A guess, said as one in the draft.

use plimsoll_base::Name;
use plimsoll_snapshot::OperationRoute;

/// What an operation looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Proves who somebody is: passwords, codes, tokens.
    SignIn,
    /// Moves money.
    Money,
    /// Costs the backend much more than most.
    Heavy,
}

const SIGN_IN: [&str; 16] = [
    "signin",
    "sign",
    "login",
    "logon",
    "signup",
    "register",
    "registration",
    "password",
    "otp",
    "mfa",
    "token",
    "session",
    "sessions",
    "authenticate",
    "oauth",
    "verify",
];
const MONEY: [&str; 12] = [
    "pay", "payment", "payments", "checkout", "charge", "charges", "refund", "refunds", "payout",
    "withdraw", "transfer", "purchase",
];
const HEAVY: [&str; 10] = [
    "search",
    "export",
    "import",
    "report",
    "reports",
    "batch",
    "bulk",
    "upload",
    "render",
    "transcode",
];

/// What the operation's id and path suggest.
pub(super) fn kind(operation: &OperationRoute) -> Option<Kind> {
    let words = words(&format!("{} {}", operation.id, operation.template));
    let any = |list: &[&str]| words.iter().any(|word| list.contains(&word.as_str()));
    let writes = matches!(operation.method.as_str(), "POST" | "PUT" | "PATCH");
    match () {
        () if writes && any(&MONEY) => Some(Kind::Money),
        () if writes && any(&SIGN_IN) => Some(Kind::SignIn),
        () if any(&HEAVY) => Some(Kind::Heavy),
        () => None,
    }
}

/// The words of an id or a path, parameters left out: `createOrder_v2` is create, order, v2.
fn words(text: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut in_parameter = false;
    let mut before_lower = false;
    for character in text.chars() {
        in_parameter = (in_parameter || character == '{') && character != '}';
        let starts =
            !character.is_ascii_alphanumeric() || (character.is_ascii_uppercase() && before_lower);
        if starts {
            words.push(String::new());
        }
        if character.is_ascii_alphanumeric()
            && !in_parameter
            && let Some(word) = words.last_mut()
        {
            word.push(character.to_ascii_lowercase());
        }
        before_lower = character.is_ascii_lowercase() || character.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    words
}

/// A title as a service's name: `Pet Store API v2` is `pet-store`.
pub(super) fn name(title: &str) -> String {
    const WORDS_MAX: usize = 4;
    let noise = |word: &str| {
        let version = word.strip_prefix('v').unwrap_or(word);
        matches!(word, "api" | "the" | "rest" | "http" | "openapi" | "swagger" | "service")
            || (!version.is_empty() && version.bytes().all(|byte| byte.is_ascii_digit()))
    };
    let words = title
        .split(|character: char| !character.is_ascii_alphanumeric())
        .map(str::to_ascii_lowercase)
        .filter(|word| !word.is_empty() && !noise(word));
    let joined = words.take(WORDS_MAX).collect::<Vec<_>>().join("-");
    let name = Name::new(&joined).map(|name| name.as_str().to_owned());
    name.unwrap_or_else(|_| "backend".to_owned())
}

#[cfg(test)]
mod tests {

    use super::*;

    fn looks(method: &str, id: &str, template: &str) -> Option<Kind> {
        kind(&OperationRoute::new(id.into(), method.into(), template.into()))
    }

    #[test]
    fn names_suggest_what_operations_do() {
        assert_eq!(looks("POST", "signIn", "/x"), Some(Kind::SignIn));
        assert_eq!(looks("POST", "a", "/auth/login"), Some(Kind::SignIn));
        assert_eq!(looks("POST", "createSession", "/s"), Some(Kind::SignIn));
        assert_eq!(looks("GET", "getSession", "/session"), None);
        assert_eq!(looks("POST", "payOrder", "/orders/{id}/pay"), Some(Kind::Money));
        assert_eq!(looks("GET", "listPayments", "/payments"), None);
        assert_eq!(looks("GET", "a", "/search"), Some(Kind::Heavy));
        assert_eq!(looks("POST", "batch", "/v1/batch"), Some(Kind::Heavy));
        assert_eq!(looks("POST", "create", "/orders/{payment}"), None, "a parameter's name");
        assert_eq!(looks("POST", "replay", "/display/payload"), None, "parts of words");
    }

    #[test]
    fn a_title_makes_a_name() {
        for (title, expected) in [
            ("Pet Store API v2", "pet-store"),
            ("Kinto", "kinto"),
            ("The API", "backend"),
            ("Über-Dienst", "ber-dienst"),
            ("", "backend"),
            ("A very long title of an API of somebody", "a-very-long-title"),
        ] {
            assert_eq!(name(title), expected, "{title}");
        }
        assert_eq!(name(&"x".repeat(100)), "backend");
    }
}
