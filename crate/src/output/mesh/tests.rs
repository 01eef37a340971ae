//! Meshes of known solids look like their views, are closed, and are read back by another reader of glTF.

use std::collections::HashMap;

use super::*;
use crate::error::ErrorKind;

const SIZE: usize = 64;
const VIEWS: usize = 8;

type Inside = fn([f32; 3]) -> bool;

fn ball([x, y, z]: [f32; 3]) -> bool {
    x * x + y * y + z * z < 0.7
}

fn slab([x, y, z]: [f32; 3]) -> bool {
    x.abs() < 0.7 && y.abs() < 0.4 && z.abs() < 0.5
}

fn ring([x, y, z]: [f32; 3]) -> bool {
    (x.hypot(z) - 0.75).powi(2) + y * y < 0.04
}

/// Flat pictures of a solid that is red where x is positive and blue elsewhere.
fn views(inside: Inside, width: usize, height: usize) -> Vec<Image> {
    let half = width.min(height) as f32 / 2.0;
    let picture = |view| {
        let camera = Camera::new(view, VIEWS);
        let pixel = |index: usize| {
            let (x, y) = ((index % width) as f32 + 0.5, (index / width) as f32 + 0.5);
            let (start, direction) = camera.ray((x - width as f32 / 2.0) / half, (y - height as f32 / 2.0) / half);
            let ray = (0..200).map(|step| add(start, scaled(direction, 0.025 * step as f32)));
            match ray.into_iter().find(|&point| inside(point)) {
                Some(point) if point[0] > 0.0 => [220, 30, 30],
                Some(_) => [30, 30, 220],
                None => [255; 3],
            }
        };
        Image { width, height, rgb: (0..width * height).flat_map(pixel).collect() }
    };
    (0..VIEWS).map(picture).collect()
}

fn overlap(a: &[bool], b: &[bool]) -> f32 {
    let count = |of: fn(bool, bool) -> bool| a.iter().zip(b).filter(|&(&a, &b)| of(a, b)).count() as f32;
    count(|a, b| a && b) / count(|a, b| a || b)
}

#[test]
fn meshes_look_like_their_views() {
    for (inside, width, height) in [(ball as Inside, SIZE, SIZE), (slab, 96, 64), (ring, SIZE, SIZE), (slab, 48, 80)] {
        let views = views(inside, width, height);
        let mesh = mesh(&views).unwrap();
        for (view, image) in views.iter().enumerate() {
            let truth: Vec<bool> = image.rgb.chunks(3).map(|pixel| pixel != [255; 3]).collect();
            let seen = mesh.outline(&Camera::new(view, VIEWS), width, height);
            let overlap = overlap(&seen, &truth);
            assert!(overlap >= 0.9, "view {view} of {width}×{height} overlaps by {overlap}");
        }
    }
}

#[test]
fn meshes_are_closed_and_turned_outwards() {
    for inside in [ball as Inside, slab, ring] {
        let mesh = mesh(&views(inside, SIZE, SIZE)).unwrap();
        let mut edges: HashMap<(u32, u32), usize> = HashMap::new();
        for &[a, b, c] in &mesh.triangles {
            for (from, to) in [(a, b), (b, c), (c, a)] {
                *edges.entry((from, to)).or_default() += 1;
            }
        }
        let paired = edges.iter().all(|(&(from, to), &count)| count == 1 && edges.get(&(to, from)) == Some(&1));
        assert!(paired, "every edge is used by two triangles, once each way");
        let corner = |index: u32| mesh.positions[index as usize];
        let volume = mesh.triangles.iter().map(|&[a, b, c]| dot(corner(a), cross(corner(b), corner(c))) / 6.0);
        assert!(volume.sum::<f32>() > 0.2, "counter-clockwise is outside");
    }
}

#[test]
fn colours_are_those_of_the_views() {
    let mesh = mesh(&views(ball, SIZE, SIZE)).unwrap();
    for (position, colour) in mesh.positions.iter().zip(&mesh.colours).filter(|(position, _)| position[0].abs() > 0.2) {
        let (red, blue) = (colour[0], colour[2]);
        assert!(if position[0] > 0.0 { red > blue } else { blue > red }, "{position:?} is {colour:?}");
    }
}

/// The numbers of an accessor, as the specification says to find them. Another program's loader reads the files too, in
/// the browser's tests.
fn accessor<const N: usize, T>(
    json: &serde_json::Value,
    binary: &[u8],
    place: usize,
    read: fn([u8; 4]) -> T,
) -> Vec<[T; N]> {
    let accessor = &json["accessors"][place];
    let view = &json["bufferViews"][accessor["bufferView"].as_u64().unwrap() as usize];
    let number = |value: &serde_json::Value| value.as_u64().unwrap() as usize;
    let (start, count) = (number(&view["byteOffset"]), number(&accessor["count"]));
    let bytes = &binary[start..][..number(&view["byteLength"])];
    assert_eq!(start % 4, 0);
    assert_eq!(bytes.len(), count * if accessor["type"] == "VEC3" { 12 } else { 4 });
    let mut numbers = bytes.chunks_exact(4).map(|word| read(word.try_into().unwrap()));
    (0..bytes.len() / 4 / N).map(|_| std::array::from_fn(|_| numbers.next().unwrap())).collect()
}

#[test]
fn the_file_holds_the_mesh() {
    let views = views(slab, SIZE, SIZE);
    let (mesh, bytes) = (mesh(&views).unwrap(), glb(&views).unwrap());
    let word = |at: usize| u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
    assert_eq!((&bytes[..4], word(4), word(8)), (&b"glTF"[..], 2, bytes.len()));
    let (text, binary) = bytes[20..].split_at(word(12));
    assert_eq!((&bytes[16..20], &binary[4..8]), (&b"JSON"[..], &b"BIN\0"[..]));
    let json: serde_json::Value = serde_json::from_slice(text).unwrap();
    let (binary, attributes) = (&binary[8..], &json["meshes"][0]["primitives"][0]["attributes"]);
    let vectors =
        |name: &str| accessor::<3, _>(&json, binary, attributes[name].as_u64().unwrap() as usize, f32::from_le_bytes);
    assert_eq!(vectors("POSITION"), mesh.positions);
    assert!(mesh.positions.iter().flatten().all(|axis| axis.is_finite()));
    assert!(vectors("NORMAL").iter().all(|&normal| (dot(normal, normal) - 1.0).abs() < 1e-3));
    assert!(vectors("COLOR_0").iter().flatten().all(|level| (0.0..=1.0).contains(level)));
    assert_eq!(accessor::<3, _>(&json, binary, 3, u32::from_le_bytes), mesh.triangles);
    let bound = |name: &str, axis: usize| json["accessors"][0][name][axis].as_f64().unwrap() as f32;
    let is_inside = |axis: usize, p: &[f32; 3]| (bound("min", axis)..=bound("max", axis)).contains(&p[axis]);
    assert!(mesh.positions.iter().all(|p| (0..3).all(|axis| is_inside(axis, p))));
}

#[test]
fn too_few_views_and_empty_ones_are_told() {
    let mut views = views(ball, SIZE, SIZE);
    assert_eq!(mesh(&views[..2]).unwrap_err().kind(), ErrorKind::BadRequest);
    views[3].rgb.fill(250);
    let error = mesh(&views).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::BadModel);
    assert!(error.to_string().starts_with("view 3: expected one object"), "{error}");
    views[3].rgb.pop();
    assert_eq!(mesh(&views).unwrap_err().kind(), ErrorKind::BadRequest);
}
