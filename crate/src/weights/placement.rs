//! How the tensors of a model lie on a device: how many bytes they have there, and which rows of a matrix lie apart from the
//! others because the device binds no tensor as large as all of them.

use std::ops::Range;

use crate::{device::Capacity, kernels::QuantMatrix, quant::Format};

/// A device, as far as it decides how tensors lie on it.
#[derive(Debug, Clone, Copy)]
pub struct Placement {
    is_gpu: bool,
    /// Bytes of the largest tensor.
    largest: u64,
}

impl Placement {
    /// On a device of this capacity.
    pub fn new(capacity: &Capacity) -> Self {
        Self { is_gpu: capacity.is_gpu, largest: capacity.largest() }
    }

    /// Bytes of a tensor: matrices stay as they are stored if products take that, all else is in f32.
    pub fn bytes(self, shape: &[usize], format: Format) -> u64 {
        match *shape {
            [rows, cols] if QuantMatrix::takes(format, self.is_gpu) => QuantMatrix::bytes(rows, cols, format),
            _ => shape.iter().product::<usize>() as u64 * size_of::<f32>() as u64,
        }
    }

    /// The rows of a tensor, one range after another, each a tensor of its own: all in one, but for matrices that the device
    /// cannot bind. A row is never divided.
    pub fn pieces(self, shape: &[usize], format: Format) -> Vec<Range<usize>> {
        let rows = shape.first().copied().unwrap_or(1);
        let [_, cols] = *shape else { return std::iter::once(0..rows).collect() };
        // Codes and scales lie apart, but codes are most of both.
        let at_once = (self.largest / self.bytes(&[1, cols], format).max(1)).clamp(1, rows.max(1) as u64) as usize;
        let count = rows.div_ceil(at_once).max(1);
        // As equal as can be: none is much smaller than what keeps a GPU busy.
        (0..count).map(|piece| piece * rows / count..(piece + 1) * rows / count).collect()
    }

    /// Bytes of the largest of a tensor's [`Self::pieces`].
    pub fn largest_piece(self, shape: &[usize], format: Format) -> u64 {
        let pieces = self.pieces(shape, format).into_iter();
        let bytes = |rows: Range<usize>| match *shape {
            [_, cols] => self.bytes(&[rows.len(), cols], format),
            _ => self.bytes(shape, format),
        };
        pieces.map(bytes).max().unwrap_or(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What every WebGPU device binds.
    const LEAST_BINDING: u64 = 128 << 20;

    fn pieces(shape: &[usize], format: Format, largest: u64) -> usize {
        let placement = Placement::new(&Capacity::gpu(largest, largest));
        let pieces = placement.pieces(shape, format);
        let mut next = 0;
        for rows in &pieces {
            assert_eq!(rows.start, next);
            assert!(!rows.is_empty());
            next = rows.end;
        }
        assert_eq!(next, shape.first().copied().unwrap_or(1));
        pieces.len()
    }

    #[test]
    fn what_is_too_large_to_bind_is_divided_by_rows() {
        // LLaMA-7B's feed-forward matrices, Gemma-2B's, and the widest of the 5B.
        assert_eq!(pieces(&[11008, 4096], Format::F32, LEAST_BINDING), 2);
        assert_eq!(pieces(&[11008, 4096], Format::F16, LEAST_BINDING), 1);
        assert_eq!(pieces(&[11008, 4096], Format::Q8B32, LEAST_BINDING), 1);
        assert_eq!(pieces(&[16384, 2048], Format::F32, LEAST_BINDING), 1);
        assert_eq!(pieces(&[18432, 1024], Format::F16, LEAST_BINDING), 1);
        for format in Format::ALL {
            for largest in [1, 1 << 10, 3000, 1 << 20] {
                let placement = Placement::new(&Capacity::gpu(largest, 2 * largest));
                let [row, whole] = [1, 77].map(|rows| placement.bytes(&[rows, 96], format));
                assert_eq!(pieces(&[77, 96], format, largest) > 1, whole > largest, "{format} in {largest}");
                assert!(placement.largest_piece(&[77, 96], format) <= largest.max(row), "{format} in {largest}");
            }
        }
    }

    #[test]
    fn what_is_no_matrix_and_what_the_cpu_holds_stays_whole() {
        assert_eq!(pieces(&[512, 512, 3, 3], Format::F16, 1 << 10), 1);
        assert_eq!(pieces(&[4096], Format::F32, 1 << 10), 1);
        assert_eq!(pieces(&[], Format::F32, 1), 1);
        let cpu = Placement::new(&Capacity::cpu());
        assert_eq!(cpu.pieces(&[1 << 20, 1 << 10], Format::Q4B32), vec![0..1 << 20]);
        assert_eq!(cpu.bytes(&[3, 5], Format::F16), 60);
        // Two blocks of codes, which are padded, and a scale for each.
        assert_eq!(cpu.bytes(&[3, 5], Format::Q4B32), 3 * (2 * 16 + 2 * 4));
    }
}
