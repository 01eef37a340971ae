//! Kernels for the processor: loops over the numbers of Burn's CPU tensors, which are read where they lie.
//!
//! What Burn computes operation by operation is one pass here, shared by the cores and written for their vectors. Each
//! function gives nothing where a tensor is not plain f32 on the CPU (training has autodiff's): its plain-tensor reference
//! then computes the same.

mod array;
pub mod attention;
pub mod codes;
mod exp;
mod finish;
pub mod linear;
mod product;
pub mod qk_norm_rope;
pub mod rms_norm_modulate;
mod sums;
mod threads;
mod vectorized;

use array::{Array, tensor};
use vectorized::vectorized;
