//! Arguments → what to make and where to put it, checked as far as that goes without the model.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use flagdit::error::{Error, ErrorKind, Result};
use flagdit::output::mesh::FEWEST_VIEWS;
use flagdit::output::{self, Format, Recorded, files};
use flagdit::request::{Kind, MAX_SEED, Request};
use flagdit::sampler::SolverKind;

use crate::args::GenerateArgs;

/// The most pictures that one call makes of one prompt.
const MAX_COUNT: usize = 10_000;
/// The longest list of prompts.
const MAX_PROMPTS_BYTES: u64 = 16 << 20;

/// One output to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub request: Request,
    pub path: PathBuf,
    pub format: Format,
}

/// Everything that one call makes.
#[derive(Debug)]
pub struct Plan {
    pub jobs: Vec<Job>,
    /// The picture whose request is repeated, and what it says.
    pub from: Option<(PathBuf, Recorded)>,
}

/// # Errors
/// `bad-request` for what cannot be made, `file` for files that cannot be read or written.
pub fn plan(args: &GenerateArgs) -> Result<Plan> {
    let recorded = args.from.as_deref().map(output::read_request).transpose()?;
    let recorded_request = recorded.as_ref().map(|recorded| &recorded.request);
    let request = request(args, kind(args, recorded_request)?, recorded_request);
    if args.count == 0 || args.count > MAX_COUNT {
        return Err(Error::bad_request("--count").expected(format!("1 to {MAX_COUNT}")).found(args.count.to_string()));
    }
    let mut jobs = Vec::new();
    for (prompt, path) in prompts(args, request.kind, &request.prompt)? {
        let format = files::format_for(request.kind, &path)?;
        check_mesh(&request, format)?;
        for number in 0..args.count {
            let seed = request.seed.saturating_add(number as u64);
            let request = Request { prompt: prompt.clone(), seed, ..request.clone() };
            check(&request)?;
            let path = if args.count == 1 { path.clone() } else { numbered(&path, number) };
            jobs.push(Job { request, path, format });
        }
    }
    check_writable(args, &jobs)?;
    Ok(Plan { jobs, from: args.from.clone().zip(recorded) })
}

/// A mesh needs a few views; told before they are made.
fn check_mesh(request: &Request, format: Format) -> Result<()> {
    match request.views {
        Some(views) if format == Format::Glb && (1..FEWEST_VIEWS).contains(&views) => Err(Error::bad_request("views")
            .expected(format!("{FEWEST_VIEWS} or more for a mesh"))
            .found(views.to_string())),
        _ => Ok(()),
    }
}

/// The kind that is named, or that options or the file's ending call for, or that is repeated.
fn kind(args: &GenerateArgs, recorded: Option<&Request>) -> Result<Kind> {
    if let Some(kind) = args.kind.as_deref().and_then(Kind::parse) {
        return Ok(kind);
    }
    let is_video = args.frames.is_some() || args.fps.is_some() || args.is_loop || !args.transition.is_empty();
    let of_options =
        [(is_video, Kind::Video), (args.views.is_some(), Kind::Views), (args.seconds.is_some(), Kind::Audio)];
    if let Some((_, kind)) = of_options.into_iter().find(|(is_named, _)| *is_named) {
        return Ok(kind);
    }
    if let Some(recorded) = recorded {
        return Ok(recorded.kind);
    }
    let Some(path) = &args.output else { return Ok(Kind::Image) };
    Format::from_path(path)?.kind().ok_or_else(|| {
        Error::bad_request(path.display().to_string())
            .expected("a name with an ending, or --kind video or views beside a folder")
            .found("a folder")
    })
}

/// What is asked for, apart from the prompts of a list: the recorded request, overridden by the options.
fn request(args: &GenerateArgs, kind: Kind, recorded: Option<&Request>) -> Request {
    let base = recorded.filter(|recorded| recorded.kind == kind).cloned();
    let base = base.unwrap_or_else(|| Request {
        class: recorded.and_then(|recorded| recorded.class),
        ..Request::new(kind, recorded.map_or("", |recorded| &recorded.prompt))
    });
    // Words take the place of a recorded class, and a class that of recorded words.
    let has_words = args.prompt.is_some() || args.prompts.is_some();
    let base = match args.class {
        Some(_) => Request { prompt: String::new(), negative_prompt: String::new(), transitions: Vec::new(), ..base },
        None => base,
    };
    Request {
        kind,
        prompt: args.prompt.clone().unwrap_or(base.prompt),
        class: args.class.or(base.class.filter(|_| !has_words)),
        negative_prompt: args.negative.clone().unwrap_or(base.negative_prompt),
        width: args.size.map(|size| size.width).or(base.width),
        height: args.size.map(|size| size.height).or(base.height),
        steps: args.steps.or(base.steps),
        guidance: args.guidance.or(base.guidance),
        solver: args.solver.clone().or(base.solver),
        time_shift: args.time_shift.or(base.time_shift),
        seed: args.seed.or(recorded.map(|recorded| recorded.seed)).unwrap_or_else(random_seed),
        preview_every: args.preview_every,
        frames: args.frames.or(base.frames),
        fps: args.fps.or(base.fps),
        is_loop: args.is_loop || base.is_loop,
        transitions: if args.transition.is_empty() { base.transitions } else { args.transition.clone() },
        views: args.views.or(base.views),
        seconds: args.seconds.or(base.seconds),
    }
}

/// Short enough to be typed again.
fn random_seed() -> u64 {
    u64::from(RandomState::new().hash_one(std::process::id()) as u32)
}

fn check(request: &Request) -> Result<()> {
    if request.seed > MAX_SEED {
        let found = format!("{} (with --count, the last one counts)", request.seed);
        return Err(Error::bad_request("seed").expected(format!("0 to {MAX_SEED}")).found(found));
    }
    request.check()?;
    request.solver.as_deref().map(str::parse::<SolverKind>).transpose().map(drop)
}

/// Every prompt with the file it is for.
fn prompts(args: &GenerateArgs, kind: Kind, prompt: &str) -> Result<Vec<(String, PathBuf)>> {
    if let (Some(list), Some(folder)) = (&args.prompts, &args.out_dir) {
        let text = read_list(list)?;
        let ending = files::formats(kind).first().map_or("", |format| format.ending());
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate();
        let prompts: Vec<_> =
            lines.map(|(index, line)| (line.to_owned(), folder.join(format!("{index:04}{ending}")))).collect();
        if prompts.is_empty() {
            let subject = list.display().to_string();
            return Err(Error::bad_request(subject).expected("one prompt a line").found("no prompt"));
        }
        return Ok(prompts);
    }
    let output =
        args.output.clone().ok_or_else(|| Error::bad_request("--output").expected("a file name").found("none"))?;
    Ok(vec![(prompt.to_owned(), output)])
}

fn read_list(path: &Path) -> Result<String> {
    let failure = |error: std::io::Error| Error::file(path.display(), &error);
    let bytes = std::fs::metadata(path).map_err(failure)?.len();
    if bytes > MAX_PROMPTS_BYTES {
        return Err(Error::new(ErrorKind::File, path.display().to_string())
            .expected(format!("at most {MAX_PROMPTS_BYTES} bytes of prompts"))
            .found(bytes.to_string()));
    }
    std::fs::read_to_string(path).map_err(failure)
}

/// `star.png` → `star-0.png`.
fn numbered(path: &Path, number: usize) -> PathBuf {
    let mut name = path.file_stem().unwrap_or_default().to_owned();
    name.push(format!("-{number}"));
    if let Some(ending) = path.extension() {
        name.push(".");
        name.push(ending);
    }
    path.with_file_name(name)
}

/// Finds out before any work whether the results can be written. The folder of a list may not exist yet.
fn check_writable(args: &GenerateArgs, jobs: &[Job]) -> Result<()> {
    match &args.out_dir {
        Some(folder) if !folder.exists() => {
            let parent = folder.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
            output::check_writable(&parent.join("0000.png")).map_err(|error| {
                Error::new(error.kind(), folder.display().to_string())
                    .expected("a folder that can be made")
                    .found(error.to_string())
            })
        }
        _ => jobs.iter().try_for_each(|job| match job.format {
            Format::Folder => files::check_folder(&job.path),
            _ => output::check_writable(&job.path),
        }),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use flagdit::progress::{Image, Settings};

    use super::*;
    use crate::args::{Args, Command};

    fn planned(args: &[&str]) -> Result<Plan> {
        let args = ["flagdit", "generate"].iter().chain(args);
        match Args::try_parse_from(args).expect("arguments that clap accepts").command {
            Command::Generate(args) => plan(&args),
            _ => unreachable!("generate was typed"),
        }
    }

    fn refusal(args: &[&str]) -> String {
        planned(args).unwrap_err().to_string()
    }

    #[test]
    fn one_prompt_makes_numbered_files_with_seeds_in_a_row() {
        let folder = tempfile::tempdir().unwrap();
        let output = folder.path().join("star.png").display().to_string();
        let plan = planned(&["a star", "-o", &output, "--seed", "7", "--count", "3", "--size", "64x32"]).unwrap();
        let names: Vec<_> =
            plan.jobs.iter().map(|job| job.path.file_name().unwrap().to_string_lossy().into_owned()).collect();
        assert_eq!(names, ["star-0.png", "star-1.png", "star-2.png"]);
        assert_eq!(plan.jobs.iter().map(|job| job.request.seed).collect::<Vec<_>>(), [7, 8, 9]);
        assert_eq!(plan.jobs[0].request, Request { guidance: None, ..Request::image("a star", 64, 32).seed(7) });
    }

    #[test]
    fn a_class_is_repeated_and_takes_turns_with_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name).display().to_string();
        let request = |args: &[&str]| planned(args).unwrap().jobs.remove(0).request;
        let request_of = |more: &[&str]| {
            let (from, out) = (path("a.png"), path("b.png"));
            request(&[&["--from", &from, "-o", &out][..], more].concat())
        };
        let settings =
            Settings { class: Some(7), steps: 3, time_shift: 1.0, solver: "euler".into(), ..Settings::default() };
        let image = Image { width: 1, height: 1, rgb: vec![0; 3] };
        output::save(&image, Path::new(&path("a.png")), Some(&settings)).unwrap();
        let summary = |request: Request| (request.class, request.prompt);
        assert_eq!(summary(request(&["--class", "5", "-o", &path("b.png")])), (Some(5), String::new()));
        assert_eq!(summary(request_of(&[])), (Some(7), String::new()));
        assert_eq!(summary(request_of(&["--class", "8"])), (Some(8), String::new()));
        assert_eq!(summary(request_of(&["a star"])), (None, "a star".to_owned()));
        let settings = Settings { class: None, prompt: "a".into(), negative_prompt: "b".into(), ..settings };
        output::save(&image, Path::new(&path("a.png")), Some(&settings)).unwrap();
        assert_eq!(summary(request_of(&["--class", "8"])), (Some(8), String::new()));
    }

    #[test]
    fn a_list_makes_a_file_of_every_line() {
        let folder = tempfile::tempdir().unwrap();
        let (list, out) = (folder.path().join("list.txt"), folder.path().join("out"));
        std::fs::write(&list, "a star\n\n  a ring \n").unwrap();
        let (list, out_dir) = (list.display().to_string(), out.display().to_string());
        let plan = planned(&["--prompts", &list, "--out-dir", &out_dir]).unwrap();
        assert_eq!(plan.jobs.iter().map(|job| job.request.prompt.as_str()).collect::<Vec<_>>(), ["a star", "a ring"]);
        assert_eq!(plan.jobs[1].path, out.join("0001.png"));
        assert_eq!(plan.jobs[0].request.seed, plan.jobs[1].request.seed);
        assert!(!out.exists());
    }

    #[test]
    fn the_kind_is_the_named_one_or_that_of_options_or_of_the_ending() {
        let folder = tempfile::tempdir().unwrap();
        let of = |name: &str, more: &[&str]| {
            let output = folder.path().join(name).display().to_string();
            let plan = planned(&[&["a", "-o", &output][..], more].concat()).unwrap();
            (plan.jobs[0].request.kind, plan.jobs[0].format)
        };
        assert_eq!(of("a.png", &[]), (Kind::Image, Format::Png));
        assert_eq!(of("a.gif", &[]), (Kind::Video, Format::Gif));
        assert_eq!(of("a.png", &["--frames", "4"]), (Kind::Video, Format::Apng));
        assert_eq!(of("a.glb", &[]), (Kind::Views, Format::Glb));
        assert_eq!(of("a.gif", &["--views", "4"]), (Kind::Views, Format::Gif));
        assert_eq!(of("a.png", &["--kind", "views"]), (Kind::Views, Format::Png));
        assert_eq!(of("a.wav", &[]), (Kind::Audio, Format::Wav));
        assert_eq!(of("frames", &["--kind", "video"]), (Kind::Video, Format::Folder));
    }

    #[test]
    fn what_cannot_be_made_is_refused_before_the_model_loads() {
        let seed = MAX_SEED.to_string();
        for (args, part) in [
            (&["", "-o", "a.png"][..], "prompt: expected a text"),
            (&["a", "-o", "a.png", "--steps", "0"], "steps: expected 1 to 1000, found 0"),
            (&["a", "-o", "a.png", "--guidance", "nan"], "guidance: expected 0 to 100"),
            (
                &["a", "-o", "a.png", "--time-shift", "-1"],
                "time shift: expected 0.001 to 1000, 1 meaning none, found -1",
            ),
            (&["a", "-o", "a.png", "--solver", "rk5"], "solver: expected one of euler"),
            (&["a", "-o", "a.png", "--count", "0"], "--count: expected 1 to 10000"),
            (&["a", "-o", "a.png", "--count", "2", "--seed", &seed], "seed: expected 0 to 9007199254740991"),
            (&["a", "-o", "a.wav", "--kind", "image"], "a.wav: expected .png, .webp, .jpg for an image, found .wav"),
            (&["a", "-o", "a.gif", "--seconds", "1"], "a.gif: expected .wav, .png for a sound, found .gif"),
            (&["a", "-o", "a.mp4"], "found .mp4"),
            (&["a", "-o", "a"], "expected a name with an ending"),
            (&["a", "-o", "a.gif", "--views", "8", "--frames", "8"], "views: a request of kind video"),
            (&["a", "-o", "a.gif", "--fps", "0"], "fps: expected above 0"),
            (&["a", "-o", "a.gif", "--transition", "2-6:b", "--transition", "4-8:c"], "do not overlap"),
            (&["--class", "1", "-o", "a.png", "--negative", "b"], "negative prompt: a request of class 1"),
            (
                &["a", "-o", "nowhere/a.png"],
                "nowhere/a.png: No such file or directory (os error 2); its folder does not exist",
            ),
            (&["--from", "nowhere.png", "-o", "a.png"], "nowhere.png: No such file"),
            (&["--prompts", "nowhere.txt", "--out-dir", "nowhere"], "nowhere.txt: No such file"),
        ] {
            let error = refusal(args);
            assert!(error.contains(part), "{args:?}: {error}");
        }
    }
}
