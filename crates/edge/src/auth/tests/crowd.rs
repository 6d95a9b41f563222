//! Many cores at once, while keys come and go.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};

use super::super::{AuthError, Authenticator};
use super::helper::{NOW, TestKey, World, claims, key_set, replace};

/// An edge core's future may move between threads: the type says so.
fn assert_send<T: Send>(value: T) -> T {
    value
}

/// Ends the threads of a test also when it fails.
struct StopOnDrop<'a>(&'a AtomicBool);

impl Drop for StopOnDrop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::SeqCst);
    }
}

#[test]
fn verifying_is_send_and_right_from_many_threads() {
    let world = World::new();
    let (stays, goes) = (TestKey::p256("stays"), TestKey::ed("goes"));
    let authenticator = Arc::new(world.knowing(&[&stays, &goes]));
    let of = |key: &TestKey| (0..40).map(|n| key.token(&claims(&n.to_string()))).collect();
    let (good, lost): (Vec<String>, Vec<String>) = (of(&stays), of(&goes));
    let (gone, stop) = (AtomicBool::new(false), AtomicBool::new(false));
    let (hits, late) = (AtomicUsize::new(0), AtomicUsize::new(0));

    let look = |authenticator: &Authenticator, token: &str| {
        if authenticator.cached(token, NOW).is_some() {
            hits.fetch_add(1, Ordering::Relaxed);
            return Ok(());
        }
        let verify = assert_send(authenticator.verify(token, NOW));
        world.run(verify).map(|_| ())
    };
    std::thread::scope(|scope| {
        let _ends = StopOnDrop(&stop);
        for _ in 0..6 {
            scope.spawn(|| {
                while !stop.load(Ordering::SeqCst) {
                    for (kept, lost) in good.iter().zip(&lost) {
                        // Read before asking: a yes after this was seen is a yes too many.
                        let was_gone = gone.load(Ordering::SeqCst);
                        look(&authenticator, kept).unwrap();
                        match look(&authenticator, lost) {
                            Ok(()) if was_gone => {
                                late.fetch_add(1, Ordering::SeqCst);
                            }
                            Ok(()) | Err(AuthError::Refused(_)) => {}
                            Err(other) => panic!("{other:?}"),
                        }
                    }
                }
            });
        }
        world.eventually("hits", || hits.load(Ordering::Relaxed) > 10_000);
        replace(&world.path("keys.json"), &key_set(&[&stays]));
        world.eventually("the removal", || authenticator.status()[0].keys == 1);
        // The set is swapped an instant before the old key is taken back; a later look at the
        // status cannot come between them.
        world
            .eventually("the stop", || lost.iter().all(|t| authenticator.cached(t, NOW).is_none()));
        gone.store(true, Ordering::SeqCst);
        let seen = hits.load(Ordering::Relaxed);
        world.eventually("more hits", || hits.load(Ordering::Relaxed) > seen + 10_000);
    });
    assert_eq!(late.load(Ordering::SeqCst), 0);
}
