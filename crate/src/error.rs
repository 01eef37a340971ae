//! The one error type of the library: what went wrong, what was expected, what was found, what to do.
//!
//! The faces (CLI, wasm) print [`Error`] as one sentence; programs look at [`Error::kind`], whose
//! [`code`](ErrorKind::code) is stable.

use std::fmt;

/// The library's result.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What sort of thing went wrong. The codes and exit codes are part of the public interface.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// The request cannot be met as it was written (prompt, size, steps, ending, …).
    BadRequest,
    /// A model folder, manifest or tensor is not what it should be.
    BadModel,
    /// Bytes do not match the hash that the manifest states.
    Integrity,
    /// A file cannot be read or written.
    File,
    /// A server does not answer, or not with what was asked for.
    Network,
    /// The browser's storage is full.
    Quota,
    /// The machine or adapter lacks what is needed.
    Unsupported,
    /// No usable GPU was found where one was asked for.
    WebgpuUnavailable,
    /// The GPU stopped answering.
    DeviceLost,
    /// The work does not fit into the memory of the device.
    OutOfMemory,
    /// The caller asked to stop.
    Aborted,
    /// A model does not compute what a reference holds.
    CheckFailed,
}

impl ErrorKind {
    const ALL: [Self; 12] = [
        Self::BadRequest,
        Self::BadModel,
        Self::Integrity,
        Self::File,
        Self::Network,
        Self::Quota,
        Self::Unsupported,
        Self::WebgpuUnavailable,
        Self::DeviceLost,
        Self::OutOfMemory,
        Self::Aborted,
        Self::CheckFailed,
    ];

    /// The kind with this code.
    pub fn from_code(code: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.code() == code)
    }

    /// The stable code, as the JavaScript API and `--json` state it.
    pub fn code(self) -> &'static str {
        match self {
            Self::BadRequest => "bad-request",
            Self::BadModel => "bad-model",
            Self::Integrity => "integrity",
            Self::File => "file",
            Self::Network => "network",
            Self::Quota => "quota",
            Self::Unsupported => "unsupported",
            Self::WebgpuUnavailable => "webgpu-unavailable",
            Self::DeviceLost => "device-lost",
            Self::OutOfMemory => "out-of-memory",
            Self::Aborted => "aborted",
            Self::CheckFailed => "check-failed",
        }
    }

    /// The exit code of the command line program.
    pub fn exit_code(self) -> u8 {
        match self {
            Self::CheckFailed => 1,
            Self::BadRequest => 2,
            Self::BadModel | Self::Integrity | Self::File | Self::Network => 3,
            Self::Unsupported | Self::WebgpuUnavailable | Self::DeviceLost => 4,
            Self::OutOfMemory | Self::Quota => 5,
            Self::Aborted => 130,
        }
    }
}

/// One failure. Displayed as one sentence: `subject: expected …, found …; remedy`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error {
    kind: ErrorKind,
    subject: String,
    expected: Option<String>,
    found: Option<String>,
    remedy: Option<String>,
}

impl Error {
    /// A failure of `kind` that concerns `subject` (a file, a tensor, an option: whatever the reader must look at).
    pub fn new(kind: ErrorKind, subject: impl Into<String>) -> Self {
        Self { kind, subject: subject.into(), expected: None, found: None, remedy: None }
    }

    /// [`ErrorKind::BadRequest`] about `subject`.
    pub fn bad_request(subject: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadRequest, subject)
    }

    /// [`ErrorKind::BadModel`] about `subject`.
    pub fn bad_model(subject: impl Into<String>) -> Self {
        Self::new(ErrorKind::BadModel, subject)
    }

    /// [`ErrorKind::File`] about `path`, from the operating system's answer.
    pub fn file(path: impl fmt::Display, error: &std::io::Error) -> Self {
        Self::new(ErrorKind::File, path.to_string()).found(error.to_string())
    }

    /// [`ErrorKind::DeviceLost`] while `subject` was awaited. Of the lines in which the runtime reports it, the innermost
    /// cause is kept.
    pub fn device_lost(subject: impl Into<String>, report: impl fmt::Display) -> Self {
        let report = report.to_string();
        let lines = report.lines().map(str::trim).take_while(|line| !line.starts_with("Backtrace"));
        let cause = lines.filter(|line| !line.is_empty() && *line != "Caused by:").last();
        Self::new(ErrorKind::DeviceLost, subject)
            .expected("an answer of the device")
            .found(cause.unwrap_or("none").trim_end_matches('.'))
            .remedy("open the model again, or use the device cpu")
    }

    /// What was expected.
    pub fn expected(mut self, expected: impl Into<String>) -> Self {
        self.expected = Some(expected.into());
        self
    }

    /// What was found instead.
    pub fn found(mut self, found: impl Into<String>) -> Self {
        self.found = Some(found.into());
        self
    }

    /// What the reader can do about it.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// The sort of failure.
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.subject)?;
        match (&self.expected, &self.found) {
            (Some(expected), Some(found)) => write!(f, ": expected {expected}, found {found}")?,
            (Some(expected), None) => write!(f, ": expected {expected}")?,
            (None, Some(found)) => write!(f, ": {found}")?,
            (None, None) => {}
        }
        match &self.remedy {
            Some(remedy) => write!(f, "; {remedy}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Error {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_is_one_sentence() {
        let error = Error::bad_request("--steps").expected("1 to 1000").found("0").remedy("20 is a good start");
        assert_eq!(error.to_string(), "--steps: expected 1 to 1000, found 0; 20 is a good start");
        assert_eq!(error.kind().exit_code(), 2);
    }

    #[test]
    fn of_a_lost_device_the_cause_is_told() {
        let report = "The device is poisoned\nCaused by:\n  The device is poisoned\nCaused by:\n  Unknown: it is gone.\n\
                      Backtrace:\n  0: main";
        let error = Error::device_lost("the picture", report);
        assert_eq!(error.kind(), ErrorKind::DeviceLost);
        let sentence = "the picture: expected an answer of the device, found Unknown: it is gone; open the model again";
        assert!(error.to_string().starts_with(sentence), "{error}");
        assert!(Error::device_lost("x", "").to_string().contains("found none"));
    }

    #[test]
    fn a_code_leads_back_to_its_kind() {
        for kind in ErrorKind::ALL {
            assert_eq!(ErrorKind::from_code(kind.code()), Some(kind));
        }
        assert_eq!(ErrorKind::from_code("bad"), None);
    }
}
