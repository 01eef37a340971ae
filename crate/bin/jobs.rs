//! Arguments → what to make and where to put it, checked as far as that goes without the model.

use std::hash::{BuildHasher as _, RandomState};
use std::path::{Path, PathBuf};

use flagdit::error::{Error, ErrorKind, Result};
use flagdit::output::{self, Format, Recorded};
use flagdit::request::{Kind, MAX_SEED, Request};
use flagdit::sampler::SolverKind;

use crate::args::GenerateArgs;

/// The most pictures that one call makes of one prompt.
const MAX_COUNT: usize = 10_000;
/// The longest list of prompts.
const MAX_PROMPTS_BYTES: u64 = 16 << 20;

/// One picture to make.
#[derive(Debug, Clone, PartialEq)]
pub struct Job {
    pub request: Request,
    pub path: PathBuf,
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
    refuse_other_kinds(args)?;
    let recorded = args.from.as_deref().map(output::read_request).transpose()?;
    let request = request(args, recorded.as_ref().map(|recorded| &recorded.request));
    if args.count == 0 || args.count > MAX_COUNT {
        return Err(Error::bad_request("--count").expected(format!("1 to {MAX_COUNT}")).found(args.count.to_string()));
    }
    let mut jobs = Vec::new();
    for (prompt, path) in prompts(args, &request.prompt)? {
        Format::from_path(&path)?;
        for number in 0..args.count {
            let seed = request.seed.saturating_add(number as u64);
            let request = Request { prompt: prompt.clone(), seed, ..request.clone() };
            check(&request)?;
            jobs.push(Job { request, path: if args.count == 1 { path.clone() } else { numbered(&path, number) } });
        }
    }
    check_writable(args, &jobs)?;
    Ok(Plan { jobs, from: args.from.clone().zip(recorded) })
}

fn refuse_other_kinds(args: &GenerateArgs) -> Result<()> {
    let GenerateArgs { frames, fps, views, seconds, class, kind, .. } = args;
    let options = [
        ("--frames", frames, "videos"),
        ("--fps", fps, "videos"),
        ("--views", views, "views"),
        ("--seconds", seconds, "sounds"),
        ("--class", class, "models with classes"),
    ];
    if let Some((option, _, what)) = options.into_iter().find(|(_, value, _)| value.is_some()) {
        return Err(
            Error::bad_request(option).found(format!("an option for {what}; this version makes images of texts only"))
        );
    }
    match kind.as_deref() {
        None | Some("image") => Ok(()),
        Some(kind) => {
            Err(Error::bad_request(kind).found("this version makes images only; leave out --kind, or name image"))
        }
    }
}

/// What is asked for, apart from the prompts of a list: the recorded request, overridden by the options.
fn request(args: &GenerateArgs, recorded: Option<&Request>) -> Request {
    let base = recorded.cloned().unwrap_or_else(|| Request { width: None, height: None, ..Request::image("", 0, 0) });
    Request {
        kind: Kind::Image,
        prompt: args.prompt.clone().unwrap_or(base.prompt),
        negative_prompt: args.negative.clone().unwrap_or(base.negative_prompt),
        width: args.size.map(|size| size.width).or(base.width),
        height: args.size.map(|size| size.height).or(base.height),
        steps: args.steps.or(base.steps),
        guidance: args.guidance.or(base.guidance),
        solver: args.solver.clone().or(base.solver),
        time_shift: args.time_shift.or(base.time_shift),
        seed: args.seed.or(recorded.map(|recorded| recorded.seed)).unwrap_or_else(random_seed),
        preview_every: args.preview_every,
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
fn prompts(args: &GenerateArgs, prompt: &str) -> Result<Vec<(String, PathBuf)>> {
    if let (Some(list), Some(folder)) = (&args.prompts, &args.out_dir) {
        let text = read_list(list)?;
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty()).enumerate();
        let prompts: Vec<_> =
            lines.map(|(index, line)| (line.to_owned(), folder.join(format!("{index:04}.png")))).collect();
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
    name.push(format!("-{number}."));
    name.push(path.extension().unwrap_or_default());
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
        _ => jobs.iter().try_for_each(|job| output::check_writable(&job.path)),
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

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
            (&["a", "-o", "a.png", "--kind", "video"], "video: this version makes images only"),
            (&["a", "-o", "a.png", "--frames", "8"], "--frames: an option for videos"),
            (&["a", "-o", "a.wav"], "a file for audio"),
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
