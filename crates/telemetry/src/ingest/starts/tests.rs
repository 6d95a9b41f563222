use proptest::prelude::*;

use super::*;

fn point(value: Shape) -> Point {
    Point {
        stream: 1,
        device_model: "Pixel 8".into(),
        version: "3.1.0".into(),
        scale: 1.0,
        cumulative: false,
        start: 1,
        value,
    }
}

fn explicit(counts: &[u64], sum: f64) -> Shape {
    let bounds = vec![1.0, 2.0];
    Shape::Explicit { count: counts.iter().sum(), sum: Some(sum), bounds, counts: counts.to_vec() }
}

fn starts(points: &[Point]) -> Vec<ColdStarts> {
    let starts = AppStarts::default();
    for point in points {
        starts.push(point, Nanos(1)).unwrap();
    }
    starts.overview(Nanos(1))
}

#[test]
fn deltas_add_up_and_cumulative_figures_count_what_grew() {
    let delta = point(explicit(&[1, 2, 0], 4.0));
    assert_eq!(starts(&[delta.clone(), delta])[0].starts, 6);
    let cumulative = |counts: &[u64], sum, start| Point {
        cumulative: true,
        start,
        ..point(explicit(counts, sum))
    };
    let first = cumulative(&[1, 2, 0], 4.0, 1);
    let grown = cumulative(&[1, 3, 1], 8.0, 1);
    let begun_anew = cumulative(&[1, 0, 0], 0.5, 2);
    let smaller = cumulative(&[0, 1, 0], 1.5, 2);
    let rows = starts(&[first.clone(), first.clone(), grown.clone()]);
    assert_eq!(rows[0].starts, 5);
    assert_eq!(starts(&[first, grown, begun_anew, smaller])[0].starts, 7);
}

#[test]
fn a_gauge_counts_when_it_changes() {
    let gauge = |value| point(Shape::Gauge(value));
    let rows = starts(&[gauge(1.2), gauge(1.2), gauge(1.3), gauge(1.2)]);
    assert_eq!(rows[0].starts, 3);
    assert!(AppStarts::default().push(&gauge(f64::NAN), Nanos(1)).is_err());
    assert!(AppStarts::default().push(&gauge(-1.0), Nanos(1)).is_err());
}

#[test]
fn an_exponential_histogram_is_read_to_its_own_width() {
    // Scale 3: a bucket is 9 % wide. Bucket 3 of offset 0 is (1.297, 1.414].
    let value = Shape::Exponential {
        count: 11,
        sum: None,
        scale: 3,
        zero: 1,
        offset: 0,
        counts: vec![0, 0, 0, 10],
    };
    let rows = starts(&[point(value)]);
    assert!((1.2..1.5).contains(&rows[0].p95_seconds), "{rows:?}");
    assert_eq!(rows[0].starts, 11);
}

#[test]
fn what_contradicts_itself_is_refused() {
    let shapes = [
        Shape::Explicit { count: 2, sum: None, bounds: vec![1.0], counts: vec![1, 0] },
        Shape::Explicit { count: 1, sum: None, bounds: vec![1.0], counts: vec![1] },
        Shape::Explicit { count: 1, sum: None, bounds: vec![2.0, 1.0], counts: vec![1, 0, 0] },
        Shape::Explicit { count: 1, sum: None, bounds: vec![f64::NAN], counts: vec![1, 0] },
    ];
    for shape in shapes {
        assert!(AppStarts::default().push(&point(shape.clone()), Nanos(1)).is_err(), "{shape:?}");
    }
}

#[test]
fn series_and_streams_keep_their_bounds() {
    let starts = AppStarts::default();
    for n in 0..START_SERIES_MAX as u64 + 100 {
        let device_model = format!("model {n}").into();
        let one = Point { stream: n, device_model, ..point(explicit(&[0, 1, 0], 1.5)) };
        starts.push(&one, Nanos(1)).unwrap();
    }
    let rows = starts.overview(Nanos(1));
    assert_eq!(rows.len(), START_SERIES_MAX + 1);
    assert_eq!((&*rows[0].device_model, rows[0].starts), ("other", 100));
    let later = Nanos(1).plus(SERIES_IDLE_MAX);
    starts.push(&point(explicit(&[0, 1, 0], 1.5)), later).unwrap();
    assert_eq!(starts.overview(later).len(), 1, "what was idle made room");
    let mut refused = 0;
    for n in 0..STREAMS_MAX as u64 + 10 {
        let one = Point { stream: n, cumulative: true, ..point(explicit(&[0, 1, 0], 1.5)) };
        refused += usize::from(starts.push(&one, later).is_err());
    }
    assert_eq!(refused, 10);
}

proptest! {
    #[test]
    fn no_histogram_makes_it_panic_and_counts_are_kept(
        bounds in prop::collection::vec(any::<f64>(), 0..6),
        counts in prop::collection::vec(any::<u64>(), 0..7),
        scale in any::<i32>(),
        offset in any::<i32>(),
        sum in any::<f64>(),
        cumulative: bool,
    ) {
        let starts = AppStarts::default();
        let count = counts.iter().fold(0u64, |sum, n| sum.saturating_add(*n));
        let sum = Some(sum);
        let exponential =
            Shape::Exponential { count, sum, scale, zero: 0, offset, counts: counts.clone() };
        for value in [Shape::Explicit { count, sum, bounds, counts }, exponential] {
            for _ in 0..2 {
                let _taken = starts.push(&Point { cumulative, ..point(value.clone()) }, Nanos(1));
            }
        }
        let sums = starts.cumulative();
        prop_assert!(sums.rows.iter().all(|row| row.sum_seconds.is_finite()));
    }
}
