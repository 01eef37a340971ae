//! Where a GPU's time goes: every launch, with how long the device says that it took.

use serde::Serialize;

use crate::{device::Device, error::Result};

/// The launches of one kernel.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct KernelTime {
    /// A file of `shaders/`, or the type by which Burn's generators call it.
    pub name: String,
    /// How often it ran.
    pub launches: usize,
    /// Milliseconds of all launches together.
    pub ms: f64,
    /// Of the time of all kernels.
    pub share: f64,
}

/// Runs `work`, and tells how long each kernel took that `device` ran for it, the longest first; none on the CPU. Kernels of
/// other work in this process count too. They run one after another, which takes longer than when nobody watches.
///
/// # Errors
///
/// Those of `work`.
pub async fn timed<T>(device: &Device, work: impl Future<Output = Result<T>>) -> Result<Vec<KernelTime>> {
    #[cfg(feature = "gpu")]
    if super::is_gpu(device.burn()) {
        return gpu::timed(work).await;
    }
    let _ = device; // There is no GPU in this build, or none that is meant.
    work.await.map(|_| Vec::new())
}

#[cfg(feature = "gpu")]
mod gpu {
    use std::{
        collections::BTreeMap,
        sync::{Arc, Mutex, PoisonError},
    };

    use cubecl::logging::{Duration, LaunchObservation, LaunchObserver, ProfileDuration, TimingMethod, TimingRequest};

    use super::{super::shader, KernelTime};
    use crate::error::Result;

    pub async fn timed<T>(work: impl Future<Output = Result<T>>) -> Result<Vec<KernelTime>> {
        let launches = Arc::new(Launches::default());
        let observation = LaunchObservation::new(launches.clone());
        let outcome = work.await;
        drop(observation);
        outcome?;
        let measured = std::mem::take(&mut *launches.0.lock().unwrap_or_else(PoisonError::into_inner));
        let mut sums = BTreeMap::<String, (usize, f64)>::new();
        for (name, measurement) in measured {
            let (launches, seconds) = sums.entry(name).or_default();
            *launches += 1;
            *seconds += match measurement {
                Measurement::Told(duration) => duration.as_secs_f64(),
                Measurement::Unread(profile) => {
                    profile.resolve().await.map_or(0.0, |ticks| ticks.duration().as_secs_f64())
                }
            };
        }
        Ok(shares(sums))
    }

    fn shares(sums: BTreeMap<String, (usize, f64)>) -> Vec<KernelTime> {
        let all: f64 = sums.values().map(|(_, seconds)| seconds).sum();
        let share = |seconds: f64| if all > 0.0 { seconds / all } else { 0.0 };
        let kernel = |(name, (launches, seconds)): (String, (usize, f64))| KernelTime {
            name,
            launches,
            ms: seconds * 1e3,
            share: share(seconds),
        };
        let mut kernels: Vec<KernelTime> = sums.into_iter().map(kernel).collect();
        kernels.sort_by(|one, other| other.ms.total_cmp(&one.ms));
        kernels
    }

    enum Measurement {
        /// Read when the work is over: reading waits for the device.
        Unread(ProfileDuration),
        Told(Duration),
    }

    /// Every launch in its order.
    #[derive(Default)]
    struct Launches(Mutex<Vec<(String, Measurement)>>);

    impl Launches {
        fn push(&self, kernel: &str, measurement: Measurement) {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).push((name(kernel), measurement));
        }
    }

    impl LaunchObserver for Launches {
        fn launched(&self, _: &'static str) {}

        fn timing(&self) -> TimingRequest {
            TimingRequest::Deferred
        }

        fn profiled(&self, kernel: &'static str, profile: ProfileDuration) {
            self.push(kernel, Measurement::Unread(profile));
        }

        fn timed(&self, kernel: &'static str, duration: Duration, _: TimingMethod) {
            self.push(kernel, Measurement::Told(duration));
        }
    }

    /// Ours are of one type; others are named by theirs, without path and parameters.
    fn name(kernel: &str) -> String {
        let path = kernel.split('<').next().unwrap_or(kernel);
        shader::launching().unwrap_or_else(|| path.rsplit("::").next().unwrap_or(path)).to_owned()
    }
}
