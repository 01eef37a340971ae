//! Parameters that meet thousands of rows, in a training on a GPU.
//!
//! Burn's stock sum gives every number of its result to one invocation, which adds up the whole axis alone. What broadcasts a
//! parameter over all tokens of a batch has such a sum in its gradient: tens of thousands of numbers for each of a few
//! hundred, while the rest of the GPU waits. The same in two short sums takes a hundredth of the time, so a parameter is
//! laid out for groups of rows first. The product that is a weight's gradient has as many terms, and gets groups, too.

use burn::tensor::{Device, Tensor};

/// Rows are gathered into so many groups, if their number allows: enough to fill a GPU, few enough to be added up again.
const GROUPS: usize = 64;

/// Whether tensors of this device are differentiated by Burn's kernels on a GPU. Never in a browser, whose engine need not
/// hold what would only be called then.
pub fn trains_on_gpu(device: &Device) -> bool {
    !cfg!(target_family = "wasm") && device.is_autodiff() && super::run_on(&device.clone().without_autodiff())
}

/// Into how many equal groups `rows` rows go: the largest divisor that is a power of two, up to [`GROUPS`].
pub fn groups(rows: usize) -> usize {
    1 << rows.trailing_zeros().min(GROUPS.ilog2())
}

/// A parameter `[D]` to be multiplied with or added to `rows` rows: in a training on a GPU once for each, `[rows, D]`, else
/// `[1, D]`.
pub fn spread(parameter: Tensor<1>, rows: usize) -> Tensor<2> {
    if trains_on_gpu(&parameter.device()) { for_each(parameter, rows) } else { parameter.unsqueeze() }
}

/// `[D]` to `[rows, D]`. The gradient is summed in two steps.
fn for_each(parameter: Tensor<1>, rows: usize) -> Tensor<2> {
    let ([width], groups) = (parameter.dims(), groups(rows));
    let each = parameter.reshape([1, 1, width]).expand([groups, 1, width]); // [G, 1, D]
    each.expand([groups, rows / groups, width]).reshape([rows, width]) // [rows, D]
}

#[cfg(test)]
mod tests {
    use burn::tensor::Distribution;

    use super::*;

    /// Sums of a few hundred numbers in another order.
    const TOLERANCE: f32 = 1e-5;

    #[test]
    fn groups_are_equal_and_no_more_than_enough() {
        assert_eq!([1, 6, 15, 1024, 20480, 96].map(groups), [1, 2, 1, 64, 64, 32]);
    }

    #[test]
    fn a_spread_parameter_has_the_values_and_the_gradient_of_a_broadcast_one() {
        let device = Device::flex().autodiff();
        let random = |shape: [usize; 2]| Tensor::<2>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        for rows in [1, 12, 35, 256] {
            let parameter = random([1, 5]).reshape([5]).require_grad(); // [5]
            let x = random([rows, 5]);
            let wide = for_each(parameter.clone(), rows);
            assert_eq!(wide.clone().into_data(), parameter.clone().unsqueeze::<2>().expand([rows, 5]).into_data());
            let gradient = |y: Tensor<2>| parameter.grad(&(y.clone() * y).sum().backward()).expect("it takes part");
            let expected = gradient(x.clone() * parameter.clone().unsqueeze::<2>());
            let off = (gradient(x * wide) - expected.clone()).abs().max().into_scalar::<f32>();
            let scale = expected.abs().max().into_scalar::<f32>();
            assert!(scale > 0.0 && off <= TOLERANCE * scale, "{rows} rows: {off} of {scale}");
        }
    }
}
