//! Clients that leave, drains, reloads, and a limit that is found out.

use std::time::Duration;

use rustix::process::Signal;

use super::{answer, ids, occupy, one_at_once, queued, send};
use crate::memory::soon;
use crate::scene::{Scene, Stopwatch, open_manifest};

#[test]
fn a_client_that_leaves_frees_its_place_in_the_queue() {
    let scene = one_at_once(1, "");
    let mut first = occupy(&scene, "first", "delay=1500");
    let left = send(&scene, "left", "status=200", &[]);
    queued();
    drop(left);
    queued();
    let mut third = send(&scene, "third", "status=200", &[]);
    assert_eq!((answer(&mut first).status, answer(&mut third).status), (200, 200));
    assert_eq!(ids(&scene), ["first", "third"], "what was left never reached the service");
}

#[test]
fn a_client_that_leaves_while_it_is_served_frees_its_place() {
    let scene = one_at_once(1, "");
    let first = occupy(&scene, "first", "never");
    drop(first);
    assert_eq!(scene.ask("GET", "/second", &[]).status, 200);
}

#[test]
fn a_drain_lets_everybody_who_waits_be_served() {
    let mut scene = one_at_once(8, "");
    let mut clients = vec![occupy(&scene, "first", "delay=600")];
    for number in 0..5 {
        clients.push(send(&scene, &format!("w{number}"), "delay=50", &[]));
    }
    queued();
    scene.edge.signal(Signal::TERM).unwrap();
    for client in &mut clients {
        assert_eq!(answer(client).status, 200);
    }
    let status = scene.edge.wait(Duration::from_secs(20)).unwrap();
    assert!(status.is_some_and(|status| status.success()), "{}", scene.edge.stderr());
}

#[test]
fn a_reload_keeps_who_waits_and_gives_him_what_is_new() {
    let scene = one_at_once(4, "");
    let mut first = occupy(&scene, "first", "delay=5000");
    let watch = Stopwatch::start();
    let mut second = send(&scene, "second", "status=200", &[]);
    queued();
    let wider = "[service.admission]\nconcurrency = 2\nqueue_depth_max = 4\n";
    let manifest = open_manifest(&scene.origin.url(), "", wider, "");
    scene.edge.write_manifest(&manifest).unwrap();
    scene.edge.reload().unwrap();
    assert_eq!(answer(&mut second).status, 200);
    assert!(watch.elapsed() < Duration::from_secs(4), "it did not wait for the first one's end");
    assert_eq!(answer(&mut first).status, 200);
}

#[test]
fn who_waits_is_served_although_the_admission_is_taken_away() {
    let scene = one_at_once(4, "");
    let mut first = occupy(&scene, "first", "delay=1500");
    let mut second = send(&scene, "second", "status=200", &[]);
    queued();
    scene.edge.write_manifest(&open_manifest(&scene.origin.url(), "", "", "")).unwrap();
    scene.edge.reload().unwrap();
    soon(|| (scene.ask("GET", "/third", &[]).status == 200).then_some(()));
    assert_eq!((answer(&mut first).status, answer(&mut second).status), (200, 200));
}

#[test]
fn the_limit_is_found_within_its_bounds_and_nobody_is_refused_meanwhile() {
    let bounds = "[service.admission]\nconcurrency_min = 2\nconcurrency_max = 24\n\
                  [service.pool]\nconnections_max = 64\n";
    let scene = Scene::open_on_one_node("", bounds, "");
    let mut clients: Vec<_> = (0..48).map(|_| scene.client()).collect();
    for round in 0..12 {
        for client in &mut clients {
            client.send("GET /x HTTP/1.1\r\nhost: a\r\nx-script: delay=40\r\n\r\n").unwrap();
        }
        for client in &mut clients {
            assert_eq!(answer(client).status, 200, "round {round}");
        }
    }
    let limit = scene.edge.metric("plimsoll_admission_limit_requests").unwrap().unwrap();
    assert!((2.0..=24.0).contains(&limit), "{limit}");
    soon(|| {
        let in_flight = scene.edge.metric("plimsoll_admission_in_flight_requests").unwrap();
        (in_flight == Some(0.0)).then_some(())
    });
}
