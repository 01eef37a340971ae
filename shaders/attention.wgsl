// o = softmax(scale · q kᵀ + bias) v, one head at a time, without the N × M scores; and for each query the logarithm of the
// sum of exp(score), by which results for different keys can be put together.
//
// The prelude states, beside what `shared/attention.wgsl` names, CHUNK (of how many vectors parts of keys are brought into
// workgroup memory; the last may have fewer) and MATS (1 or 2).
//
// A workgroup makes 32 or, with two matrices, 64 rows of o. It walks along the keys, 32 at a time, and keeps for each row
// the highest score so far, the sum of exp(score − highest) and the sum of exp(score − highest) · v; when a higher score
// comes, both sums fade by exp(before − now). A group of eight invocations, its lanes, has four rows or eight. A lane makes
// their scores with the keys lane, lane + 8, lane + 16 and lane + 24, then their sums in the columns lane, lane + 8, … of
// vectors. In between the weights go through workgroup memory, as vectors of four rows. Queries and values are read where
// they are: all lanes of a group read the same query, neighbours neighbouring values. What is added up is written out by
// hand, and by `fma`: a product of matrices is made before it is added, by a fifth more operations.

// Keys.
const TILE: u32 = 32u;
const LANES: u32 = 8u;
const GROUPS: u32 = 8u;
const THREADS: u32 = GROUPS * LANES;
const ROWS: u32 = 4u * MATS;
// Odd, and one more than needed: lanes then read from different banks.
const KEY_STRIDE: u32 = CHUNK | 1u;
const WEIGHT_STRIDE: u32 = TILE + 1u;
const LANE_STRIDE: u32 = LANES + 1u;
// Columns of vectors that a lane has.
const COLUMNS: u32 = (VECTORS + LANES - 1u) / LANES;

var<workgroup> key_tile: array<vec4<f32>, TILE * KEY_STRIDE>; // [TILE, KEY_STRIDE]
var<workgroup> weights: array<vec4<f32>, MATS * GROUPS * WEIGHT_STRIDE>; // [MATS, GROUPS, WEIGHT_STRIDE]
var<workgroup> of_lanes: array<vec4<f32>, MATS * GROUPS * LANE_STRIDE>; // [MATS, GROUPS, LANE_STRIDE]

fn load_keys(thread: u32, at: u32, first_key: u32, width: u32) {
    for (var i = thread; i < TILE * width; i += THREADS) {
        // Past the last key the last one is read again: its weight is zero.
        let key = min(first_key + i / width, shape.keys.x - 1u);
        key_tile[i / width * KEY_STRIDE + i % width] = k[at + key * shape.k_row.x + i % width];
    }
}

// A feature of this lane's four keys a column.
fn four_of_keys(lane: u32, i: u32) -> mat4x4<f32> {
    let at = lane * KEY_STRIDE + i;
    return transpose(mat4x4<f32>(
        key_tile[at], key_tile[at + LANES * KEY_STRIDE],
        key_tile[at + 2u * LANES * KEY_STRIDE], key_tile[at + 3u * LANES * KEY_STRIDE]));
}

// The scores of one query with four keys, and four more of its features.
fn onto_score(score: vec4<f32>, keys: mat4x4<f32>, query: vec4<f32>) -> vec4<f32> {
    let half = fma(keys[1], query.yyyy, fma(keys[0], query.xxxx, score));
    return fma(keys[3], query.wwww, fma(keys[2], query.zzzz, half));
}

// Likewise of four queries, a query a column.
fn onto_scores(scores: mat4x4<f32>, keys: mat4x4<f32>, at: vec4<u32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        onto_score(scores[0], keys, q[at.x]), onto_score(scores[1], keys, q[at.y]),
        onto_score(scores[2], keys, q[at.z]), onto_score(scores[3], keys, q[at.w]));
}

// The sums of four rows, a row a column, and one more value by the weight that it has in each row.
fn onto_sums(sums: mat4x4<f32>, weight: vec4<f32>, value: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        fma(weight.xxxx, value, sums[0]), fma(weight.yyyy, value, sums[1]),
        fma(weight.zzzz, value, sums[2]), fma(weight.wwww, value, sums[3]));
}

// The bias of one row for four keys.
fn bias_at(at: u32, keys: vec4<u32>) -> vec4<f32> {
    let key_at = at + min(keys, vec4<u32>(shape.keys.x - 1u)) * shape.bias_key.x;
    return vec4<f32>(bias[key_at.x], bias[key_at.y], bias[key_at.z], bias[key_at.w]);
}

// Scaled, with their bias, a key a column of four rows; what is past the last key is lowest.
fn of_keys(scores: mat4x4<f32>, bias_row_at: vec4<u32>, keys: vec4<u32>) -> mat4x4<f32> {
    var all = bitcast<f32>(shape.scale.x) * scores;
    if HAS_BIAS == 1u {
        all += mat4x4<f32>(
            bias_at(bias_row_at.x, keys), bias_at(bias_row_at.y, keys),
            bias_at(bias_row_at.z, keys), bias_at(bias_row_at.w, keys));
    }
    let is_key = keys < vec4<u32>(shape.keys.x);
    let lowest = vec4<f32>(LOWEST);
    return transpose(mat4x4<f32>(
        select(lowest, all[0], is_key), select(lowest, all[1], is_key),
        select(lowest, all[2], is_key), select(lowest, all[3], is_key)));
}

fn highest_of(scores: mat4x4<f32>) -> vec4<f32> {
    return max(max(scores[0], scores[1]), max(scores[2], scores[3]));
}

// Of all lanes of a group.
fn highest_of_lanes(before: vec4<f32>, at: u32) -> vec4<f32> {
    var highest = before;
    for (var i = 0u; i < LANES; i++) {
        highest = max(highest, of_lanes[at + i]);
    }
    return highest;
}

fn sum_of_lanes(at: u32) -> vec4<f32> {
    var sum = vec4<f32>();
    for (var i = 0u; i < LANES; i++) {
        sum += of_lanes[at + i];
    }
    return sum;
}

// Leaves the weights of this lane's keys for the others; their sum.
fn share_weights(at: u32, scores: mat4x4<f32>, highest: vec4<f32>) -> vec4<f32> {
    let weight_0 = exp(scores[0] - highest);
    let weight_1 = exp(scores[1] - highest);
    let weight_2 = exp(scores[2] - highest);
    let weight_3 = exp(scores[3] - highest);
    weights[at] = weight_0;
    weights[at + LANES] = weight_1;
    weights[at + 2u * LANES] = weight_2;
    weights[at + 3u * LANES] = weight_3;
    return (weight_0 + weight_1) + (weight_2 + weight_3);
}

fn scaled(sum: mat4x4<f32>, rows: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(rows.x * sum[0], rows.y * sum[1], rows.z * sum[2], rows.w * sum[3]);
}

fn store_log_sums(row: u32, at: u32, row_stride: u32, values: vec4<f32>) {
    if row < shape.rows.x { log_sums[at] = values.x; }
    if row + 1u < shape.rows.x { log_sums[at + row_stride] = values.y; }
    if row + 2u < shape.rows.x { log_sums[at + 2u * row_stride] = values.z; }
    if row + 3u < shape.rows.x { log_sums[at + 3u * row_stride] = values.w; }
}

fn store(row: u32, at: u32, row_stride: u32, column: u32, values: mat4x4<f32>) {
    if column >= VECTORS {
        return;
    }
    if row < shape.rows.x { store_vector(at + column, values[0]); }
    if row + 1u < shape.rows.x { store_vector(at + row_stride + column, values[1]); }
    if row + 2u < shape.rows.x { store_vector(at + 2u * row_stride + column, values[2]); }
    if row + 3u < shape.rows.x { store_vector(at + 3u * row_stride + column, values[3]); }
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    let group = thread / LANES;
    let lane = thread % LANES;
    let head = id.y;
    let key_head = head / shape.sharing.x;
    let first_row = (id.x * GROUPS + group) * ROWS;
    // Past the last row the last one is read again: it is not written. A group that has no row at all waits for the others.
    let last_row = vec4<u32>(shape.rows.x - 1u);
    let rows_0 = min(first_row + FOUR, last_row);
    let rows_1 = min(first_row + 4u + FOUR, last_row);
    let is_idle = first_row >= shape.rows.x;
    let q_head = id.z * shape.q_batch.x + head * shape.q_head.x;
    let q_0 = q_head + rows_0 * shape.q_row.x;
    let q_1 = q_head + rows_1 * shape.q_row.x;
    let k_at = id.z * shape.k_batch.x + key_head * shape.k_head.x;
    let v_at = id.z * shape.v_batch.x + key_head * shape.v_head.x;
    let bias_head = id.z * shape.bias_batch.x + head * shape.bias_head.x;
    let bias_0 = bias_head + rows_0 * shape.bias_row.x;
    let bias_1 = bias_head + rows_1 * shape.bias_row.x;
    let column = min(vec4<u32>(lane) + FOUR * LANES, vec4<u32>(VECTORS - 1u));
    let weights_0 = group * WEIGHT_STRIDE;
    let weights_1 = weights_0 + GROUPS * WEIGHT_STRIDE;
    let lanes_0 = group * LANE_STRIDE;
    let lanes_1 = lanes_0 + GROUPS * LANE_STRIDE;

    var highest_0 = vec4<f32>(LOWEST);
    var highest_1 = vec4<f32>(LOWEST);
    // Of the weights of this lane's keys.
    var total_0 = vec4<f32>();
    var total_1 = vec4<f32>();
    // Of the weighted values, a matrix for four rows in each of this lane's columns.
    var sum_00 = mat4x4<f32>();
    var sum_01 = mat4x4<f32>();
    var sum_02 = mat4x4<f32>();
    var sum_03 = mat4x4<f32>();
    var sum_10 = mat4x4<f32>();
    var sum_11 = mat4x4<f32>();
    var sum_12 = mat4x4<f32>();
    var sum_13 = mat4x4<f32>();

    for (var first_key = 0u; first_key < shape.keys.x; first_key += TILE) {
        var score_0 = mat4x4<f32>();
        var score_1 = mat4x4<f32>();
        for (var chunk = 0u; chunk < VECTORS; chunk += CHUNK) {
            // Known before where it can be: drivers write out loops whose rounds they know.
            let width = select(min(CHUNK, VECTORS - chunk), CHUNK, VECTORS % CHUNK == 0u);
            if VECTORS > CHUNK {
                workgroupBarrier();
            }
            load_keys(thread, k_at + chunk, first_key, width);
            workgroupBarrier();
            if !is_idle {
                for (var i = 0u; i < width; i++) {
                    let keys = four_of_keys(lane, i);
                    score_0 = onto_scores(score_0, keys, q_0 + chunk + i);
                    if MATS > 1u { score_1 = onto_scores(score_1, keys, q_1 + chunk + i); }
                }
            }
        }
        let keys = vec4<u32>(first_key + lane) + FOUR * LANES;
        let scores_0 = of_keys(score_0, bias_0, keys);
        of_lanes[lanes_0 + lane] = highest_of(scores_0);
        var scores_1 = mat4x4<f32>();
        if MATS > 1u {
            scores_1 = of_keys(score_1, bias_1, keys);
            of_lanes[lanes_1 + lane] = highest_of(scores_1);
        }
        workgroupBarrier();
        let before_0 = highest_0;
        let before_1 = highest_1;
        highest_0 = highest_of_lanes(before_0, lanes_0);
        let fade_0 = exp(before_0 - highest_0);
        total_0 = total_0 * fade_0 + share_weights(weights_0 + lane, scores_0, highest_0);
        var fade_1 = vec4<f32>();
        if MATS > 1u {
            highest_1 = highest_of_lanes(before_1, lanes_1);
            fade_1 = exp(before_1 - highest_1);
            total_1 = total_1 * fade_1 + share_weights(weights_1 + lane, scores_1, highest_1);
        }
        workgroupBarrier();

        sum_00 = scaled(sum_00, fade_0);
        if COLUMNS > 1u { sum_01 = scaled(sum_01, fade_0); }
        if COLUMNS > 2u { sum_02 = scaled(sum_02, fade_0); }
        if COLUMNS > 3u { sum_03 = scaled(sum_03, fade_0); }
        if MATS > 1u {
            sum_10 = scaled(sum_10, fade_1);
            if COLUMNS > 1u { sum_11 = scaled(sum_11, fade_1); }
            if COLUMNS > 2u { sum_12 = scaled(sum_12, fade_1); }
            if COLUMNS > 3u { sum_13 = scaled(sum_13, fade_1); }
        }
        if !is_idle {
            for (var i = 0u; i < TILE; i++) {
                // Past the last key the last one is read again: its weight is zero.
                let at = v_at + min(first_key + i, shape.keys.x - 1u) * shape.v_row.x;
                let weight_0 = weights[weights_0 + i];
                var weight_1 = vec4<f32>();
                if MATS > 1u { weight_1 = weights[weights_1 + i]; }
                let value_0 = v[at + column.x];
                sum_00 = onto_sums(sum_00, weight_0, value_0);
                if MATS > 1u { sum_10 = onto_sums(sum_10, weight_1, value_0); }
                if COLUMNS > 1u {
                    let value_1 = v[at + column.y];
                    sum_01 = onto_sums(sum_01, weight_0, value_1);
                    if MATS > 1u { sum_11 = onto_sums(sum_11, weight_1, value_1); }
                }
                if COLUMNS > 2u {
                    let value_2 = v[at + column.z];
                    sum_02 = onto_sums(sum_02, weight_0, value_2);
                    if MATS > 1u { sum_12 = onto_sums(sum_12, weight_1, value_2); }
                }
                if COLUMNS > 3u {
                    let value_3 = v[at + column.w];
                    sum_03 = onto_sums(sum_03, weight_0, value_3);
                    if MATS > 1u { sum_13 = onto_sums(sum_13, weight_1, value_3); }
                }
            }
        }
    }

    // Every lane has read the highest scores before it wrote its last weights.
    of_lanes[lanes_0 + lane] = total_0;
    if MATS > 1u { of_lanes[lanes_1 + lane] = total_1; }
    workgroupBarrier();
    let log_sums_at = (id.z * shape.rows.x + first_row) * count.y + head;
    let row_stride = count.y * VECTORS;
    let whole_0 = sum_of_lanes(lanes_0);
    let share_0 = gate_of(head) / whole_0;
    if lane == 0u {
        store_log_sums(first_row, log_sums_at, count.y, highest_0 + log(whole_0));
    }
    let at_0 = log_sums_at * VECTORS;
    store(first_row, at_0, row_stride, lane, scaled(sum_00, share_0));
    if COLUMNS > 1u { store(first_row, at_0, row_stride, lane + LANES, scaled(sum_01, share_0)); }
    if COLUMNS > 2u { store(first_row, at_0, row_stride, lane + 2u * LANES, scaled(sum_02, share_0)); }
    if COLUMNS > 3u { store(first_row, at_0, row_stride, lane + 3u * LANES, scaled(sum_03, share_0)); }
    if MATS > 1u {
        let whole_1 = sum_of_lanes(lanes_1);
        let share_1 = gate_of(head) / whole_1;
        if lane == 0u {
            store_log_sums(first_row + 4u, log_sums_at + 4u * count.y, count.y, highest_1 + log(whole_1));
        }
        let at_1 = at_0 + 4u * row_stride;
        store(first_row + 4u, at_1, row_stride, lane, scaled(sum_10, share_1));
        if COLUMNS > 1u { store(first_row + 4u, at_1, row_stride, lane + LANES, scaled(sum_11, share_1)); }
        if COLUMNS > 2u { store(first_row + 4u, at_1, row_stride, lane + 2u * LANES, scaled(sum_12, share_1)); }
        if COLUMNS > 3u { store(first_row + 4u, at_1, row_stride, lane + 3u * LANES, scaled(sum_13, share_1)); }
    }
}
