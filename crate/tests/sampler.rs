//! The sampler against torchdiffeq (fixtures/sampler: its README says how they were made), and when things go wrong.

use std::path::PathBuf;

use burn::tensor::{DType, Device, Tensor, TensorData};
use flagdit::error::{Error, ErrorKind, Result};
use flagdit::sampler::{Solver, SolverKind, Tolerance, ensure_finite, schedule::time_grid};
use pollster::block_on;
use safetensors::SafeTensors;
use serde_json::Value;

/// Upstream's grids are float32 values.
const GRID_TOLERANCE: f64 = 1e-6;
/// Both sides compute in f64 and differ in the order of a few sums.
const FIXED_STEP_TOLERANCE: f64 = 1e-10;
/// As above, after which the step controller amplifies rounding in the smallest error estimates.
const ADAPTIVE_TOLERANCE: f64 = 1e-9;
/// Step sizes follow from error estimates that are differences of nearly equal numbers, of which rounding is a larger
/// part: 1.3e-8 was measured, in the run whose tolerance is 1e-9.
const STEP_END_TOLERANCE: f64 = 1e-6;

fn fixture(name: &str) -> Vec<u8> {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("crate/tests/fixtures/sampler").join(name);
    std::fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn json(name: &str) -> Value {
    serde_json::from_slice(&fixture(name)).expect("the fixture is JSON")
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().expect("a list").iter().map(|number| number.as_f64().expect("a number")).collect()
}

fn tensor(values: &[f64], dtype: DType) -> Tensor<1> {
    Tensor::from_data(TensorData::new(values.to_vec(), [values.len()]), (&Device::flex(), dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

fn largest_difference(found: &[f64], expected: &[f64]) -> f64 {
    assert_eq!(found.len(), expected.len());
    found.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

/// The two analytic fields of config.json, in plain f64 loops.
enum Field {
    Linear { a: Vec<Vec<f64>>, b: Vec<f64>, c: Vec<f64> },
    Nonlinear { k1: f64, w: f64, k2: f64 },
}

impl Field {
    fn read(config: &Value, name: &str) -> Self {
        let field = &config["fields"][name];
        let number = |key: &str| field[key].as_f64().expect("a number");
        match name {
            "linear" => Self::Linear {
                a: field["A"].as_array().expect("a matrix").iter().map(numbers).collect(),
                b: numbers(&field["b"]),
                c: numbers(&field["c"]),
            },
            _ => Self::Nonlinear { k1: number("k1"), w: number("w"), k2: number("k2") },
        }
    }

    fn velocity(&self, x: &[f64], t: f64) -> Vec<f64> {
        let at = |i: usize| match self {
            Self::Linear { a, b, c } => a[i].iter().zip(x).map(|(a, x)| a * x).sum::<f64>() + b[i] * t + c[i],
            Self::Nonlinear { k1, w, k2 } => {
                k1 * (w * t).cos() * x[(i + 1) % x.len()].tanh() - k2 * x[i] * t + t.powi(2)
            }
        };
        (0..x.len()).map(at).collect()
    }
}

/// All points of the trajectory, and the times at which the velocity was asked for.
fn integrate(
    field: &Field,
    x0: &[f64],
    kind: SolverKind,
    grid: Vec<f64>,
    tolerance: Tolerance,
) -> (Vec<f64>, Vec<f64>) {
    let mut times = Vec::new();
    let mut velocity = async |x: Tensor<1>, t: f64| {
        times.push(t);
        Ok(tensor(&field.velocity(&values(x), t), DType::F64))
    };
    let mut solver = Solver::new(kind, grid, tolerance, tensor(x0, DType::F64)).expect("a valid solver");
    let mut trajectory = x0.to_vec();
    while solver.done() < solver.intervals() {
        trajectory.extend(values(block_on(solver.step(&mut velocity)).expect("the field is finite")));
    }
    (trajectory, times)
}

fn read_run(run: &Value) -> Option<(SolverKind, usize, f64, Tolerance)> {
    let kind = match run["method"].as_str()? {
        "heun2" => SolverKind::Heun,
        // Not offered.
        "heun3" | "dopri8" => return None,
        name => name.parse().expect("a solver"),
    };
    let default = Tolerance::default();
    let tolerance = Tolerance {
        absolute: run["atol"].as_f64().unwrap_or(default.absolute),
        relative: run["rtol"].as_f64().unwrap_or(default.relative),
    };
    Some((kind, run["N"].as_u64()? as usize - 1, run["shift"].as_f64()?, tolerance))
}

#[test]
fn time_grids_are_upstreams() {
    let grids = json("time_grids.json");
    let cases = grids["lumina_ode"].as_array().expect("a list");
    assert!(cases.len() > 3);
    for case in cases {
        let points = case["num_sampling_steps"].as_u64().expect("a count") as usize;
        let found = time_grid(points - 1, case["time_shifting_factor"].as_f64().expect("a factor"));
        let difference = largest_difference(&found, &numbers(&case["t"]));
        assert!(difference < GRID_TOLERANCE, "{points} points: {difference}");
    }
}

#[test]
fn trajectories_and_evaluation_counts_are_torchdiffeqs() {
    let (config, log, io) = (json("config.json"), json("solver_log.json"), fixture("io.safetensors"));
    let io = SafeTensors::deserialize(&io).expect("a safetensors file");
    let x0 = numbers(&config["x0"]);
    let mut compared = 0;
    for name in ["linear", "nonlinear"] {
        let field = Field::read(&config, name);
        for run in config["runs"].as_array().expect("a list") {
            let Some((kind, steps, shift, tolerance)) = read_run(run) else { continue };
            let case = format!("{name}/{}", run["name"].as_str().expect("a name"));
            let expected: Vec<f64> = io
                .tensor(&case)
                .expect("the run is stored")
                .data()
                .as_chunks::<8>()
                .0
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes))
                .collect();

            let (found, times) = integrate(&field, &x0, kind, time_grid(steps, shift), tolerance);
            let limit = if kind == SolverKind::Dopri5 { ADAPTIVE_TOLERANCE } else { FIXED_STEP_TOLERANCE };
            let difference = largest_difference(&found, &expected);
            println!("{case}: {difference:e}, {} evaluations", times.len());
            assert!(difference < limit, "{case}: {difference:e}");
            assert_eq!(Some(times.len() as u64), log[&case]["nfe"].as_u64(), "{case}: evaluations");
            if kind == SolverKind::Dopri5 {
                compare_steps(&case, &times, &log[&case]["steps"]);
            } else {
                assert_eq!(times.len(), steps * kind.stages(), "{case}");
            }
            compared += 1;
        }
    }
    assert_eq!(compared, 2 * 11);
}

/// Two evaluations choose the first step, then six make each step tried; the last is at the step's end.
fn compare_steps(case: &str, times: &[f64], steps: &Value) {
    let ends: Vec<f64> = times[2..].chunks(SolverKind::Dopri5.stages()).map(|step| step[5]).collect();
    let number = |step: &Value, key: &str| step[key].as_f64().expect("a number");
    let expected: Vec<f64> =
        steps.as_array().expect("a list").iter().map(|step| number(step, "t") + number(step, "dt")).collect();
    let difference = largest_difference(&ends, &expected);
    println!("{case}: step ends differ by {difference:e}");
    assert!(difference < STEP_END_TOLERANCE, "{case}: step ends differ by {difference:e}");
}

/// Halving the step divides the error by 2^order.
#[test]
fn fixed_steps_converge_at_their_order() {
    let (config, io) = (json("config.json"), fixture("io.safetensors"));
    let io = SafeTensors::deserialize(&io).expect("a safetensors file");
    let x0 = numbers(&config["x0"]);
    for name in ["linear", "nonlinear"] {
        let field = Field::read(&config, name);
        let exact = io.tensor(&format!("{name}/exact")).expect("the solution is stored").data();
        let exact: Vec<f64> = exact.as_chunks::<8>().0.iter().map(|&bytes| f64::from_le_bytes(bytes)).collect();
        let error = |kind, steps| {
            let (path, _) = integrate(&field, &x0, kind, time_grid(steps, 1.0), Tolerance::default());
            largest_difference(&path[steps * x0.len()..], &exact)
        };
        for (kind, order) in
            [(SolverKind::Euler, 1.0), (SolverKind::Midpoint, 2.0), (SolverKind::Heun, 2.0), (SolverKind::Rk4, 4.0)]
        {
            let (coarse, fine) = (error(kind, 16), error(kind, 32));
            let found = (coarse / fine).log2();
            println!("{name}, {kind}: {coarse:e}, {fine:e}");
            assert!((found - order).abs() < 0.25, "{name}, {kind}: order {found}");
        }
    }
}

/// dx/dt = −x from 1 in f32, in two dimensions as the pipeline's states have more than one.
#[test]
fn every_solver_works_in_f32() {
    for kind in SolverKind::ALL {
        let x = Tensor::<2>::ones([3, 2], &Device::flex());
        let mut solver = Solver::new(kind, time_grid(10, 4.0), Tolerance::default(), x).expect("a valid solver");
        let mut velocity = async |x: Tensor<2>, _: f64| Ok(-x);
        while solver.done() < solver.intervals() {
            block_on(solver.step(&mut velocity)).expect("the field is finite");
        }
        assert_eq!((solver.x().dtype(), solver.time()), (DType::F32, 1.0));
        // Euler's error over these ten uneven steps; the others are well below it.
        let limit = if kind == SolverKind::Euler { 0.1 } else { 6e-3 };
        for x in values(solver.x().clone()) {
            assert!((x - (-1f64).exp()).abs() < limit, "{kind}: {x}");
        }
    }
}

/// The velocity fails at its n-th call, whichever; the step is then asked for again.
#[test]
fn a_failed_velocity_stops_the_step_and_harms_nothing() {
    let config = json("config.json");
    let (field, x0) = (Field::read(&config, "nonlinear"), numbers(&config["x0"]));
    for kind in SolverKind::ALL {
        let (expected, times) = integrate(&field, &x0, kind, time_grid(3, 1.0), Tolerance::default());
        for failing_call in 1..=times.len() {
            let mut calls = 0;
            let mut velocity = async |x: Tensor<1>, t: f64| {
                calls += 1;
                if calls == failing_call {
                    return Err(Error::new(ErrorKind::Aborted, "stopped by the test"));
                }
                Ok(tensor(&field.velocity(&values(x), t), DType::F64))
            };
            let start = tensor(&x0, DType::F64);
            let mut solver = Solver::new(kind, time_grid(3, 1.0), Tolerance::default(), start).expect("a solver");
            let mut failures = Vec::new();
            while solver.done() < solver.intervals() {
                failures.extend(block_on(solver.step(&mut velocity)).err().map(|error| error.kind()));
            }
            assert_eq!(failures, [ErrorKind::Aborted], "{kind}, call {failing_call}");
            assert_eq!(values(solver.x().clone()), expected[3 * x0.len()..], "{kind}, call {failing_call}");
        }
    }
}

/// Runs dopri5 to its end or its first error, and counts the evaluations.
fn run_dopri5(
    x0: f64,
    dtype: DType,
    tolerance: Tolerance,
    mut field: impl FnMut(f64, f64) -> f64,
) -> (Result<Tensor<1>>, usize) {
    let mut calls = 0;
    let mut velocity = async |x: Tensor<1>, t: f64| {
        calls += 1;
        Ok(tensor(&values(x).iter().map(|&x| field(x, t)).collect::<Vec<_>>(), dtype))
    };
    let start = tensor(&[x0, x0], dtype);
    let mut solver = Solver::new(SolverKind::Dopri5, time_grid(2, 1.0), tolerance, start).expect("a solver");
    let first = block_on(solver.step(&mut velocity));
    let result = first.and_then(|_| block_on(solver.step(&mut velocity)));
    (result, calls)
}

#[test]
fn dopri5_reports_numbers_that_are_not_finite() {
    let default = Tolerance::default();
    for dtype in [DType::F32, DType::F64] {
        let nan = |_: f64, t: f64| if t < 0.3 { 1.0 } else { f64::NAN };
        let infinite = |_: f64, t: f64| if t < 0.3 { 1.0 } else { f64::INFINITY };
        let always_infinite = |_: f64, _: f64| f64::NEG_INFINITY;
        let outcomes = [
            run_dopri5(1.0, dtype, default, nan),
            run_dopri5(1.0, dtype, default, infinite),
            run_dopri5(1.0, dtype, default, always_infinite),
            run_dopri5(f64::NAN, dtype, default, |_, _| 1.0),
        ];
        for (i, (result, calls)) in outcomes.into_iter().enumerate() {
            assert_eq!(result.map(values).map_err(|error| error.kind()), Err(ErrorKind::BadModel), "case {i}");
            assert!(calls < 100, "case {i}: {calls} calls");
        }
    }
}

#[test]
fn dopri5_gives_up_where_the_tolerance_cannot_be_met() {
    // In f32 the error estimate of a moving state never falls below rounding, far above this tolerance.
    let strict = Tolerance { absolute: 1e-15, relative: 1e-15 };
    let (result, calls) = run_dopri5(1.0, DType::F32, strict, |x, t| (9.0 * t).sin() - x);
    let error = result.map(values).expect_err("no step can be exact enough");
    assert_eq!(error.kind(), ErrorKind::BadRequest, "{error}");
    println!("{error} ({calls} evaluations)");

    // x = 1 / (0.7 − t) has no value at 0.7.
    let (result, calls) = run_dopri5(1.0 / 0.7, DType::F64, Tolerance::default(), |x, _| x * x);
    let error = result.map(values).expect_err("the solution ends before the grid does");
    println!("{error} ({calls} evaluations)");
    assert!(calls < 10_000, "{calls} evaluations");
}

/// Every stage is at rest: the error estimate is 0, and steps grow tenfold.
#[test]
fn dopri5_walks_through_a_field_at_rest() {
    for x0 in [0.0, 3.0] {
        let (result, calls) = run_dopri5(x0, DType::F32, Tolerance::default(), |_, _| 0.0);
        assert_eq!(result.map(values), Ok(vec![x0, x0]));
        assert!(calls < 60, "{calls} evaluations");
    }
}

#[test]
fn solvers_refuse_grids_and_tolerances_without_meaning() {
    let refuses = |grid: &[f64], absolute, relative| {
        let x = tensor(&[1.0], DType::F32);
        let solver = Solver::new(SolverKind::Heun, grid.to_vec(), Tolerance { absolute, relative }, x);
        solver.err().map(|error| error.kind()) == Some(ErrorKind::BadRequest)
    };
    for grid in [&[][..], &[0.0], &[0.0, 0.0], &[0.0, 1.0, 0.5], &[0.0, f64::NAN], &[0.0, f64::INFINITY]] {
        assert!(refuses(grid, 1e-6, 1e-3), "{grid:?}");
    }
    for (absolute, relative) in [(0.0, 1e-3), (f64::NAN, 1e-3), (1e-6, -1.0), (1e-6, f64::INFINITY)] {
        assert!(refuses(&[0.0, 1.0], absolute, relative), "{absolute}, {relative}");
    }
    assert!(!refuses(&[0.0, 0.3, 1.0], 1e-6, 0.0));

    let x = tensor(&[1.0], DType::F32);
    let mut solver = Solver::new(SolverKind::Euler, time_grid(1, 1.0), Tolerance::default(), x).expect("a solver");
    let mut velocity = async |x: Tensor<1>, _: f64| Ok(x);
    assert!(block_on(solver.step(&mut velocity)).is_ok());
    assert_eq!(block_on(solver.step(&mut velocity)).err().map(|error| error.kind()), Some(ErrorKind::BadRequest));
}

#[test]
fn a_state_with_one_bad_number_is_found() {
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let error = block_on(ensure_finite(tensor(&[1.0, bad, -1.0], DType::F32), 1.0)).expect_err("one is bad");
        assert_eq!(error.kind(), ErrorKind::BadModel);
    }
    assert_eq!(block_on(ensure_finite(tensor(&[1.0, -3e4], DType::F32), 1.0)), Ok(()));
}
