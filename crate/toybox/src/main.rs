//! The toybox: a procedural world, the trainer of the small model that ships, and its judge.

mod export;
mod gallery;
mod judge;
mod tokenizer;
mod train;
mod world;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result};
use burn::tensor::Device;
use clap::{Parser, Subcommand, ValueEnum};

use flagdit::request::Kind;
use flagdit::weights::recipe::Quant;
use gallery::Gallery;
use train::{
    autoencoder, decoder, denoiser,
    progress::{Limit, interrupt},
    recipe::Recipe,
};

// Training makes and drops large tensors thousands of times a second; the system allocator returns them to the
// kernel each time.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Train, export and judge the small model that flagdit ships.
#[derive(Parser)]
#[command(name = "toybox", version)]
struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Train from a recipe; resumes a run that exists.
    Train {
        #[command(flatten)]
        of: Run,
        /// Begin with the weights of this model folder, if the run is new.
        #[arg(long)]
        init: Option<PathBuf>,
        /// Which part; all: the autoencoder to its end, then the denoiser; decoder: only how latents are painted.
        #[arg(long, value_enum, default_value_t = Part::All)]
        part: Part,
        /// Where to train: cpu, gpu or gpu:N.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// Stop each part after so many minutes, with a checkpoint. Ctrl-C does the same at once.
        #[arg(long, default_value_t = f64::INFINITY)]
        minutes: f64,
        /// Let the learning rate fall to its end with the minutes, however many pictures they suffice for.
        #[arg(long, requires = "minutes")]
        anneal: bool,
    },
    /// Draw what a run's autoencoder keeps of pictures, truth on the left.
    Reconstruct {
        #[command(flatten)]
        of: Run,
        /// Of pictures, or of the frames of videos or views.
        #[arg(long, default_value = "image", value_parser = kind)]
        kind: Kind,
        /// The picture to write.
        #[arg(long, short)]
        output: PathBuf,
    },
    /// Write a run as a model folder.
    Export {
        #[command(flatten)]
        of: Run,
        /// The model folder to make.
        #[arg(long, short)]
        output: PathBuf,
        /// How to store the weights of the blocks.
        #[arg(long, default_value_t = Quant::Q8)]
        quant: Quant,
    },
    /// Generate the judge's captions and count what came out right.
    Judge {
        /// The model folder.
        #[arg(long, default_value = "weights-quantized/toybox")]
        model: PathBuf,
        /// What to generate.
        #[arg(long, default_value = "image", value_parser = kind)]
        kind: Kind,
        /// The captions, with what they call for; the committed ones of the kind if absent.
        #[arg(long)]
        captions: Option<PathBuf>,
        /// Only the first so many.
        #[arg(long, default_value_t = usize::MAX, hide_default_value = true)]
        count: usize,
        /// Where to generate.
        #[arg(long, default_value = "cpu")]
        device: String,
        /// Also write the table as JSON.
        #[arg(long)]
        json: Option<PathBuf>,
    },
    /// Draw a sheet of samples.
    Sheet {
        /// The model folder.
        #[arg(long, default_value = "weights-quantized/toybox")]
        model: PathBuf,
        /// What to generate.
        #[arg(long, default_value = "image", value_parser = kind)]
        kind: Kind,
        /// The picture to write.
        #[arg(long, short)]
        output: PathBuf,
        /// Pixels along each side of a sample.
        #[arg(long, default_value_t = 64)]
        cell: usize,
    },
    /// Write the judge's list of captions anew (only where the world has changed).
    Captions {
        /// Of which kind.
        #[arg(long, default_value = "image", value_parser = kind)]
        kind: Kind,
        /// Where the lists are.
        #[arg(default_value = LISTS)]
        folder: PathBuf,
    },
}

#[derive(clap::Args)]
struct Run {
    /// What is trained and how.
    #[arg(long, default_value = "crate/toybox/recipes/small.json")]
    recipe: PathBuf,
    /// Where checkpoints and curves are.
    #[arg(long, default_value = "runs/small")]
    run: PathBuf,
}

/// The exit code of a program that Ctrl-C ended, as shells count.
const INTERRUPTED: i32 = 130;

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Part {
    All,
    Autoencoder,
    Denoiser,
    Decoder,
}

fn main() -> Result<()> {
    match Args::parse().command {
        Command::Train { of, init, part, device, minutes, anneal } => {
            ctrlc::set_handler(|| {
                // Who asks twice does not want to wait for the checkpoint.
                if !interrupt() {
                    std::process::exit(INTERRUPTED);
                }
            })?;
            let device = pollster::block_on(flagdit::Device::parse(&device))?;
            let limit = Limit { minutes, anneals: anneal };
            train_run(&of, init.as_deref(), part, &device.burn().clone().autodiff(), limit)
        }
        Command::Reconstruct { of, kind, output } => {
            let psnr = train::reconstruct::sheet(&Recipe::read(&of.recipe)?, &of.run, kind, &output)?;
            println!("{psnr:.1} dB");
            Ok(())
        }
        Command::Export { of, output, quant } => export::export(&Recipe::read(&of.recipe)?, &of.run, &output, quant),
        Command::Judge { model, kind, captions, count, device, json } => pollster::block_on(async {
            let gallery = Gallery::open(&model, &device).await?;
            let list = captions.unwrap_or_else(|| Path::new(LISTS).join(list_name(kind)));
            let report = gallery.judge(kind, &list, count).await?;
            println!("{}", report.text);
            if let Some(path) = json {
                let report = serde_json::json!({ "of": gallery.model(), "table": report.json });
                std::fs::write(&path, serde_json::to_string_pretty(&report)?)?;
            }
            Ok(())
        }),
        Command::Sheet { model, kind, output, cell } => {
            pollster::block_on(async { Gallery::open(&model, "cpu").await?.sheet(kind, &output, cell).await })
        }
        Command::Captions { kind, folder } => {
            let path = folder.join(list_name(kind));
            match kind {
                Kind::Image => judge::list::write(&path),
                Kind::Video => judge::video::list::write(&path),
                Kind::Views => judge::views::list::write(&path),
                Kind::Audio => judge::sound::list::write(&path),
            }
        }
    }
}

/// Where the judge's lists are.
const LISTS: &str = "crate/toybox/judge";

fn list_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Image => "captions.json",
        Kind::Video => "videos.json",
        Kind::Views => "views.json",
        Kind::Audio => "sounds.json",
    }
}

fn kind(name: &str) -> Result<Kind> {
    Kind::parse(name).with_context(|| format!("expected image, video or views, found {name}"))
}

fn train_run(of: &Run, init: Option<&Path>, part: Part, device: &Device, limit: Limit) -> Result<()> {
    let recipe = Recipe::read(&of.recipe)?;
    std::fs::create_dir_all(&of.run).with_context(|| format!("run {}", of.run.display()))?;
    if let Some(model) = init {
        train::init::from_model(model, &recipe, &of.run)?;
    }
    // The denoiser works in the autoencoder's latent space, so that one has to stand still before.
    let is_whole = match part {
        Part::Decoder => return decoder::train(&recipe, &of.run, device, limit),
        Part::Denoiser => true,
        Part::All | Part::Autoencoder => autoencoder::train(&recipe, &of.run, device, limit)?,
    };
    match part {
        Part::All | Part::Denoiser if is_whole => denoiser::train(&recipe, &of.run, device, limit),
        _ => Ok(()),
    }
}
