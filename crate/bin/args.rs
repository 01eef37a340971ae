//! What can be typed. Meaning is given to it elsewhere: `jobs.rs` makes requests of it.

use std::path::PathBuf;

use clap::{ArgGroup, Parser, Subcommand};
use clap_complete::Shell;
use flagdit::request::Transition;

/// Text to images, videos, 3D views and sound with a quantized Flag-DiT, on the GPU or the CPU
#[derive(Debug, Parser)]
#[command(name = "flagdit", version, max_term_width = 120)]
pub struct Args {
    #[command(subcommand)]
    pub command: Command,
    /// One line of JSON per event on stdout, errors included
    #[arg(long, global = true, display_order = 100)]
    pub json: bool,
    /// No progress and no summary; errors and warnings only
    #[arg(long, global = true, display_order = 100)]
    pub quiet: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Make a picture, a video, a 3D object or a sound of a text
    Generate(Box<GenerateArgs>),
    /// Make a model folder of a Lumina checkpoint
    Convert(ConvertArgs),
    /// Show what a model folder consists of, or the request that a picture carries
    Inspect(InspectArgs),
    /// Compare what a model computes with what a reference implementation computed
    Check(CheckArgs),
    /// Measure how long a step takes: of a picture, a video, views or a sound, or of the denoiser alone
    Bench(BenchArgs),
    /// List the devices, what each can do, and which one `auto` takes
    Devices,
    /// Print the completion script of a shell
    Completions { shell: Shell },
}

/// The files that are written carry their request: `--from FILE.png` makes the same picture again.
#[derive(Debug, clap::Args)]
#[command(group = ArgGroup::new("texts").args(["prompt", "prompts", "class", "from"]).multiple(true).required(true))]
pub struct GenerateArgs {
    /// What to make
    #[arg(conflicts_with = "prompts")]
    pub prompt: Option<String>,
    /// The file to write: .png .webp .jpg | .gif .apng | .glb | .wav | a folder for frames or views; .png is an APNG of a
    /// video, a contact sheet of views, the spectrogram of a sound
    #[arg(short, long, value_name = "FILE", required_unless_present = "out_dir", conflicts_with = "out_dir")]
    pub output: Option<PathBuf>,
    /// Which class to make, from 0 on, where the model knows classes instead of words (ImageNet: 0 to 999)
    #[arg(long, value_name = "N", allow_negative_numbers = true, conflicts_with_all = ["prompt", "prompts"])]
    pub class: Option<usize>,
    /// A file with one prompt a line
    #[arg(long, value_name = "FILE", requires = "out_dir")]
    pub prompts: Option<PathBuf>,
    /// Where the pictures of --prompts go, as 0000.png, 0001.png, …
    #[arg(long, value_name = "DIR", requires = "prompts")]
    pub out_dir: Option<PathBuf>,
    /// Repeat the request of this picture; other options override it
    #[arg(long, value_name = "FILE.png")]
    pub from: Option<PathBuf>,
    /// The model folder; weights-quantized/toybox beside the program or in the working tree if absent
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Pixels of a picture or of each frame, WIDTHxHEIGHT; what the model was trained for if absent
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<Size>,
    /// How many pictures of each prompt, with seeds N, N + 1, … (star.png → star-0.png, star-1.png, …)
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub count: usize,
    /// What the picture should not show
    #[arg(long, value_name = "TEXT")]
    pub negative: Option<String>,
    /// Solver intervals, 1 to 1000; evaluations are these × the solver's stages
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// Classifier-free guidance; 1 is none
    #[arg(long, value_name = "G", allow_negative_numbers = true)]
    pub guidance: Option<f64>,
    /// euler, midpoint, heun, rk4 or dopri5
    #[arg(long, value_name = "NAME")]
    pub solver: Option<String>,
    /// How far time is shifted towards the noisy end; 1 is not at all
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub time_shift: Option<f64>,
    /// 0 to 2^53 - 1; random if absent, and printed
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub seed: Option<u64>,
    /// auto (a real GPU if there is one, else the CPU), gpu, gpu:N or cpu
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: String,
    /// How many gigabytes (10^9 bytes) the device may take; what is free, or 4 of a GPU, if absent. Networks that do not
    /// fit together are loaded one after the other
    #[arg(long, value_name = "GB", value_parser = memory)]
    pub memory: Option<u64>,
    /// Write FILE.preview.png after every N steps; it is removed at the end
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub preview_every: usize,
    /// Do not write the request into the file
    #[arg(long)]
    pub no_metadata: bool,
    /// What to make; from the file's ending if absent
    #[arg(long, value_name = "KIND", value_parser = ["image", "video", "views", "audio"])]
    pub kind: Option<String>,
    /// Frames of a video
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub frames: Option<usize>,
    /// Frames of a video that are shown in a second
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub fps: Option<f64>,
    /// The end of the video leads back to its beginning
    #[arg(long = "loop")]
    pub is_loop: bool,
    /// From frame A to frame B the video changes to another prompt; may be given several times
    #[arg(long, value_name = "A-B:TEXT", value_parser = transition)]
    pub transition: Vec<Transition>,
    /// Views around an object
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub views: Option<usize>,
    /// Seconds of sound
    #[arg(long, value_name = "S", allow_negative_numbers = true)]
    pub seconds: Option<f64>,
}

#[derive(Debug, clap::Args)]
pub struct ConvertArgs {
    /// A folder as diffusers writes it, or an official checkpoint (a consolidated .safetensors or .pth, or its folder)
    pub source: PathBuf,
    /// The model folder to write
    #[arg(short, long, value_name = "DIR")]
    pub output: PathBuf,
    /// How the matrices of the blocks are stored: q4, q4a, q8, f16 or f32
    #[arg(long, value_name = "FORMAT", default_value = "q4")]
    pub quant: String,
    /// A JSON list of { "pattern", "format" }, in place of what --quant stands for
    #[arg(long, value_name = "FILE")]
    pub recipe: Option<PathBuf>,
    /// The denoiser's arguments as JSON; read off its tensors if absent
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// The text encoder and its tokenizer (Llama-2-7b or gemma-2b), which official checkpoints do not hold; none for a
    /// denoiser of labels
    #[arg(long, value_name = "DIR")]
    pub text_encoder: Option<PathBuf>,
    /// The autoencoder (sdxl-vae; of ImageNet also sd-vae-ft-mse or -ema), which official checkpoints do not hold
    #[arg(long, value_name = "DIR")]
    pub vae: Option<PathBuf>,
    /// Convert this part alone: text, denoiser or decoders.image
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
}

#[derive(Debug, clap::Args)]
pub struct InspectArgs {
    /// A model folder, its manifest.json, or a PNG file
    pub path: PathBuf,
    /// What a picture of this size would take: bytes to download, memory of each stage, and what the device cannot do. The
    /// manifest is all that is read
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub plan: Option<Size>,
    /// The device to plan for: auto, gpu, gpu:N or cpu
    #[arg(long, value_name = "D", default_value = "auto", requires = "plan")]
    pub device: String,
    /// How many gigabytes it has, if that is known better
    #[arg(long, value_name = "GB", value_parser = memory, requires = "plan")]
    pub memory: Option<u64>,
}

#[derive(Debug, clap::Args)]
pub struct CheckArgs {
    /// The model folder
    pub model: PathBuf,
    /// A folder with io.safetensors, which holds inputs and what came out of them, and config.json, which says how it was
    /// called
    pub reference: PathBuf,
    /// What belongs to this component alone: text, denoiser or decoders.image
    #[arg(long, value_name = "NAME")]
    pub component: Option<String>,
    /// auto, gpu, gpu:N or cpu
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: String,
    /// How large the relative error of a tensor may be, as ‖found - expected‖ / ‖expected‖; a quantized model needs more
    #[arg(long, value_name = "T", default_value_t = 1e-3)]
    pub tolerance: f64,
}

#[derive(Debug, clap::Args)]
pub struct BenchArgs {
    /// The model folder; weights-quantized/toybox beside the program or in the working tree if absent
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// What to make: an image if absent
    #[arg(long, value_name = "KIND", value_parser = ["image", "video", "views", "audio"])]
    pub kind: Option<String>,
    /// Pixels, WIDTHxHEIGHT; what the model was trained for if absent
    #[arg(long, value_name = "WxH", value_parser = size)]
    pub size: Option<Size>,
    /// Frames of a video
    #[arg(long, value_name = "N")]
    pub frames: Option<usize>,
    /// Views around an object
    #[arg(long, value_name = "N")]
    pub views: Option<usize>,
    /// Seconds of sound
    #[arg(long, value_name = "S")]
    pub seconds: Option<f64>,
    /// Solver intervals; the model's own number if absent
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    pub steps: Option<usize>,
    /// Single calls of the denoiser, from random numbers on the CPU to the velocity on the CPU: all that the model folder
    /// must hold is a denoiser. --size is that of the picture, as large as you like
    #[arg(long, conflicts_with_all = ["kind", "frames", "views", "seconds", "steps"])]
    pub denoiser: bool,
    /// Rows of the denoiser's batch; 2, with a prompt and without, if absent
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "denoiser")]
    pub batch: Option<usize>,
    /// Tokens of the caption; 16 if absent
    #[arg(long, value_name = "N", allow_negative_numbers = true, requires = "denoiser")]
    pub caption_tokens: Option<usize>,
    /// Run one step more and time each of the GPU's kernels in it
    #[arg(long)]
    pub kernels: bool,
    /// Compute with Burn's own operations instead of our kernels, with expanded matrices
    #[arg(long)]
    pub stock: bool,
    /// auto, gpu, gpu:N or cpu
    #[arg(long, value_name = "D", default_value = "auto")]
    pub device: String,
}

/// Pixels across and down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Size {
    pub width: usize,
    pub height: usize,
}

fn size(text: &str) -> Result<Size, String> {
    let sides = text.split_once('x').and_then(|(width, height)| Some((width.parse().ok()?, height.parse().ok()?)));
    let (width, height) = sides.ok_or("expected WIDTHxHEIGHT in pixels, as in 64x64")?;
    Ok(Size { width, height })
}

/// Gigabytes as bytes.
fn memory(text: &str) -> Result<u64, String> {
    let gigabytes = text.parse::<f64>().ok().filter(|gigabytes| (0.001..=1e6).contains(gigabytes));
    gigabytes.map(|gigabytes| (gigabytes * 1e9) as u64).ok_or_else(|| "expected gigabytes, as in 6 or 0.5".to_owned())
}

fn transition(text: &str) -> Result<Transition, String> {
    let parts = text.split_once(':').and_then(|(span, prompt)| {
        let (from, to) = span.split_once('-')?;
        Some(Transition { from: from.trim().parse().ok()?, to: to.trim().parse().ok()?, prompt: prompt.trim().into() })
    });
    parts.ok_or_else(|| "expected FIRST-LAST:TEXT in frames, as in 8-12:a blue star".to_owned())
}

/// The message of clap without usage and pointers to the help, in one line.
pub fn one_line(message: &str) -> String {
    let is_aside = |line: &&str| line.starts_with("Usage:") || line.starts_with("For more information");
    let lines = message.lines().map(str::trim).take_while(|line| !is_aside(line)).filter(|line| !line.is_empty());
    let text = lines.fold(String::new(), |text, line| match (text.is_empty(), line.starts_with("tip:")) {
        (true, _) => line.to_owned(),
        (false, true) => text + "; " + line,
        (false, false) => text + " " + line,
    });
    text.trim_start_matches("error: ").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(args: &str) -> String {
        one_line(&Args::try_parse_from(args.split(' ')).unwrap_err().render().to_string())
    }

    #[test]
    fn what_is_typed_is_understood() {
        let args = Args::try_parse_from(["flagdit", "generate", "a star", "-o", "a.png", "--size", "64x32", "--json"])
            .unwrap();
        assert!(args.json);
        let Command::Generate(args) = args.command else { panic!("another command") };
        assert_eq!(args.size, Some(Size { width: 64, height: 32 }));
        assert!(Args::try_parse_from(["flagdit", "generate", "--prompts", "p", "--out-dir", "d"]).is_ok());
        assert!(Args::try_parse_from(["flagdit", "generate", "--from", "a.png", "-o", "b.png"]).is_ok());
    }

    #[test]
    fn what_is_not_understood_is_refused_in_one_line() {
        assert_eq!(
            refusal("flagdit generate a -o a.png --size 64"),
            "invalid value '64' for '--size <WxH>': expected WIDTHxHEIGHT in pixels, as in 64x64"
        );
        assert_eq!(
            refusal("flagdit generate a -o a.png --stepz 4"),
            "unexpected argument '--stepz' found; tip: a similar argument exists: '--steps'"
        );
        assert!(
            refusal("flagdit generate -o a.png").starts_with("the following required arguments were not provided: ")
        );
        assert!(refusal("flagdit generate a --seed -1 -o a.png").starts_with("invalid value '-1' for '--seed <N>'"));
        for args in ["flagdit generate a", "flagdit generate a --prompts p -o x.png", "flagdit paint"] {
            assert!(!refusal(args).contains('\n'), "{args}");
        }
    }
}
