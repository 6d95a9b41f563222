//! Whether what was found is what has to be there.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::model::{Operand, Predicate, Type};
use super::render::Scope;
use super::value::Value;

/// What a predicate says of a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Says {
    Holds,
    Fails,
    /// It is said of another kind of value: false, and so is its opposite.
    Nonsense,
}

impl Says {
    const fn of(holds: bool) -> Self {
        if holds { Self::Holds } else { Self::Fails }
    }
}

/// Holds a value against a predicate.
///
/// # Errors
/// What was expected, in words; what came stands beside it.
pub(super) fn judge(
    predicate: &Predicate,
    negated: bool,
    found: Option<&Value>,
    scope: &mut Scope<'_>,
) -> Result<(), String> {
    let not = if negated { "not " } else { "" };
    let Some(value) = found else {
        // Of nothing no predicate holds, and so the opposite of each does.
        return if negated { Ok(()) } else { said(predicate, scope).and_then(Err) };
    };
    let says = match predicate {
        Predicate::Exists => Says::Holds,
        Predicate::IsEmpty => is_empty(value),
        Predicate::Is(Type::IsoDate) => match value {
            Value::Text(text) => Says::of(OffsetDateTime::parse(text, &Rfc3339).is_ok()),
            _ => Says::Nonsense,
        },
        Predicate::Is(kind) => Says::of(is(value, *kind)),
        Predicate::Matches(pattern) => match value {
            Value::Text(text) => Says::of(pattern.regex.is_match(text)),
            _ => Says::Nonsense,
        },
        Predicate::Equal(operand) => Says::of(value.equals(&given(operand, scope)?)),
        Predicate::NotEqual(operand) => Says::of(!value.equals(&given(operand, scope)?)),
        Predicate::Greater(operand)
        | Predicate::GreaterOrEqual(operand)
        | Predicate::Less(operand)
        | Predicate::LessOrEqual(operand) => ordered(predicate, value, &given(operand, scope)?),
        Predicate::StartsWith(operand) => {
            texts(value, &given(operand, scope)?, |text, part| text.starts_with(part))
        }
        Predicate::EndsWith(operand) => {
            texts(value, &given(operand, scope)?, |text, part| text.ends_with(part))
        }
        Predicate::Contains(operand) => contains(value, &given(operand, scope)?),
        Predicate::Includes(operand) => match value {
            Value::List(_) => contains(value, &given(operand, scope)?),
            _ => Says::Nonsense,
        },
    };
    let wanted = if negated { Says::Fails } else { Says::Holds };
    if says == wanted { Ok(()) } else { Err(format!("{not}{}", said(predicate, scope)?)) }
}

fn is_empty(value: &Value) -> Says {
    match value {
        Value::Text(text) => Says::of(text.is_empty()),
        Value::List(items) => Says::of(items.is_empty()),
        Value::Object(map) => Says::of(map.is_empty()),
        Value::Bytes(bytes) => Says::of(bytes.is_empty()),
        _ => Says::Nonsense,
    }
}

fn is(value: &Value, kind: Type) -> bool {
    matches!(
        (kind, value),
        (Type::Integer, Value::Integer(_))
            | (Type::Float, Value::Float(_))
            | (Type::Number, Value::Integer(_) | Value::Float(_))
            | (Type::Boolean, Value::Boolean(_))
            | (Type::Text, Value::Text(_))
            | (Type::List, Value::List(_) | Value::Bytes(_))
            | (Type::Object, Value::Object(_))
            | (Type::Collection, Value::List(_) | Value::Object(_) | Value::Bytes(_))
    )
}

fn ordered(predicate: &Predicate, value: &Value, other: &Value) -> Says {
    let Some(order) = value.compare(other) else { return Says::Nonsense };
    Says::of(match predicate {
        Predicate::Greater(_) => order.is_gt(),
        Predicate::GreaterOrEqual(_) => order.is_ge(),
        Predicate::Less(_) => order.is_lt(),
        _ => order.is_le(),
    })
}

fn texts(value: &Value, part: &Value, holds: impl Fn(&str, &str) -> bool) -> Says {
    match (value, part) {
        (Value::Text(text), Value::Text(part)) => Says::of(holds(text, part)),
        _ => Says::Nonsense,
    }
}

fn contains(value: &Value, part: &Value) -> Says {
    match (value, part) {
        (Value::Text(text), Value::Text(part)) => Says::of(text.contains(part.as_str())),
        (Value::List(items), part) => Says::of(items.iter().any(|item| item.equals(part))),
        _ => Says::Nonsense,
    }
}

/// What a value is compared with. A variable keeps its kind.
fn given(operand: &Operand, scope: &mut Scope<'_>) -> Result<Value, String> {
    match operand {
        Operand::Value(value) => Ok(value.clone()),
        Operand::Text(text) => scope.text(text).map(Value::Text),
        Operand::Given(given) => scope.value(given),
    }
}

fn said(predicate: &Predicate, scope: &mut Scope<'_>) -> Result<String, String> {
    let mut with = |word: &str, operand: &Operand| -> Result<String, String> {
        Ok(format!("{word} {}", given(operand, scope)?.shown(scope.secrets)))
    };
    Ok(match predicate {
        Predicate::Equal(operand) => with("==", operand)?,
        Predicate::NotEqual(operand) => with("!=", operand)?,
        Predicate::Greater(operand) => with(">", operand)?,
        Predicate::GreaterOrEqual(operand) => with(">=", operand)?,
        Predicate::Less(operand) => with("<", operand)?,
        Predicate::LessOrEqual(operand) => with("<=", operand)?,
        Predicate::StartsWith(operand) => with("startsWith", operand)?,
        Predicate::EndsWith(operand) => with("endsWith", operand)?,
        Predicate::Contains(operand) => with("contains", operand)?,
        Predicate::Includes(operand) => with("includes", operand)?,
        Predicate::Matches(pattern) => format!("matches /{}/", pattern.source),
        Predicate::Exists => "exists".to_owned(),
        Predicate::IsEmpty => "isEmpty".to_owned(),
        Predicate::Is(kind) => format!("is {}", kind.word()),
    })
}

impl Type {
    const fn word(self) -> &'static str {
        match self {
            Self::Integer => "integer",
            Self::Float => "float",
            Self::Number => "number",
            Self::Boolean => "boolean",
            Self::Text => "string",
            Self::List => "list",
            Self::Object => "object",
            Self::Collection => "collection",
            Self::IsoDate => "date (RFC 3339)",
        }
    }
}
