//! Videos and views: pictures in a row, encoded and decoded one by one by the image autoencoder.

use burn::tensor::Tensor;

use crate::{
    error::{Error, Result},
    request::Transition,
    weights::manifest::Frames,
};

/// How many pictures a request asks for, or the native number. `field` is the request's (`frames`, `views`), `memory` tells
/// the bytes that so many would need.
///
/// # Errors
///
/// `bad-request` that names the limits, and what a number beyond them would need.
pub fn count(field: &str, frames: &Frames, asked: Option<usize>, memory: impl Fn(usize) -> f64) -> Result<usize> {
    const MIB: f64 = 1024.0 * 1024.0;
    let asked = asked.unwrap_or(frames.native as usize);
    if (1..=frames.max as usize).contains(&asked) {
        return Ok(asked);
    }
    let most = frames.max as usize;
    let mut error = Error::bad_request(field).expected(format!("1 to {most}")).found(asked.to_string());
    if asked > most {
        let [needed, allowed] = [asked, most].map(|count| memory(count) / MIB);
        error = error.remedy(format!("it would take about {needed:.0} MiB; {most} take {allowed:.0}"));
    }
    Err(error)
}

/// How much each prompt (the first one, then those of the transitions) counts in each of `frames` frames; the weights of a
/// frame sum to one.
///
/// # Errors
///
/// `bad-request` for a transition that ends behind the last frame.
pub fn prompt_weights(transitions: &[Transition], frames: usize) -> Result<Vec<Vec<f32>>> {
    if let Some(Transition { from, to, .. }) = transitions.iter().find(|transition| transition.to >= frames) {
        return Err(Error::bad_request(format!("transition {from}-{to}"))
            .expected(format!("frames from 0 to {}", frames - 1))
            .remedy("ask for more frames, or for an earlier change"));
    }
    // How far each change is.
    let done = |&Transition { from, to, .. }: &Transition, frame: usize| {
        (frame.saturating_sub(from) as f32 / (to - from) as f32).min(1.0)
    };
    let of_frame = |frame: usize| {
        let mut weights = vec![1.0];
        for transition in transitions {
            let done = done(transition, frame);
            weights.iter_mut().for_each(|weight| *weight *= 1.0 - done);
            weights.push(done);
        }
        weights
    };
    Ok((0..frames).map(of_frame).collect())
}

/// The frames in a circle, the one at `shift` first: `[B, C, F·H, W]`.
pub fn roll(x: Tensor<4>, frames: usize, shift: usize) -> Tensor<4> {
    let rows = x.dims()[2];
    let shift = shift % frames * (rows / frames);
    if shift == 0 {
        return x;
    }
    Tensor::cat(vec![x.clone().narrow(2, shift, rows - shift), x.narrow(2, 0, shift)], 2)
}

/// For each prompt the frames that its evaluations see, one for each place: the frame itself where the prompt counts, by
/// [`prompt_weights`], else the nearest one in which it does. A clip is of a piece: a prompt that saw frames of another one
/// would go on with what they show.
pub fn seen(weights: &[Vec<f32>]) -> Vec<Vec<usize>> {
    let counts = |prompt: usize, frame: usize| weights[frame][prompt] > 0.0;
    let nearest = |prompt: usize, frame: usize| {
        let counting = (0..weights.len()).filter(|&other| counts(prompt, other));
        counting.min_by_key(|other| other.abs_diff(frame)).unwrap_or(frame)
    };
    let prompts = weights.first().map_or(0, Vec::len);
    (0..prompts).map(|prompt| (0..weights.len()).map(|frame| nearest(prompt, frame)).collect()).collect()
}

/// The frames `seen`, one for each place, of frames x that were rolled by `shift`: `[B, C, F·H, W]`.
pub fn gather(x: &Tensor<4>, seen: &[usize], shift: usize) -> Tensor<4> {
    let frames = seen.len();
    let place = |i: usize| (seen[(i + shift) % frames] + frames - shift % frames) % frames;
    Tensor::cat((0..frames).map(|i| frame(x, frames, place(i))).collect(), 2)
}

/// One of the frames, `[B, C, H, W]`.
pub fn frame(x: &Tensor<4>, frames: usize, place: usize) -> Tensor<4> {
    let height = x.dims()[2] / frames;
    x.clone().narrow(2, place * height, height)
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, TensorData};

    use super::*;

    fn transition(from: usize, to: usize) -> Transition {
        Transition { from, to, prompt: "later".to_owned() }
    }

    #[test]
    fn prompts_blend_from_one_to_the_next() -> Result<()> {
        let weights = prompt_weights(&[transition(1, 3), transition(4, 5)], 6)?;
        let expected = [[1., 0., 0.], [1., 0., 0.], [0.5, 0.5, 0.], [0., 1., 0.], [0., 1., 0.], [0., 0., 1.]];
        assert_eq!(weights, expected.map(Vec::from));
        assert_eq!(prompt_weights(&[], 2)?, [[1.0], [1.0]].map(Vec::from));
        assert!(prompt_weights(&[transition(1, 6)], 6).is_err_and(|error| error.to_string().contains("0 to 5")));
        Ok(())
    }

    #[test]
    fn a_prompt_sees_the_frames_in_which_it_counts() -> Result<()> {
        let weights = prompt_weights(&[transition(1, 3)], 6)?;
        assert_eq!(seen(&weights), [[0, 1, 2, 2, 2, 2], [2, 2, 2, 3, 4, 5]].map(Vec::from));
        let x: Vec<f32> = (0..6).map(|value| value as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(x, [1, 1, 6, 1]), &Device::flex());
        for shift in [0, 2, 5] {
            let found = gather(&roll(x.clone(), 6, shift), &[2, 2, 2, 3, 4, 5], shift);
            let found: Vec<f32> = roll(found, 6, 6 - shift).into_data().iter::<f32>().collect();
            assert_eq!(found, [2.0, 2.0, 2.0, 3.0, 4.0, 5.0]);
        }
        Ok(())
    }

    #[test]
    fn frames_roll_in_a_circle_and_back() {
        let x: Vec<f32> = (0..12).map(|value| value as f32).collect();
        let x = Tensor::<4>::from_data(TensorData::new(x, [1, 1, 6, 2]), &Device::flex());
        let rolled = roll(x.clone(), 3, 1);
        frame(&rolled, 3, 0).into_data().assert_eq(&frame(&x, 3, 1).into_data(), true);
        frame(&rolled, 3, 2).into_data().assert_eq(&frame(&x, 3, 0).into_data(), true);
        roll(rolled, 3, 2).into_data().assert_eq(&x.into_data(), true);
    }

    #[test]
    fn a_refused_number_names_the_limits_and_what_it_would_take() {
        let frames = Frames { native: 8, max: 64, fps: Some(8) };
        let memory = |count: usize| count as f64 * 1024.0 * 1024.0;
        assert_eq!(count("frames", &frames, None, memory), Ok(8));
        assert_eq!(count("frames", &frames, Some(64), memory), Ok(64));
        let refusal = |asked| count("frames", &frames, Some(asked), memory).unwrap_err().to_string();
        assert_eq!(refusal(0), "frames: expected 1 to 64, found 0");
        assert_eq!(refusal(100), "frames: expected 1 to 64, found 100; it would take about 100 MiB; 64 take 64");
    }
}
