//! Products of two computed tensors, for what no kernel of its own does.

use burn::tensor::Tensor;

/// a `[.., M, K]` times b `[.., K, N]`: `[.., M, N]`. The dimensions before are equal.
pub fn matmul<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "gpu")]
    if super::run_on(&a.device()) {
        return one_by_one(a, b);
    }
    super::stock::matmul(a, b)
}

/// The product of each pair of matrices by [`super::dense_linear`]: few, and large.
#[cfg(feature = "gpu")]
fn one_by_one<const D: usize>(a: Tensor<D>, b: Tensor<D>) -> Tensor<D> {
    let mut shape = a.dims();
    let [m, k, n] = [shape[D - 2], shape[D - 1], b.dims()[D - 1]];
    let count = shape[..D - 2].iter().product();
    let a = a.reshape([count, m, k]); // [P, M, K]
    let b = b.swap_dims(D - 2, D - 1).reshape([count, n, k]); // [P, N, K]
    let matrix = |tensor: &Tensor<3>, i: usize| tensor.clone().narrow(0, i, 1).squeeze_dim::<2>(0); // [M or N, K]
    let products =
        (0..count).map(|i| super::dense_linear(matrix(&a, i), matrix(&b, i), None, super::End::Plain)).collect();
    shape[D - 1] = n;
    Tensor::stack::<3>(products, 0).reshape(shape) // [.., M, N]
}
