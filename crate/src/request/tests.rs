//! What no model could do, and what belongs to another kind.

use super::*;

fn refusal(request: Request) -> String {
    request.check().expect_err("a request that is refused").to_string()
}

fn transition(from: usize, to: usize) -> Transition {
    Transition { from, to, prompt: "a blue star".to_owned() }
}

#[test]
fn every_kind_takes_what_belongs_to_it() {
    let video = Request {
        fps: Some(12.5),
        is_loop: true,
        transitions: vec![transition(2, 5), transition(5, 7)],
        ..Request::video("a red star", 8)
    };
    for request in [video, Request::views("a cube", 8), Request::audio("a bell", 2.0), Request::image("a", 64, 64)] {
        assert_eq!(request.check(), Ok(()), "{request:?}");
    }
}

#[test]
fn what_belongs_to_another_kind_is_refused_by_name() {
    assert!(refusal(Request { seconds: Some(1.0), ..Request::video("a", 8) }).starts_with("seconds: "));
    assert!(refusal(Request { width: Some(64), ..Request::audio("a", 1.0) }).starts_with("width: "));
    assert!(refusal(Request { is_loop: true, ..Request::views("a", 8) }).starts_with("loop: "));
    assert!(refusal(Request { frames: Some(2), ..Request::image("a", 64, 64) }).starts_with("frames: "));
}

#[test]
fn a_class_stands_alone() {
    let class = || Request::of_class(Kind::Image, 0);
    assert_eq!(class().check(), Ok(()));
    assert!(refusal(Request::new(Kind::Image, " ")).ends_with("or a class, found nothing"));
    assert!(refusal(Request { prompt: "a".to_owned(), ..class() }).starts_with("prompt: "));
    assert!(refusal(Request { negative_prompt: "a".to_owned(), ..class() }).starts_with("negative prompt: "));
    let transitions = vec![transition(1, 2)];
    assert!(refusal(Request { transitions, ..Request::of_class(Kind::Video, 1) }).starts_with("transitions: "));
}

#[test]
fn frames_a_second_are_bounded() {
    for fps in [0.0, -1.0, f64::NAN, f64::INFINITY, 100.5] {
        assert!(refusal(Request { fps: Some(fps), ..Request::video("a", 8) }).starts_with("fps: "), "{fps}");
    }
}

#[test]
fn transitions_stand_in_order_without_overlap() {
    let with = |transitions| refusal(Request { transitions, ..Request::video("a", 16) });
    assert!(with(vec![transition(2, 6), transition(5, 8)]).contains("do not overlap"));
    assert!(with(vec![transition(4, 4)]).starts_with("transition 4-4"));
    assert!(with(vec![Transition { prompt: " ".to_owned(), ..transition(1, 2) }]).contains("a prompt"));
}
