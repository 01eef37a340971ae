//! Products of matrices, by the crate that Burn's CPU backend multiplies with.

use std::mem::MaybeUninit;

/// A part of a matrix in a slice: number (i, j) is at i · `row` + j · `column`.
#[derive(Clone, Copy)]
pub struct Matrix<'a> {
    pub values: &'a [f32],
    pub row: usize,
    pub column: usize,
}

impl Matrix<'_> {
    /// Its transpose.
    pub fn turned(self) -> Self {
        Self { row: self.column, column: self.row, ..self }
    }

    /// Whether all `rows` × `columns` numbers are there.
    fn holds(&self, rows: usize, columns: usize) -> bool {
        rows == 0 || columns == 0 || (rows - 1) * self.row + (columns - 1) * self.column < self.values.len()
    }
}

/// a `[m, k]` times b `[k, n]` into `out` `[m, n]`, whose rows begin `row` numbers apart. What is between is left alone.
pub fn multiply(shape: [usize; 3], a: Matrix, b: Matrix, out: &mut [MaybeUninit<f32>], row: usize, cores: usize) {
    // SAFETY: nothing is read of `out`.
    unsafe { product(shape, a, b, out, row, false, cores) };
}

/// [`multiply`], added to what `out` holds.
///
/// # Safety
///
/// Every row of `out` holds numbers.
pub unsafe fn add_product(shape: [usize; 3], a: Matrix, b: Matrix, out: &mut [MaybeUninit<f32>], row: usize) {
    // SAFETY: as the caller says.
    unsafe { product(shape, a, b, out, row, true, 1) };
}

/// # Safety
///
/// If `is_added`, every row of `out` holds numbers.
unsafe fn product(
    [m, n, k]: [usize; 3],
    a: Matrix,
    b: Matrix,
    out: &mut [MaybeUninit<f32>],
    row: usize,
    is_added: bool,
    cores: usize,
) {
    assert!(a.holds(m, k) && b.holds(k, n), "a product of {m}x{k} and {k}x{n} reads beyond a tensor");
    assert!(m == 0 || n <= row && (m - 1) * row + n <= out.len(), "a product of {m}x{n} does not fit");
    let [a_row, a_column, b_row, b_column, row] = [a.row, a.column, b.row, b.column, row].map(usize::cast_signed);
    let (out, a, b) = (out.as_mut_ptr().cast::<f32>(), a.values.as_ptr(), b.values.as_ptr());
    // SAFETY: all that is read and written lies in the slices, as was asserted; `out` is read only if it holds numbers.
    unsafe {
        gemm::gemm(
            m,
            n,
            k,
            out,
            1,
            row,
            is_added,
            a,
            a_column,
            a_row,
            b,
            b_column,
            b_row,
            if is_added { 1.0 } else { 0.0 },
            1.0,
            false,
            false,
            false,
            parallelism(cores),
        );
    }
}

fn parallelism(cores: usize) -> gemm::Parallelism {
    #[cfg(not(target_family = "wasm"))]
    if cores > 1 {
        return gemm::Parallelism::Rayon(cores);
    }
    let _ = cores; // There is one in a browser.
    gemm::Parallelism::None
}
