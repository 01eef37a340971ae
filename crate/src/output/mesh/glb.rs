//! Binary glTF 2.0 (Khronos, 2017): a header, a chunk of JSON that says where everything lies, a chunk of numbers.

use serde_json::{Value, json};

use super::Mesh;

const MAGIC: &[u8; 4] = b"glTF";
const VERSION: u32 = 2;
const FLOAT: u32 = 5126;
const UNSIGNED_INT: u32 = 5125;
const ARRAY_BUFFER: u32 = 34962;
const ELEMENT_ARRAY_BUFFER: u32 = 34963;

/// The file's bytes: one mesh with normals and vertex colours, and a dull material.
pub(super) fn encode(mesh: &Mesh) -> Vec<u8> {
    let colours: Vec<[f32; 3]> = mesh.colours.iter().map(|colour| colour.map(linear)).collect();
    let vectors = |vectors: &[[f32; 3]]| vectors.iter().flatten().flat_map(|axis| axis.to_le_bytes()).collect();
    let indices: Vec<u8> = mesh.triangles.iter().flatten().flat_map(|index| index.to_le_bytes()).collect();
    let parts: [Vec<u8>; 4] = [vectors(&mesh.positions), vectors(&mesh.normals), vectors(&colours), indices];
    let description = describe(mesh, &parts).to_string().into_bytes();
    let chunks = [(b"JSON", description, b' '), (b"BIN\0", parts.concat(), 0)];
    let mut body = Vec::new();
    for (name, mut content, padding) in chunks {
        content.resize(content.len().next_multiple_of(4), padding);
        body.extend((content.len() as u32).to_le_bytes());
        body.extend(name);
        body.extend(content);
    }
    let length = 12 + body.len() as u32;
    [MAGIC.as_slice(), &VERSION.to_le_bytes(), &length.to_le_bytes(), &body].concat()
}

/// Numbers of four bytes only, so that every part begins where it may.
fn describe(mesh: &Mesh, parts: &[Vec<u8>; 4]) -> Value {
    let mut start = 0;
    let buffer_views: Vec<Value> = parts
        .iter()
        .zip([ARRAY_BUFFER, ARRAY_BUFFER, ARRAY_BUFFER, ELEMENT_ARRAY_BUFFER])
        .map(|(part, target)| {
            let view = json!({ "buffer": 0, "byteOffset": start, "byteLength": part.len(), "target": target });
            start += part.len();
            view
        })
        .collect();
    let (low, high) = bounds(&mesh.positions);
    let vectors = |view: usize| json!({ "bufferView": view, "componentType": FLOAT, "count": mesh.positions.len(), "type": "VEC3" });
    let mut positions = vectors(0);
    positions["min"] = json!(low);
    positions["max"] = json!(high);
    let indices = json!({
        "bufferView": 3, "componentType": UNSIGNED_INT, "count": 3 * mesh.triangles.len(), "type": "SCALAR"
    });
    json!({
        "asset": { "version": "2.0", "generator": "flagdit" },
        "scene": 0,
        "scenes": [{ "nodes": [0] }],
        "nodes": [{ "mesh": 0 }],
        "meshes": [{ "primitives": [{
            "attributes": { "POSITION": 0, "NORMAL": 1, "COLOR_0": 2 }, "indices": 3, "material": 0
        }] }],
        "materials": [{ "pbrMetallicRoughness": { "metallicFactor": 0.0, "roughnessFactor": 1.0 } }],
        "accessors": [positions, vectors(1), vectors(2), indices],
        "bufferViews": buffer_views,
        "buffers": [{ "byteLength": start }],
    })
}

/// The smallest and the largest coordinates along each axis.
fn bounds(positions: &[[f32; 3]]) -> ([f32; 3], [f32; 3]) {
    let start = ([f32::INFINITY; 3], [f32::NEG_INFINITY; 3]);
    positions.iter().fold(start, |(low, high), position| {
        (
            std::array::from_fn(|axis| low[axis].min(position[axis])),
            std::array::from_fn(|axis| high[axis].max(position[axis])),
        )
    })
}

/// glTF's vertex colours are linear light.
fn linear(srgb: f32) -> f32 {
    if srgb <= 0.04045 { srgb / 12.92 } else { ((srgb + 0.055) / 1.055).powf(2.4) }
}
