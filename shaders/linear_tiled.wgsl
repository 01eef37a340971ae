// y = f(x Wᵀ + b) through workgroup memory, for GPUs with wide subgroups (`shared/linear.wgsl` says what W and f are). The
// prelude states MATS (1 or 2), SIDE_M and SIDE_N, DEPTH, and whether products are multiplied in f16 (HALF, 0 or 1, and
// `Element`).
//
// A workgroup makes a tile of 4·MATS·SIDE_M rows × 4·MATS·SIDE_N columns of y, an invocation MATS × MATS blocks of 4 × 4 of
// it, SIDE_M·4 rows and SIDE_N·4 columns apart, so that neighbours read neighbouring memory. 4·DEPTH features of the tile's
// rows of x and W at a time are brought to workgroup memory, codes as the weights they stand for, while those before are
// multiplied. In f16 they are summed up over those features only, and in f32 from there on; x is divided by SHRINK before,
// since the inputs of a few layers reach beyond f16.

const IS_HALF: bool = HALF == 1u;
const HIGH: u32 = SIDE_M * MATS; // fours of rows of a tile
const WIDE: u32 = SIDE_N * MATS; // fours of its columns
const THREADS: u32 = SIDE_M * SIDE_N;
// Blocks of 4 × 4 that an invocation brings: 1 or 2.
const BROUGHT: u32 = (HIGH + WIDE) * DEPTH / THREADS;
const SHRINK: f32 = select(1.0, 16.0, IS_HALF);
const PER_BLOCK: u32 = BLOCK / 4u;
const PER_WORD: u32 = select(WEIGHTS_PER_WORD / 4u, 1u, IS_DENSE);

// By features; fours of rows side by side.
var<workgroup> tile_x: array<vec4<Element>, 4u * DEPTH * HIGH>;
var<workgroup> tile_w: array<vec4<Element>, 4u * DEPTH * WIDE>;

// Where the matrices that a workgroup multiplies lie.
struct Place {
    row: u32,
    column: u32,
    vectors: u32, // of four features in a row
    blocks: u32,
}

// The block of 4 × 4 number `item` of the tile, from the four features number `first` on: a column is a feature of four
// rows. First come those of x, then those of W; past the last feature they are zeros.
fn bring(place: Place, item: u32, first: u32) -> mat4x4<f32> {
    let is_x = item < HIGH * DEPTH;
    let index = select(item - HIGH * DEPTH, item, is_x);
    let side = select(WIDE, HIGH, is_x);
    let at = first + index / side;
    if at >= place.vectors {
        return mat4x4<f32>();
    }
    if is_x {
        let rows = rows_from(place.row + 4u * (index % side), shape.m.x);
        return transpose(four_of_x(rows * place.vectors, at)) * (1.0 / SHRINK);
    }
    let rows = rows_from(place.column + 4u * (index % side), shape.n.x);
    if IS_DENSE {
        return four_of_w(rows * dense_row(place.vectors), at, vec4<u32>(), false, mat2x4<f32>());
    }
    let scale = four_scales(rows * place.blocks * (1u + HAS_MIN), place.blocks, at / PER_BLOCK);
    let words = four_words(rows * code_row(), at / PER_WORD);
    return four_of_w(rows, at, words, at % PER_WORD == 1u, scale);
}

fn put(item: u32, values: mat4x4<f32>) {
    if item < HIGH * DEPTH {
        let at = item / HIGH * 4u * HIGH + item % HIGH;
        tile_x[at] = vec4<Element>(values[0]);
        tile_x[at + HIGH] = vec4<Element>(values[1]);
        tile_x[at + 2u * HIGH] = vec4<Element>(values[2]);
        tile_x[at + 3u * HIGH] = vec4<Element>(values[3]);
    } else {
        let index = item - HIGH * DEPTH;
        let at = index / WIDE * 4u * WIDE + index % WIDE;
        tile_w[at] = vec4<Element>(values[0]);
        tile_w[at + WIDE] = vec4<Element>(values[1]);
        tile_w[at + 2u * WIDE] = vec4<Element>(values[2]);
        tile_w[at + 3u * WIDE] = vec4<Element>(values[3]);
    }
}

// With one feature more: of four rows of x, and of four columns of y. A column of the sum is a row of y. By fma, which is
// one instruction of f32, and of two f16; a product and a sum are two.
fn added(sum: mat4x4<Element>, w: vec4<Element>, x: vec4<Element>) -> mat4x4<Element> {
    return mat4x4<Element>(
        fma(w, vec4<Element>(x.x), sum[0]), fma(w, vec4<Element>(x.y), sum[1]),
        fma(w, vec4<Element>(x.z), sum[2]), fma(w, vec4<Element>(x.w), sum[3]));
}

fn wide(sum: mat4x4<Element>) -> mat4x4<f32> {
    return mat4x4<f32>(vec4<f32>(sum[0]), vec4<f32>(sum[1]), vec4<f32>(sum[2]), vec4<f32>(sum[3])) * SHRINK;
}

@compute @workgroup_size(THREADS)
fn main(@builtin(workgroup_id) group: vec3<u32>, @builtin(local_invocation_index) thread: u32) {
    let down = thread / SIDE_N;
    let across = thread % SIDE_N;
    let place = Place(group.y * HIGH * 4u, group.x * WIDE * 4u, shape.k.x / 4u, blocks_a_row());
    var sum_00 = mat4x4<f32>();
    var sum_01 = mat4x4<f32>();
    var sum_10 = mat4x4<f32>();
    var sum_11 = mat4x4<f32>();
    var part_00 = mat4x4<Element>();
    var part_01 = mat4x4<Element>();
    var part_10 = mat4x4<Element>();
    var part_11 = mat4x4<Element>();
    var next = bring(place, thread, 0u);
    var second = mat4x4<f32>();
    if BROUGHT > 1u {
        second = bring(place, thread + THREADS, 0u);
    }
    for (var first = 0u; first < place.vectors; first += DEPTH) {
        workgroupBarrier();
        put(thread, next);
        if BROUGHT > 1u {
            put(thread + THREADS, second);
        }
        workgroupBarrier();
        next = bring(place, thread, first + DEPTH);
        if BROUGHT > 1u {
            second = bring(place, thread + THREADS, first + DEPTH);
        }
        for (var feature = 0u; feature < 4u * DEPTH; feature++) {
            let x_0 = tile_x[feature * HIGH + down];
            let w_0 = tile_w[feature * WIDE + across];
            part_00 = added(part_00, w_0, x_0);
            if MATS > 1u {
                let x_1 = tile_x[feature * HIGH + SIDE_M + down];
                let w_1 = tile_w[feature * WIDE + SIDE_N + across];
                part_01 = added(part_01, w_1, x_0);
                part_10 = added(part_10, w_0, x_1);
                part_11 = added(part_11, w_1, x_1);
            }
        }
        if IS_HALF {
            sum_00 += wide(part_00);
            sum_01 += wide(part_01);
            sum_10 += wide(part_10);
            sum_11 += wide(part_11);
            part_00 = mat4x4<Element>();
            part_01 = mat4x4<Element>();
            part_10 = mat4x4<Element>();
            part_11 = mat4x4<Element>();
        }
    }
    let row = place.row + 4u * down;
    let column = place.column + 4u * across;
    store_four(row, column, sum_00 + wide(part_00));
    if MATS > 1u {
        store_four(row, column + 4u * SIDE_N, sum_01 + wide(part_01));
        store_four(row + 4u * SIDE_M, column, sum_10 + wide(part_10));
        store_four(row + 4u * SIDE_M, column + 4u * SIDE_N, sum_11 + wide(part_11));
    }
}
