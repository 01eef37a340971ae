//! One variant of a shader: its text, its identity among compiled ones, its launch.

use std::{
    cell::{Cell, RefCell},
    sync::atomic::{AtomicU64, Ordering},
};

use burn::{
    backend::DispatchDevice,
    tensor::{DType, Device},
};
use burn_cubecl::{
    template::{KernelSource, SourceKernel, SourceTemplate},
    tensor::CubeTensor,
};
use cubecl::{
    CubeCount, CubeDim, ExecutionMode,
    client::Client,
    prelude::KernelId,
    server::{KernelArguments, MetadataBindingInfo},
};

thread_local! {
    /// The file that this thread is launching: whoever watches launches sees that all of ours are of one type.
    static LAUNCHING: Cell<Option<&'static str>> = const { Cell::new(None) };
}

/// The file that this thread is launching.
pub fn launching() -> Option<&'static str> {
    LAUNCHING.get()
}

/// A file of `shaders/` as a kernel's binding knows it.
pub struct Source {
    /// The file's name.
    pub file: &'static str,
    /// What stands before everything that is generated: extensions of the language, names of types.
    pub preamble: &'static str,
    /// The file's text.
    pub text: &'static str,
    /// How often it was launched in this process: a shader that nothing calls should be noticed.
    pub launches: AtomicU64,
}

impl Source {
    /// The file `file`, whose text is `text`.
    pub const fn new(file: &'static str, text: &'static str) -> Self {
        Self { file, preamble: "", text, launches: AtomicU64::new(0) }
    }

    /// With what must stand before everything else.
    pub const fn after(self, preamble: &'static str) -> Self {
        Self { preamble, ..self }
    }

    /// How often it was launched in this process.
    pub fn launches(&self) -> u64 {
        self.launches.load(Ordering::Relaxed)
    }
}

/// Lanes of a processor that plays GPU, at most.
pub const FEW_LANES: u32 = 8;

/// Of a device that shaders run on.
pub fn client(device: &Device) -> Client {
    match device.as_dispatch() {
        DispatchDevice::Cube(cube) => cube.client(),
        #[allow(unreachable_patterns, reason = "an engine may have no other devices")]
        _ => unreachable!("asked only of devices that shaders run on"),
    }
}

/// A tensor on `like`'s device, in f32, for a shader to write to.
pub fn empty(like: &CubeTensor, shape: &[usize]) -> CubeTensor {
    let handle = like.client.empty(shape.iter().product::<usize>() * size_of::<f32>());
    CubeTensor::new_contiguous(like.client.clone(), like.device.clone(), shape.to_vec().into(), handle, DType::F32)
}

thread_local! {
    /// By device, never freed: the device may be gone before the thread.
    static NOTHING: RefCell<Vec<&'static [CubeTensor; 4]>> = const { RefCell::new(Vec::new()) };
}

/// What is bound on `like`'s device where a variant reads nothing: four buffers of one vector each, for no two bindings may
/// share memory. Kept, because making some for a launch costs as much as the launch.
pub fn nothing(like: &CubeTensor) -> &'static [CubeTensor; 4] {
    NOTHING.with_borrow_mut(|known| {
        if let Some(nothing) = known.iter().find(|nothing| nothing[0].device == like.device) {
            return *nothing;
        }
        let nothing: &[CubeTensor; 4] = Box::leak(Box::new(std::array::from_fn(|_| empty(like, &[4]))));
        known.push(nothing);
        nothing
    })
}

/// A file with what varies.
pub struct Shader {
    /// The file.
    pub source: &'static Source,
    /// What the generated lines before the file's text state.
    pub constants: Vec<(&'static str, usize)>,
    /// Invocations of a workgroup.
    pub threads: usize,
}

impl Shader {
    /// For people.
    pub fn name(&self) -> String {
        let constants: Vec<_> = self.constants.iter().map(|(name, value)| format!("{name} {value}")).collect();
        format!("{} with {}", self.source.file, constants.join(" and "))
    }

    /// The complete WGSL.
    pub fn text(&self) -> String {
        let line = |(name, value): &(&str, usize)| format!("const {name}: u32 = {value}u;\n");
        let constants: String = self.constants.iter().map(line).collect();
        [self.source.preamble, &constants, self.source.text].concat()
    }

    /// Runs `workgroups` workgroups. The tensors are bound in this order, each from its first number on, so strides are the
    /// shader's business; no two may share memory, which browsers refuse to bind twice. The numbers come last, as a uniform.
    pub fn launch(self, client: &Client, workgroups: [usize; 3], tensors: &[&CubeTensor], mut numbers: Vec<u64>) {
        // Uniform buffers come in multiples of 16 bytes.
        numbers.resize(numbers.len().next_multiple_of(2), 0);
        let buffers = tensors.iter().map(|tensor| tensor.handle.clone().binding());
        let arguments = buffers.fold(KernelArguments::new(), KernelArguments::with_buffer);
        let [x, y, z] = workgroups.map(|count| count as u32);
        self.source.launches.fetch_add(1, Ordering::Relaxed);
        let threads = self.cube_dim();
        LAUNCHING.set(Some(self.source.file));
        client.launch(
            Box::new(SourceKernel::new(self, threads)),
            CubeCount::Static(x, y, z),
            arguments.with_info(MetadataBindingInfo::custom(numbers)),
        );
        LAUNCHING.set(None);
    }

    fn cube_dim(&self) -> CubeDim {
        CubeDim::new_1d(self.threads as u32)
    }
}

impl KernelSource for Shader {
    fn source(&self) -> SourceTemplate {
        SourceTemplate::new(self.text())
    }

    fn id(&self) -> KernelId {
        // All parameters in one tuple: a second `info` would replace the first. Unchecked: else naga counts the rounds of
        // every loop, and adapters then neither write loops out nor keep what stands in arrays in registers.
        let id = KernelId::new::<Self>().info((self.source.file, self.source.preamble, self.constants.clone()));
        id.cube_dim(*self.cube_dim()).mode(ExecutionMode::Unchecked)
    }

    fn lang(&self) -> &'static str {
        "wgsl"
    }
}
