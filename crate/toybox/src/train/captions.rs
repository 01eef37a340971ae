//! The captions of a batch, as numbers of the embeddings that occur in it: of the whole table, whose gradient would be
//! mostly zeros, only these take part.

use burn::tensor::{Device, Int, Tensor, TensorData};

use super::parallel::is_gpu;

/// Captions are filled up to a multiple of so many tokens on a GPU, and the embeddings to one of so many: every number of its
/// own would have kernels compiled and memory laid out for it.
const STEPS: (usize, usize) = (8, 64);

/// Captions on a device.
#[derive(Clone)]
pub struct Captions {
    /// Which embeddings there are, `[U]`.
    pub tokens: Tensor<1, Int>,
    /// Numbers of these, `[B, T]`.
    pub ids: Tensor<2, Int>,
    /// 1 for a token, 0 for padding, `[B, T]`.
    pub mask: Tensor<2>,
}

impl Captions {
    /// Of rows of ids, filled up with `pad`.
    pub fn new(rows: &[Vec<u32>], pad: u32, device: &Device) -> Self {
        let (step, tokens_step) = if is_gpu(device) { STEPS } else { (1, 1) };
        let mut tokens = rows.concat();
        tokens.push(pad);
        tokens.sort_unstable();
        tokens.dedup();
        let number = |id: u32| tokens.binary_search(&id).expect("it is one of them") as i32;
        let length = rows.iter().map(Vec::len).max().unwrap_or(0).next_multiple_of(step);
        let row = |row: &Vec<u32>| {
            let filled = row.iter().copied().chain(std::iter::repeat(pad)).take(length);
            filled.map(number).collect::<Vec<_>>()
        };
        let ids: Vec<i32> = rows.iter().flat_map(row).collect();
        let mask: Vec<f32> = rows.iter().flat_map(|row| (0..length).map(|i| f32::from(i < row.len()))).collect();
        tokens.resize(tokens.len().next_multiple_of(tokens_step), pad);
        let tokens: Vec<i32> = tokens.into_iter().map(|id| id as i32).collect();
        let (count, shape) = (tokens.len(), [rows.len(), length]);
        Self {
            tokens: Tensor::from_data(TensorData::new(tokens, [count]), device),
            ids: Tensor::from_data(TensorData::new(ids, shape), device),
            mask: Tensor::from_data(TensorData::new(mask, shape), device),
        }
    }

    /// `count` of them from `start` on.
    pub fn part(&self, start: usize, count: usize) -> Self {
        Self {
            tokens: self.tokens.clone(),
            ids: self.ids.clone().narrow(0, start, count),
            mask: self.mask.clone().narrow(0, start, count),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_lead_back_to_the_ids() {
        let rows = [vec![1, 70, 9, 2], vec![1, 9], vec![5]];
        let Captions { tokens, ids, mask } = Captions::new(&rows, 0, &Device::flex());
        let tokens: Vec<i32> = tokens.into_data().iter::<i32>().collect();
        assert_eq!(tokens, [0, 1, 2, 5, 9, 70]);
        let found: Vec<i32> = ids.into_data().iter::<i32>().map(|number| tokens[number as usize]).collect();
        assert_eq!(found, [1, 70, 9, 2, 1, 9, 0, 0, 5, 0, 0, 0]);
        let mask: Vec<f32> = mask.into_data().iter::<f32>().collect();
        assert_eq!(mask, [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0]);
    }
}
