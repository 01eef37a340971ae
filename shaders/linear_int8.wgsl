// y = f(x Wᵀ + b) in products of 8-bit integers, for GPUs with wide subgroups (`shared/linear.wgsl` says what W and f are; it
// has codes here). The prelude states SIDE_M and SIDE_N.
//
// Codes are multiplied as they are, and so is x: in blocks of 32 features, as W is, each row of a block has codes from −127 to
// 127 and a scale. Sums over a block are exact integers; they are scaled and summed up over the blocks in f32.
//
// A workgroup makes 8·SIDE_M rows × 8·SIDE_N columns of y, an invocation eight rows of them SIDE_M apart and eight columns
// SIDE_N apart, so that neighbours read neighbouring memory. A block of the tile's rows of x and W at a time is brought to
// workgroup memory.

const HIGH: u32 = 8u * SIDE_M; // rows of a tile
const WIDE: u32 = 8u * SIDE_N; // its columns
const THREADS: u32 = SIDE_M * SIDE_N;
const WORDS: u32 = BLOCK / 4u;
const MOST: f32 = 127.0;

// Codes of four features in a word; rows side by side.
var<workgroup> codes_x: array<u32, WORDS * HIGH>;
var<workgroup> codes_w: array<u32, WORDS * WIDE>;
var<workgroup> scales_x: array<f32, HIGH>;
var<workgroup> scales_w: array<f32, WIDE>;
// What a minimum is multiplied with: the sum of x over the block.
var<workgroup> sums_x: array<f32, HIGH>;
var<workgroup> mins_w: array<f32, WIDE>;

// A block of a row of x, as codes. Past the last feature there are zeros.
fn bring_x(row: u32, at: u32, first: u32) {
    let vectors = shape.k.x / 4u;
    let start = min(row, shape.m.x - 1u) * vectors;
    var values: array<vec4<f32>, WORDS>;
    var largest = vec4<f32>();
    for (var i = 0u; i < WORDS; i++) {
        if first + i < vectors {
            values[i] = x[start + first + i];
        }
        largest = max(largest, abs(values[i]));
    }
    let most = max(max(largest.x, largest.y), max(largest.z, largest.w));
    let factor = select(0.0, MOST / most, most > 0.0);
    var sum = 0;
    for (var i = 0u; i < WORDS; i++) {
        let code = pack4xI8(vec4<i32>(round(values[i] * factor)));
        codes_x[i * HIGH + at] = code;
        sum += dot4I8Packed(code, 0x01010101u);
    }
    scales_x[at] = most / MOST;
    sums_x[at] = f32(sum) * most / MOST;
}

// Four codes of 4 bits, as bytes.
fn spread(codes: u32) -> u32 {
    let pairs = (codes | (codes << 8u)) & 0x00ff00ffu;
    return (pairs | (pairs << 4u)) & 0x0f0f0f0fu;
}

// Bytes from 0 to 15, eight less each.
fn eight_less(bytes: u32) -> u32 {
    return ((bytes | 0x80808080u) - 0x08080808u) ^ 0x80808080u;
}

// A block of a row of W.
fn bring_w(row: u32, at: u32, block: u32) {
    let blocks = blocks_a_row();
    let of_row = min(row, shape.n.x - 1u);
    let start = (of_row * blocks + block) * WORDS_PER_BLOCK;
    for (var i = 0u; i < WORDS_PER_BLOCK; i++) {
        let codes = word(start + i);
        if WEIGHT_BITS == 8u {
            codes_w[i * WIDE + at] = codes;
        } else {
            let low = spread(codes & 0xffffu);
            let high = spread(codes >> 16u);
            codes_w[2u * i * WIDE + at] = select(low, eight_less(low), HAS_MIN == 0u);
            codes_w[(2u * i + 1u) * WIDE + at] = select(high, eight_less(high), HAS_MIN == 0u);
        }
    }
    let scale = of_row * blocks * (1u + HAS_MIN) + block;
    scales_w[at] = scales[scale];
    if HAS_MIN == 1u {
        mins_w[at] = scales[scale + blocks];
    }
}

fn four_codes(at: u32) -> vec4<u32> {
    return vec4<u32>(codes_w[at], codes_w[at + SIDE_N], codes_w[at + 2u * SIDE_N], codes_w[at + 3u * SIDE_N]);
}

fn dots(w: vec4<u32>, x: u32) -> vec4<i32> {
    return vec4<i32>(dot4I8Packed(w.x, x), dot4I8Packed(w.y, x), dot4I8Packed(w.z, x), dot4I8Packed(w.w, x));
}

fn four_scales_of_w(at: u32) -> vec4<f32> {
    return vec4<f32>(scales_w[at], scales_w[at + SIDE_N], scales_w[at + 2u * SIDE_N], scales_w[at + 3u * SIDE_N]);
}

fn four_mins_of_w(at: u32) -> vec4<f32> {
    return vec4<f32>(mins_w[at], mins_w[at + SIDE_N], mins_w[at + 2u * SIDE_N], mins_w[at + 3u * SIDE_N]);
}

fn store_one(row: u32, column: u32, value: f32) {
    if row >= shape.m.x || column >= shape.n.x {
        return;
    }
    var offset = 0.0;
    if HAS_BIAS == 1u {
        offset = bias[column];
    }
    let at = row * shape.n.x + column;
    y[at] = ended(at, gates_of(row) + column, value + offset);
}

fn store_four_apart(row: u32, column: u32, values: vec4<f32>) {
    store_one(row, column, values.x);
    store_one(row, column + SIDE_N, values.y);
    store_one(row, column + 2u * SIDE_N, values.z);
    store_one(row, column + 3u * SIDE_N, values.w);
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let down = thread / SIDE_N;
    let across = thread % SIDE_N;
    let row = group.y * HIGH;
    let column = group.x * WIDE;
    // Of row r and its columns 0 to 3, then 4 to 7.
    var left: array<vec4<f32>, 8>;
    var right: array<vec4<f32>, 8>;
    for (var block = 0u; block * BLOCK < shape.k.x; block++) {
        workgroupBarrier();
        for (var at = thread; at < HIGH; at += THREADS) {
            bring_x(row + at, at, block * WORDS);
        }
        for (var at = thread; at < WIDE; at += THREADS) {
            bring_w(column + at, at, block);
        }
        workgroupBarrier();
        var left_dots: array<vec4<i32>, 8>;
        var right_dots: array<vec4<i32>, 8>;
        for (var i = 0u; i < WORDS; i++) {
            let w_left = four_codes(i * WIDE + across);
            let w_right = four_codes(i * WIDE + 4u * SIDE_N + across);
            for (var r = 0u; r < 8u; r++) {
                let code = codes_x[i * HIGH + r * SIDE_M + down];
                left_dots[r] += dots(w_left, code);
                right_dots[r] += dots(w_right, code);
            }
        }
        let scale_left = four_scales_of_w(across);
        let scale_right = four_scales_of_w(4u * SIDE_N + across);
        for (var r = 0u; r < 8u; r++) {
            let scale = scales_x[r * SIDE_M + down];
            left[r] += vec4<f32>(left_dots[r]) * (scale_left * scale);
            right[r] += vec4<f32>(right_dots[r]) * (scale_right * scale);
            if HAS_MIN == 1u {
                let sum = sums_x[r * SIDE_M + down];
                left[r] += four_mins_of_w(across) * sum;
                right[r] += four_mins_of_w(4u * SIDE_N + across) * sum;
            }
        }
    }
    for (var r = 0u; r < 8u; r++) {
        store_four_apart(row + r * SIDE_M + down, column + across, left[r]);
        store_four_apart(row + r * SIDE_M + down, column + 4u * SIDE_N + across, right[r]);
    }
}
