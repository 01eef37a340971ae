//! Names of colours, found in Oklab, where distances are about as large as they look.

use std::sync::LazyLock;

/// What each name means to the judge, in sRGB.
const NAMED: [(&str, [f32; 3]); 12] = [
    ("red", [220.0, 38.0, 42.0]),
    ("orange", [250.0, 140.0, 25.0]),
    ("yellow", [252.0, 220.0, 45.0]),
    ("green", [40.0, 160.0, 70.0]),
    ("cyan", [45.0, 205.0, 220.0]),
    ("blue", [40.0, 80.0, 214.0]),
    ("purple", [130.0, 52.0, 178.0]),
    ("pink", [250.0, 135.0, 190.0]),
    ("white", [248.0, 248.0, 248.0]),
    ("black", [20.0, 20.0, 22.0]),
    ("brown", [120.0, 74.0, 40.0]),
    ("grey", [136.0, 138.0, 144.0]),
];

/// The name of the nearest colour.
pub fn nearest(rgb: [f32; 3]) -> &'static str {
    static IN_OKLAB: LazyLock<[(&str, [f32; 3]); 12]> = LazyLock::new(|| NAMED.map(|(name, rgb)| (name, oklab(rgb))));
    let lab = oklab(rgb);
    let distances = IN_OKLAB.map(|(name, named)| (distance(lab, named), name));
    distances.into_iter().min_by(|a, b| a.0.total_cmp(&b.0)).expect("there are twelve names").1
}

/// Oklab (Björn Ottosson, 2020) of an sRGB colour with channels from 0 to 255.
pub fn oklab(rgb: [f32; 3]) -> [f32; 3] {
    let [r, g, b] = rgb.map(|channel| {
        let c = channel / 255.0;
        if c <= 0.04045 { c / 12.92 } else { ((c + 0.055) / 1.055).powf(2.4) }
    });
    let l = (0.412_221_46 * r + 0.536_332_55 * g + 0.051_445_995 * b).cbrt();
    let m = (0.211_903_5 * r + 0.680_699_5 * g + 0.107_396_96 * b).cbrt();
    let s = (0.088_302_46 * r + 0.281_718_85 * g + 0.629_978_7 * b).cbrt();
    [
        0.210_454_26 * l + 0.793_617_8 * m - 0.004_072_047 * s,
        1.977_998_5 * l - 2.428_592_2 * m + 0.450_593_7 * s,
        0.025_904_037 * l + 0.782_771_77 * m - 0.808_675_77 * s,
    ]
}

/// Euclidean distance.
pub fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    (0..3).map(|i| (a[i] - b[i]).powi(2)).sum::<f32>().sqrt()
}
