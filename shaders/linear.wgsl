// y = f(x Wᵀ + b) in registers alone (`shared/linear.wgsl` says what W and f are). The prelude states MATS_M (1 or 2) and
// MATS_N (1, 2 or 4), SIDE_M and SIDE_N.
//
// An invocation makes 4·MATS_M rows × 4·MATS_N columns of y in registers, a workgroup SIDE_M times as many rows and SIDE_N
// times as many columns. Nothing is shared and no barrier is waited for: a word of codes holds up to eight weights, so what
// an invocation reads is little beside what it multiplies, and the cache does the rest. All arithmetic is that of 4 × 4
// matrices, of which every name is one: software adapters keep what is indexed in a loop in memory instead of registers.

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
    let words = blocks * WORDS_PER_BLOCK;
    let factors = blocks * (1u + HAS_MIN);

    var sum_00 = mat4x4<f32>();
    var sum_01 = mat4x4<f32>();
    var sum_02 = mat4x4<f32>();
    var sum_03 = mat4x4<f32>();
    var sum_10 = mat4x4<f32>();
    var sum_11 = mat4x4<f32>();
    var sum_12 = mat4x4<f32>();
    var sum_13 = mat4x4<f32>();
    // Vectors of x that meet weights with one scale, and such that meet the weights of one word.
    let per_block = select(BLOCK / 4u, vectors, IS_DENSE);
    let per_word = select(WEIGHTS_PER_WORD / 4u, vectors, IS_DENSE);
    for (var block = 0u; block * per_block < vectors; block++) {
        let scales_0 = four_scales(columns_0 * factors, blocks, block);
        let scales_1 = four_scales(columns_1 * factors, blocks, block);
        let scales_2 = four_scales(columns_2 * factors, blocks, block);
        let scales_3 = four_scales(columns_3 * factors, blocks, block);
        let block_end = min((block + 1u) * per_block, vectors);
        for (var first = block * per_block; first < block_end; first += per_word) {
            let words_0 = four_words(columns_0 * words, first / per_word);
            let words_1 = four_words(columns_1 * words, first / per_word);
            let words_2 = four_words(columns_2 * words, first / per_word);
            let words_3 = four_words(columns_3 * words, first / per_word);
            let end = min(first + per_word, block_end);
            for (var k = first; k < end; k++) {
                let bit = (k - first) * 16u;
                let x_0 = four_of_x(rows_0, k);
                let x_1 = four_of_x(rows_1, k);
                let w_0 = four_of_w(columns_0 * vectors, k, words_0, bit, scales_0);
                sum_00 += w_0 * x_0;
                sum_10 += w_0 * x_1;
                if MATS_N > 1u {
                    let w_1 = four_of_w(columns_1 * vectors, k, words_1, bit, scales_1);
                    sum_01 += w_1 * x_0;
                    sum_11 += w_1 * x_1;
                }
                if MATS_N > 2u {
                    let w_2 = four_of_w(columns_2 * vectors, k, words_2, bit, scales_2);
                    sum_02 += w_2 * x_0;
                    sum_12 += w_2 * x_1;
                    let w_3 = four_of_w(columns_3 * vectors, k, words_3, bit, scales_3);
                    sum_03 += w_3 * x_0;
                    sum_13 += w_3 * x_1;
                }
            }
        }
    }

    store(row, column, sum_00, sum_10);
    if MATS_N > 1u {
        store(row, column + 4u, sum_01, sum_11);
    }
    if MATS_N > 2u {
        store(row, column + 8u, sum_02, sum_12);
        store(row, column + 12u, sum_03, sum_13);
    }
}
