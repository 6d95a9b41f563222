use std::sync::Arc;

use plimsoll_base::Nanos;
use proptest::prelude::*;

use super::super::super::Tally;
use super::super::super::stamps::Ordinal;
use super::*;

fn event() -> impl Strategy<Value = Event> {
    let marks = prop::collection::vec(any::<u64>().prop_map(Mark), 0..5);
    let write = (marks, prop::option::of(any::<u64>().prop_map(Writer)))
        .prop_map(|(marks, writer)| Event::Write { marks, writer });
    prop_oneof![4 => write, 1 => Just(Event::Everything)]
}

fn entry(body: &[u8], vary: &str, marks: &[u64], strict: bool, revalidates: bool) -> Entry {
    let mut head = HeaderMap::new();
    head.append("x-many", HeaderValue::from_static("one"));
    head.append("x-many", HeaderValue::from_bytes(b"two \xff").unwrap());
    head.insert("vary", HeaderValue::from_str(vary).unwrap());
    let mut request = HeaderMap::new();
    request.insert("accept", HeaderValue::from_static("a/b, c/d"));
    let selection = Selection::of(&head, &request).unwrap();
    let second = Duration::from_secs(1);
    let terms = Terms {
        audience: Audience::Subject,
        age: second,
        fresh: second * 60,
        strict,
        revalidates,
        while_revalidating: second * 2,
        if_error: second * 3,
        omitted: SmallVec::new(),
    };
    let kept = Kept {
        status: StatusCode::NON_AUTHORITATIVE_INFORMATION,
        head,
        selection,
        range: None,
        terms,
        asked: Asked { ordinal: Ordinal::default(), unix_ms: 77, own: None },
        came: Nanos(0),
        marks: marks.iter().map(|mark| Mark(*mark)).collect(),
        tally: Arc::new(Tally::new("x".into())),
    };
    Entry::new(kept, Bytes::copy_from_slice(body))
}

const AT: Position = Position { epoch: 3, number: 4 };

proptest! {
    #[test]
    fn an_event_is_read_as_it_was_written(event in event()) {
        prop_assert_eq!(Event::from_bytes(&event.to_bytes()), event);
    }

    #[test]
    fn whatever_is_no_event_drops_everything(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
        if !matches!(bytes.first(), Some(&EVENT)) {
            prop_assert_eq!(Event::from_bytes(&bytes), Event::Everything);
        }
    }

    #[test]
    fn an_answer_is_read_as_it_was_written_and_cut_or_longer_it_is_none(
        body in prop::collection::vec(any::<u8>(), 0..300),
        vary in prop_oneof![Just(""), Just("accept"), Just("accept, accept-language")],
        marks in prop::collection::vec(any::<u64>(), 0..4),
        (strict, revalidates) in any::<(bool, bool)>(),
        cut in any::<prop::sample::Index>(),
    ) {
        let entry = entry(&body, vary, &marks, strict, revalidates);
        let mut bytes = answer(&entry, Duration::from_secs(9), AT, 88);
        let read = Answer::from_bytes(&bytes).unwrap();
        prop_assert_eq!((read.position, read.asked_unix_ms, read.told_unix_ms), (AT, 77, 88));
        let terms = Terms { age: Duration::from_secs(9), ..entry.kept.terms.clone() };
        prop_assert_eq!(&read.terms, &terms);
        prop_assert_eq!(&read.head, &entry.kept.head);
        prop_assert_eq!((&read.selection, read.status), (&entry.kept.selection, entry.kept.status));
        prop_assert_eq!((&read.marks, &read.body), (&entry.kept.marks, &entry.body));
        prop_assert!(Answer::from_bytes(&bytes[..cut.index(bytes.len())]).is_none());
        bytes.push(0);
        prop_assert!(Answer::from_bytes(&bytes).is_none());
        bytes[0] = 2;
        prop_assert!(Answer::from_bytes(&bytes).is_none(), "another form");
    }

    #[test]
    fn what_is_no_answer_is_none(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        if let Some(first) = bytes.first_mut() {
            *first = ANSWER;
        }
        // Whatever it says of its lengths, no more is read than there is.
        drop(Answer::from_bytes(&bytes));
    }
}

#[test]
fn a_write_that_makes_too_much_invalid_makes_everything_invalid() {
    let write = |many: usize| Event::Write { marks: vec![Mark(7); many], writer: None };
    assert_eq!(Event::from_bytes(&write(MARKS_MAX).to_bytes()), write(MARKS_MAX));
    assert_eq!(Event::from_bytes(&write(MARKS_MAX + 1).to_bytes()), Event::Everything);
}
