// y = f(x Wᵀ + b) for a processor that plays GPU and whose lanes exchange numbers (`shared/linear.wgsl` says what W and f are).
// The prelude states EIGHTS (2 or 4), SIDE_M, and SIDE_N, which is how many lanes a subgroup has: eight.
//
// An invocation makes 8·EIGHTS rows × 8 columns of y in registers. Such a processor reads for one lane after the other, whatever the
// address, which costs many times a multiplication: the lanes of a subgroup, which have the same rows, read EIGHTS vectors of x
// each and hand them round. Columns past the last one are made for the others' sake and not written.

// Eight rows of four columns: of y, or of x.
struct Eight {
    of_0: vec4<f32>,
    of_1: vec4<f32>,
    of_2: vec4<f32>,
    of_3: vec4<f32>,
    of_4: vec4<f32>,
    of_5: vec4<f32>,
    of_6: vec4<f32>,
    of_7: vec4<f32>,
}

// Four columns of eight rows of x, each of which one lane has.
fn handed_round(mine: vec4<f32>) -> Eight {
    return Eight(
        subgroupBroadcast(mine, 0u), subgroupBroadcast(mine, 1u), subgroupBroadcast(mine, 2u), subgroupBroadcast(mine, 3u),
        subgroupBroadcast(mine, 4u), subgroupBroadcast(mine, 5u), subgroupBroadcast(mine, 6u), subgroupBroadcast(mine, 7u));
}

fn onto(sums: Eight, w: mat4x4<f32>, rows: Eight) -> Eight {
    return Eight(
        sums.of_0 + w * rows.of_0, sums.of_1 + w * rows.of_1, sums.of_2 + w * rows.of_2, sums.of_3 + w * rows.of_3,
        sums.of_4 + w * rows.of_4, sums.of_5 + w * rows.of_5, sums.of_6 + w * rows.of_6, sums.of_7 + w * rows.of_7);
}

// Of y: up to four times eight rows, four columns and four more.
struct Sums {
    of_00: Eight,
    of_01: Eight,
    of_10: Eight,
    of_11: Eight,
    of_20: Eight,
    of_21: Eight,
    of_30: Eight,
    of_31: Eight,
}

// Of four times four columns of y, which are rows of W.
struct Columns {
    row_0: vec4<u32>,
    row_1: vec4<u32>,
    words_0: vec4<u32>,
    words_1: vec4<u32>,
    scales_0: mat2x4<f32>,
    scales_1: mat2x4<f32>,
}

fn added(before: Sums, rows: vec4<u32>, columns: Columns, k: u32, is_second: bool) -> Sums {
    var sums = before;
    let rows_0 = handed_round(x[rows.x + k]);
    let rows_1 = handed_round(x[rows.y + k]);
    let w_0 = four_of_w(columns.row_0, k, columns.words_0, is_second, columns.scales_0);
    sums.of_00 = onto(sums.of_00, w_0, rows_0);
    sums.of_10 = onto(sums.of_10, w_0, rows_1);
    let w_1 = four_of_w(columns.row_1, k, columns.words_1, is_second, columns.scales_1);
    sums.of_01 = onto(sums.of_01, w_1, rows_0);
    sums.of_11 = onto(sums.of_11, w_1, rows_1);
    if EIGHTS > 2u {
        let rows_2 = handed_round(x[rows.z + k]);
        let rows_3 = handed_round(x[rows.w + k]);
        sums.of_20 = onto(sums.of_20, w_0, rows_2);
        sums.of_30 = onto(sums.of_30, w_0, rows_3);
        sums.of_21 = onto(sums.of_21, w_1, rows_2);
        sums.of_31 = onto(sums.of_31, w_1, rows_3);
    }
    return sums;
}

fn store(row: u32, column: u32, sums: Eight) {
    store_four(row, column, mat4x4<f32>(sums.of_0, sums.of_1, sums.of_2, sums.of_3));
    store_four(row + 4u, column, mat4x4<f32>(sums.of_4, sums.of_5, sums.of_6, sums.of_7));
}

@compute @workgroup_size(SIDE_M * SIDE_N)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let lane = thread % SIDE_N;
    let row = (group.y * SIDE_M + thread / SIDE_N) * 8u * EIGHTS;
    let column = (group.x * SIDE_N + lane) * 8u;
    if row >= shape.m.x {
        return;
    }
    let vectors = shape.k.x / 4u;
    let rows = min(vec4<u32>(row + lane) + SIDE_N * vec4<u32>(0u, 1u, 2u, 3u), vec4<u32>(shape.m.x - 1u)) * vectors;
    let columns_0 = rows_from(column, shape.n.x);
    let columns_1 = rows_from(column + 4u, shape.n.x);
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
        let end = min(of_block + per_block, vectors);
        for (var k = of_block; k < end; k += per_word) {
            let columns = Columns(
                columns_0 * dense, columns_1 * dense,
                four_words(columns_0 * codes, at), four_words(columns_1 * codes, at), scales_0, scales_1);
            sums = added(sums, rows, columns, k, false);
            if WEIGHT_BITS == 4u && k + 1u < vectors {
                sums = added(sums, rows, columns, k + 1u, true);
            }
            at++;
        }
        block++;
    }

    store(row, column, sums.of_00);
    store(row + 8u, column, sums.of_10);
    store(row, column + 4u, sums.of_01);
    store(row + 8u, column + 4u, sums.of_11);
    if EIGHTS > 2u {
        store(row + 16u, column, sums.of_20);
        store(row + 24u, column, sums.of_30);
        store(row + 16u, column + 4u, sums.of_21);
        store(row + 24u, column + 4u, sums.of_31);
    }
}
