// y = f(x Wᵀ + b) in registers alone (`shared/linear.wgsl` says what W and f are). The prelude states MATS_M (1 or 2) and
// MATS_N (1, 2 or 4), SIDE_M and SIDE_N.
//
// An invocation makes 4·MATS_M rows × 4·MATS_N columns of y in registers, a workgroup SIDE_M times as many rows and SIDE_N
// times as many columns. Nothing is shared and no barrier is waited for: a word of codes holds up to eight weights, so what an invocation
// reads is little beside what it multiplies, and the cache does the rest. All arithmetic is that of 4 × 4 matrices, of which
// every name is one: software adapters keep what is indexed in a loop in memory instead of registers. They also divide
// numbers one by one, so no round of a loop does, and what is read of a word is written out.

// Of y: four rows and four columns each, a column of the matrix a row of y.
struct Sums {
    of_00: mat4x4<f32>,
    of_01: mat4x4<f32>,
    of_02: mat4x4<f32>,
    of_03: mat4x4<f32>,
    of_10: mat4x4<f32>,
    of_11: mat4x4<f32>,
    of_12: mat4x4<f32>,
    of_13: mat4x4<f32>,
}

// Of four times four columns of y, which are rows of W.
struct Columns {
    // Where they begin, in a dense W.
    row_0: vec4<u32>,
    row_1: vec4<u32>,
    row_2: vec4<u32>,
    row_3: vec4<u32>,
    words_0: vec4<u32>,
    words_1: vec4<u32>,
    words_2: vec4<u32>,
    words_3: vec4<u32>,
    scales_0: mat2x4<f32>,
    scales_1: mat2x4<f32>,
    scales_2: mat2x4<f32>,
    scales_3: mat2x4<f32>,
}

// With vector number `k` of features more; of codes, with the first four of these words or the second.
fn added(before: Sums, rows_0: vec4<u32>, rows_1: vec4<u32>, columns: Columns, k: u32, is_second: bool) -> Sums {
    var sums = before;
    let x_0 = four_of_x(rows_0, k);
    let x_1 = four_of_x(rows_1, k);
    let w_0 = four_of_w(columns.row_0, k, columns.words_0, is_second, columns.scales_0);
    sums.of_00 += w_0 * x_0;
    if MATS_M > 1u { sums.of_10 += w_0 * x_1; }
    if MATS_N > 1u {
        let w_1 = four_of_w(columns.row_1, k, columns.words_1, is_second, columns.scales_1);
        sums.of_01 += w_1 * x_0;
        sums.of_11 += w_1 * x_1;
    }
    if MATS_N > 2u {
        let w_2 = four_of_w(columns.row_2, k, columns.words_2, is_second, columns.scales_2);
        sums.of_02 += w_2 * x_0;
        sums.of_12 += w_2 * x_1;
        let w_3 = four_of_w(columns.row_3, k, columns.words_3, is_second, columns.scales_3);
        sums.of_03 += w_3 * x_0;
        sums.of_13 += w_3 * x_1;
    }
    return sums;
}

fn store(row: u32, column: u32, upper: mat4x4<f32>, lower: mat4x4<f32>) {
    store_four(row, column, upper);
    if MATS_M > 1u {
        store_four(row + 4u, column, lower);
    }
}

@compute @workgroup_size(SIDE_M * SIDE_N)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let row = (group.y * SIDE_M + thread / SIDE_N) * 4u * MATS_M;
    let column = (group.x * SIDE_N + thread % SIDE_N) * 4u * MATS_N;
    if row >= shape.m.x || column >= shape.n.x {
        return;
    }
    let vectors = shape.k.x / 4u;
    let rows_0 = rows_from(row, shape.m.x) * vectors;
    let rows_1 = rows_from(row + 4u, shape.m.x) * vectors;
    let columns_0 = rows_from(column, shape.n.x);
    let columns_1 = rows_from(column + 4u, shape.n.x);
    let columns_2 = rows_from(column + 8u, shape.n.x);
    let columns_3 = rows_from(column + 12u, shape.n.x);
    let blocks = blocks_a_row();
    let factors = blocks * (1u + HAS_MIN);
    let dense = dense_row(vectors);
    let codes = code_row();

    var sums = Sums();
    // Vectors of x that meet weights with one scale, and such that meet the weights of one word.
    let per_block = select(BLOCK / 4u, vectors, IS_DENSE);
    let per_word = select(WEIGHTS_PER_WORD / 4u, 1u, IS_DENSE);
    var block = 0u;
    var at = 0u;
    for (var of_block = 0u; of_block < vectors; of_block += per_block) {
        let scales_0 = four_scales(columns_0 * factors, blocks, block);
        let scales_1 = four_scales(columns_1 * factors, blocks, block);
        let scales_2 = four_scales(columns_2 * factors, blocks, block);
        let scales_3 = four_scales(columns_3 * factors, blocks, block);
        let end = min(of_block + per_block, vectors);
        for (var k = of_block; k < end; k += per_word) {
            let columns = Columns(
                columns_0 * dense, columns_1 * dense, columns_2 * dense, columns_3 * dense,
                four_words(columns_0 * codes, at), four_words(columns_1 * codes, at),
                four_words(columns_2 * codes, at), four_words(columns_3 * codes, at),
                scales_0, scales_1, scales_2, scales_3);
            sums = added(sums, rows_0, rows_1, columns, k, false);
            if WEIGHT_BITS == 4u && k + 1u < vectors {
                sums = added(sums, rows_0, rows_1, columns, k + 1u, true);
            }
            at++;
        }
        block++;
    }

    store(row, column, sums.of_00, sums.of_10);
    if MATS_N > 1u {
        store(row, column + 4u, sums.of_01, sums.of_11);
    }
    if MATS_N > 2u {
        store(row, column + 8u, sums.of_02, sums.of_12);
        store(row, column + 12u, sums.of_03, sums.of_13);
    }
}
