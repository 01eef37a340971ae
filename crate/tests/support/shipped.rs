//! The model that ships, and what it makes.

use flagdit::{
    Device, Pipeline, Request,
    progress::{Event, Image, Output},
    weights,
};
use futures_util::{StreamExt, pin_mut};

/// Peak signal-to-noise ratio below which two devices would be said to make different pictures, in dB: an error of
/// 0.8 levels of 255 (root of the mean square).
pub const SAME_PICTURE: f64 = 50.0;

/// Opens it.
pub fn toybox(device: Device) -> Pipeline {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/weights-quantized/toybox");
    pollster::block_on(Pipeline::open(weights::folder(folder), device)).expect("the shipped model opens")
}

/// What a request makes; its steps come in order.
pub fn output(pipeline: &Pipeline, request: Request) -> Output {
    pollster::block_on(async {
        let events = pipeline.generate(request);
        pin_mut!(events);
        let mut steps = 0;
        while let Some(event) = events.next().await {
            match event.expect("every event is good") {
                Event::Step { step, .. } => {
                    steps += 1;
                    assert_eq!(step, steps);
                }
                Event::Done(output) => return *output,
                _ => {}
            }
        }
        panic!("no output came")
    })
}

/// How alike two pictures are, in dB.
pub fn psnr(a: &Image, b: &Image) -> f64 {
    assert_eq!((a.width, a.height), (b.width, b.height));
    let square = |(&a, &b): (&u8, &u8)| f64::from(i32::from(a) - i32::from(b)).powi(2);
    let mse = a.rgb.iter().zip(&b.rgb).map(square).sum::<f64>() / a.rgb.len() as f64;
    10.0 * (255.0 * 255.0 / mse.max(1e-12)).log10()
}
