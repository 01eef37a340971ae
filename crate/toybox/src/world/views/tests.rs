//! Captions are true and held-out combinations stay out; pictures show the object inside of the frame, lit from one side.

use flagdit::output::mesh::{Camera, mesh};
use flagdit::progress::Image;

use super::{Finish, Solid, SolidObject, corpus, held_out, sample};
use crate::judge::views::hull::overlap;
use crate::world::{Colour, Rng};

#[test]
fn a_tenth_is_held_out_and_every_solid_lacks_a_colour() {
    let lacking = |solid| held_out::COLOURS.iter().filter(|&&colour| held_out::held_out((solid, colour))).count();
    assert!(Solid::ALL.iter().all(|&solid| lacking(solid) >= 1));
    assert_eq!(Solid::ALL.iter().map(|&solid| lacking(solid)).sum::<usize>(), 9, "of 88 combinations");
}

#[test]
fn captions_are_true_of_their_objects() {
    let mut rng = Rng::new(1);
    for _ in 0..2000 {
        let sample = sample(&mut rng);
        let (caption, object) = (sample.caption.to_lowercase(), sample.object);
        assert!(!held_out::held_out((object.solid, object.colour)), "{caption} is held out");
        assert!(caption.contains(object.solid.name()) && caption.contains(object.colour.name()), "{caption}");
        let denied = Finish::ALL.into_iter().find(|&finish| finish != object.finish).expect("there are two finishes");
        assert!(!caption.contains(denied.name()), "{caption}");
    }
    assert_eq!(corpus(5, 3).collect::<Vec<_>>(), corpus(5, 3).collect::<Vec<_>>());
}

#[test]
fn every_solid_stays_inside_and_is_brighter_towards_the_light() {
    for solid in Solid::ALL {
        let object = SolidObject { solid, colour: Colour::Grey, finish: Finish::Matte, scale: 1.08 };
        let views = object.render(48, 32, 8);
        let mean = |view: &Vec<u8>| {
            let seen: Vec<f32> = view.iter().filter(|&&level| level < 250).map(|&level| f32::from(level)).collect();
            assert!(seen.len() > 48 * 32 * 3 / 20, "{solid:?} covers too little");
            seen.iter().sum::<f32>() / seen.len() as f32
        };
        assert!(mean(&views[1]) > mean(&views[5]) + 18.0, "view 1 looks from where the light is: {solid:?}");
        for view in &views {
            let row = 48 * 3;
            assert!(view[..row].iter().chain(&view[31 * row..]).all(|&level| level == 255), "{solid:?} is cut off");
        }
    }
}

/// What the pictures show can be carved out of them: the mesh's outlines are those of the views.
#[test]
fn meshes_of_all_solids_look_like_their_views() {
    const SIDE: usize = 64;
    for (solid, finish) in Solid::ALL.into_iter().flat_map(|solid| Finish::ALL.map(|finish| (solid, finish))) {
        let object = SolidObject::new(&mut Rng::new(solid as u64), (solid, Colour::Purple), finish);
        let views = object.render(SIDE as u32, SIDE as u32, 8).into_iter();
        let views: Vec<_> = views.map(|rgb| Image { width: SIDE, height: SIDE, rgb }).collect();
        let mesh = mesh(&views).unwrap();
        for (view, image) in views.iter().enumerate() {
            let seen = mesh.outline(&Camera::new(view, views.len()), SIDE, SIDE);
            // Half covered where the darkest channel is halfway between the colour's and white.
            let truth: Vec<bool> = image.rgb.chunks(3).map(|pixel| pixel[1] < 175).collect();
            let overlap = overlap(&seen, &truth);
            assert!(overlap >= 0.85, "view {view} of a {finish:?} {solid:?} overlaps by {overlap}");
        }
    }
}
