//! The toybox: a procedural world, the trainer of the small model that ships, and its judge.
mod tokenizer;
mod train;
mod world;

// Training makes and drops large tensors thousands of times a second; the system allocator returns them to the
// kernel each time, which costs a fifth of the run.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> anyhow::Result<()> {
    let recipe = train::recipe::Recipe::read(std::path::Path::new("crate/toybox/recipes/small.json"))?;
    let folder = std::path::PathBuf::from(std::env::args().nth(1).expect("folder"));
    let minutes: f64 = std::env::args().nth(2).expect("minutes").parse()?;
    std::fs::create_dir_all(&folder)?;
    let device = burn::tensor::Device::flex().autodiff();
    match std::env::args().nth(3).as_deref() {
        Some("denoiser") => train::denoiser::train(&recipe, &folder, &device, minutes),
        _ => train::autoencoder::train(&recipe, &folder, &device, minutes),
    }
}
