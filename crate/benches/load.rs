//! How quickly a model folder is loaded: `cargo bench --bench load -- DIR [cpu|gpu] [COMPONENT]`. Bytes of files a second of processor
//! time and of wall time, network by network, each freed before the next; the first line only reads and hashes, which is the
//! least that loading can cost.

use std::rc::Rc;
use std::time::Instant;

use flagdit::{
    Device, parts,
    weights::{self, Reader},
};
use pollster::block_on;

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).filter(|argument| !argument.starts_with("--")).collect();
    let Some(folder) = arguments.first() else {
        println!("cargo bench --bench load -- DIR [cpu|gpu] [COMPONENT]");
        return;
    };
    let device = block_on(Device::parse(arguments.get(1).map_or("cpu", String::as_str))).expect("a device");
    let open = || block_on(Reader::open(Rc::new(weights::folder(folder)))).expect("a model folder");
    let bytes: u64 = open().manifest().files.iter().map(|file| file.bytes).sum();
    measure("read and hashed", || {
        block_on(open().verify(&mut |_, _| ())).expect("right hashes");
        bytes
    });
    let names: Vec<String> = open().manifest().components.named().map(|(name, _)| name).collect();
    let is_wanted = |name: &String| arguments.get(2).is_none_or(|wanted| wanted == name);
    for name in names.into_iter().filter(is_wanted) {
        measure(&name, || {
            let (reader, mut moved) = (open(), 0);
            load(&name, &reader, &device, &mut |bytes| moved += bytes);
            moved
        });
    }
}

/// Loads a network and frees it.
fn load(name: &str, reader: &Reader, device: &Device, moved: &mut dyn FnMut(u64)) {
    match name {
        parts::TEXT => drop(block_on(parts::text(reader, device, moved)).expect("a text encoder")),
        parts::DENOISER => drop(block_on(parts::denoiser(reader, device, moved)).expect("a denoiser")),
        parts::IMAGE_DECODER => drop(block_on(parts::autoencoder(reader, device, moved)).expect("an autoencoder")),
        _ => {}
    }
    device.burn().sync().expect("a device that is there");
}

fn measure(what: &str, work: impl FnOnce() -> u64) {
    let (start, before) = (Instant::now(), processor_secs());
    let bytes = work() as f64;
    let (wall, used) = (start.elapsed().as_secs_f64(), processor_secs() - before);
    println!("{what}: {:.0} MB in {wall:.2} s, {:.0} MB/s; {used:.2} s of processors", bytes / 1e6, bytes / 1e6 / wall);
}

/// What all threads have used, where the system tells.
fn processor_secs() -> f64 {
    const TICKS: f64 = 100.0;
    let text = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    // Behind the name, which ends with a bracket, stands the third field.
    let fields = text.rsplit(')').next().unwrap_or_default().split_whitespace();
    fields.skip(11).take(2).filter_map(|ticks| ticks.parse::<f64>().ok()).sum::<f64>() / TICKS
}
