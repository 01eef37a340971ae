// What `attention.wgsl` computes, for processors that play GPU: without workgroup memory and barriers, on which they wait
// for long.
//
// The prelude states THREADS beside what `shared/attention.wgsl` names.
//
// An invocation makes eight rows of o. It walks along all keys, four at a time, and keeps for each row the highest score so
// far, the sum of exp(score − highest) and the sum of exp(score − highest) · v; when a higher score comes, both sums fade
// by exp(before − now). All arithmetic is that of 4 × 4 matrices. Every number that is read is one for each lane, whether
// neighbours read the same or not, and takes as long as some twenty products: so eight queries are kept where they are
// reached at once, and meet each key there. Whatever is in arrays stands at indices that are known when loops over VECTORS
// are written out, as adapters do; rows come and go at one end, so that the code for reading and writing is there once.

const ROWS: u32 = 8u;

// Four columns of four keys: a column of the matrix is one of the keys.
fn four_of_k(rows: vec4<u32>, at: u32) -> mat4x4<f32> {
    return transpose(mat4x4<f32>(k[rows.x + at], k[rows.y + at], k[rows.z + at], k[rows.w + at]));
}

// Four columns of four values: a column of the matrix is a value.
fn four_of_v(rows: vec4<u32>, at: u32) -> mat4x4<f32> {
    return mat4x4<f32>(v[rows.x + at], v[rows.y + at], v[rows.z + at], v[rows.w + at]);
}

// The bias of one row for four keys.
fn bias_at(at: u32, keys: vec4<u32>) -> vec4<f32> {
    let key_at = at + keys * shape.bias_key.x;
    return vec4<f32>(bias[key_at.x], bias[key_at.y], bias[key_at.z], bias[key_at.w]);
}

// Likewise of four rows, a row a column of the matrix.
fn four_of_bias(first: u32, row: u32, keys: vec4<u32>) -> mat4x4<f32> {
    if HAS_BIAS == 0u {
        return mat4x4<f32>();
    }
    let at = first + min(row + FOUR, vec4<u32>(shape.rows.x - 1u)) * shape.bias_row.x;
    return mat4x4<f32>(bias_at(at.x, keys), bias_at(at.y, keys), bias_at(at.z, keys), bias_at(at.w, keys));
}

// A column a key; what is past the last key is lowest.
fn of_keys(scores: mat4x4<f32>, is_key: vec4<bool>) -> mat4x4<f32> {
    let lowest = vec4<f32>(LOWEST);
    return transpose(mat4x4<f32>(
        select(lowest, scores[0], is_key), select(lowest, scores[1], is_key),
        select(lowest, scores[2], is_key), select(lowest, scores[3], is_key)));
}

fn highest_of(scores: mat4x4<f32>) -> vec4<f32> {
    return max(max(scores[0], scores[1]), max(scores[2], scores[3]));
}

fn weights_of(scores: mat4x4<f32>, highest: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(
        exp(scores[0] - highest), exp(scores[1] - highest), exp(scores[2] - highest), exp(scores[3] - highest));
}

fn sum_of(columns: mat4x4<f32>) -> vec4<f32> {
    return (columns[0] + columns[1]) + (columns[2] + columns[3]);
}

fn scaled(columns: mat4x4<f32>, by: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(by.x * columns[0], by.y * columns[1], by.z * columns[2], by.w * columns[3]);
}

// The first column is gone, `last` has come.
fn moved_on(columns: mat4x4<f32>, last: vec4<f32>) -> mat4x4<f32> {
    return mat4x4<f32>(columns[1], columns[2], columns[3], last);
}

@compute @workgroup_size(THREADS)
fn main(
    @builtin(workgroup_id) id: vec3<u32>,
    @builtin(num_workgroups) count: vec3<u32>,
    @builtin(local_invocation_index) thread: u32,
) {
    // Rows of all heads are told apart by one number: lanes of one workgroup may have different heads.
    let index = (id.y * count.x + id.x) * THREADS + thread;
    let in_head = (shape.rows.x + ROWS - 1u) / ROWS;
    let first_row = index % in_head * ROWS;
    let head = index / in_head % shape.heads.x;
    let batch = index / in_head / shape.heads.x;
    if batch >= shape.batch.x {
        return;
    }
    let key_head = head / shape.sharing.x;
    let q_at = batch * shape.q_batch.x + head * shape.q_head.x;
    let k_at = batch * shape.k_batch.x + key_head * shape.k_head.x;
    let v_at = batch * shape.v_batch.x + key_head * shape.v_head.x;
    let bias_from = batch * shape.bias_batch.x + head * shape.bias_head.x;
    let last_key = vec4<u32>(shape.keys.x - 1u);
    let scale = bitcast<f32>(shape.scale.x);

    // Four queries a matrix, a column each.
    var q_0: array<mat4x4<f32>, VECTORS>;
    var q_1: array<mat4x4<f32>, VECTORS>;
    for (var row = 0u; row < ROWS; row++) {
        // Past the last row the last one is read again: it is not written.
        let at = q_at + min(first_row + row, shape.rows.x - 1u) * shape.q_row.x;
        for (var i = 0u; i < VECTORS; i++) {
            q_0[i] = moved_on(q_0[i], q_1[i][0]);
            q_1[i] = moved_on(q_1[i], scale * q[at + i]);
        }
    }

    var highest_0 = vec4<f32>(LOWEST);
    var highest_1 = vec4<f32>(LOWEST);
    var total_0 = vec4<f32>();
    var total_1 = vec4<f32>();
    // Of the weighted values, a row a column.
    var sum_0: array<mat4x4<f32>, VECTORS>;
    var sum_1: array<mat4x4<f32>, VECTORS>;
    for (var first_key = 0u; first_key < shape.keys.x; first_key += 4u) {
        let is_key = first_key + FOUR <= last_key;
        // Past the last key the last one is read again: its weight is zero.
        let keys = min(first_key + FOUR, last_key);
        var score_0 = four_of_bias(bias_from, first_row, keys);
        var score_1 = four_of_bias(bias_from, first_row + 4u, keys);
        for (var i = 0u; i < VECTORS; i++) {
            let key = four_of_k(k_at + keys * shape.k_row.x, i);
            score_0 += key * q_0[i];
            score_1 += key * q_1[i];
        }
        let scores_0 = of_keys(score_0, is_key);
        let scores_1 = of_keys(score_1, is_key);
        let before_0 = highest_0;
        let before_1 = highest_1;
        highest_0 = max(highest_0, highest_of(scores_0));
        highest_1 = max(highest_1, highest_of(scores_1));
        let fade_0 = exp(before_0 - highest_0);
        let fade_1 = exp(before_1 - highest_1);
        let weights_0 = weights_of(scores_0, highest_0);
        let weights_1 = weights_of(scores_1, highest_1);
        total_0 = total_0 * fade_0 + sum_of(weights_0);
        total_1 = total_1 * fade_1 + sum_of(weights_1);
        for (var i = 0u; i < VECTORS; i++) {
            let value = four_of_v(v_at + keys * shape.v_row.x, i);
            sum_0[i] = scaled(sum_0[i], fade_0) + value * transpose(weights_0);
            sum_1[i] = scaled(sum_1[i], fade_1) + value * transpose(weights_1);
        }
    }

    let log_sums_at = (batch * shape.rows.x + first_row) * shape.heads.x + head;
    for (var row = 0u; row < ROWS; row++) {
        if first_row + row < shape.rows.x {
            let at = log_sums_at + row * shape.heads.x;
            log_sums[at] = highest_0.x + log(total_0.x);
            let share = gate_of(head) / total_0.x;
            for (var i = 0u; i < VECTORS; i++) {
                store_vector(at * VECTORS + i, share * sum_0[i][0]);
            }
        }
        highest_0 = vec4<f32>(highest_0.yzw, highest_1.x);
        highest_1 = highest_1.yzwx;
        total_0 = vec4<f32>(total_0.yzw, total_1.x);
        total_1 = total_1.yzwx;
        for (var i = 0u; i < VECTORS; i++) {
            sum_0[i] = moved_on(sum_0[i], sum_1[i][0]);
            sum_1[i] = moved_on(sum_1[i], vec4<f32>());
        }
    }
}
