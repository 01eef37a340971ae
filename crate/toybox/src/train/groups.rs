//! Parameters that take a step together. A GPU would spend a step waiting for a few thousand short kernels, were each to
//! take its own: there those of one shape are a stack of matrices, and what AdamW moves lies in one row of numbers. A CPU
//! has every core take parameters one by one.

use std::collections::BTreeMap;

use burn::tensor::Tensor;

use super::{checkpoint::values, muon, parallel::GradientMap, recipe::Method, walk::Flat};

/// A member is a view of its group's numbers, and no copy, if it begins and ends at a multiple of this: 256 bytes, the
/// largest step between the places where a GPU binds a buffer.
const ALIGNED: usize = 64;

/// What is kept for parameters beside them, flat, on the plain device or read back.
#[derive(Clone)]
pub struct Moments<T = Tensor<1>> {
    /// Mean of the gradient (Muon: its decayed sum).
    pub first: T,
    /// Mean of its square; Muon keeps none.
    pub second: Option<T>,
    /// Average of the weights.
    pub average: T,
}

impl<T> Moments<T> {
    fn map<R>(&self, of: impl Fn(&T) -> R) -> Moments<R> {
        Moments { first: of(&self.first), second: self.second.as_ref().map(&of), average: of(&self.average) }
    }
}

impl Moments {
    /// Off the device.
    pub fn read(self) -> Moments<Vec<f32>> {
        self.map(|tensor| values(tensor.clone()))
    }
}

/// Parameters that take a step together, one behind the other.
pub struct Group {
    /// Name and length of each.
    members: Vec<(String, usize)>,
    /// Rows and columns of each, if they are Muon's; else AdamW's.
    pub matrix: Option<[usize; 2]>,
    /// Whether decoupled decay is for them.
    pub decays: bool,
    /// All values, `[all]`.
    pub weights: Tensor<1>,
    /// Likewise.
    pub moments: Moments,
}

/// Groups of parameters that had none, with what `kept` has for them; on a CPU each alone.
pub fn arrange(new: Vec<Flat>, kept: &mut BTreeMap<String, Moments>, method: Method, on_gpu: bool) -> Vec<Group> {
    let mut alike: BTreeMap<_, Vec<Group>> = BTreeMap::new();
    for (place, parameter) in new.into_iter().enumerate() {
        let is_aligned = parameter.values.dims()[0].is_multiple_of(ALIGNED);
        let group = Group::of(parameter, kept, method);
        let alone = (!on_gpu).then_some(place);
        alike.entry((alone, group.matrix, group.decays, is_aligned)).or_default().push(group);
    }
    alike.into_values().map(Group::together).collect()
}

impl Group {
    fn of(parameter: Flat, kept: &mut BTreeMap<String, Moments>, method: Method) -> Self {
        let Flat { name, shape, values: weights } = parameter;
        let is_matrix = method == Method::Muon && muon::applies(&name, &shape);
        let matrix = is_matrix.then(|| [shape[0], shape[1..].iter().product()]);
        let fresh = || Moments { first: weights.zeros_like(), second: None, average: weights.clone() };
        let mut moments = kept.remove(&name).unwrap_or_else(fresh);
        // A run whose recipe changed its method goes on with what both keep.
        moments.second = match matrix {
            Some(_) => None,
            None => Some(moments.second.unwrap_or_else(|| weights.zeros_like())),
        };
        let members = vec![(name, weights.dims()[0])];
        Self { members, matrix, decays: shape.len() > 1, weights, moments }
    }

    /// One behind the other. All are of the same sort.
    fn together(groups: Vec<Self>) -> Self {
        let joined = |of: &dyn Fn(&Self) -> Tensor<1>| joined(groups.iter().map(of).collect());
        let second = groups[0].moments.second.is_some();
        let moments = Moments {
            first: joined(&|group| group.moments.first.clone()),
            second: second.then(|| joined(&|group| group.moments.second.clone().expect("AdamW's all have it"))),
            average: joined(&|group| group.moments.average.clone()),
        };
        Self {
            members: groups.iter().flat_map(|group| group.members.clone()).collect(),
            matrix: groups[0].matrix,
            decays: groups[0].decays,
            weights: joined(&|group| group.weights.clone()),
            moments,
        }
    }

    /// After a step.
    pub fn after(self, weights: Tensor<1>, moments: Moments) -> Self {
        Self { weights, moments, ..self }
    }

    /// The names of its members.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.members.iter().map(|(name, _)| name.as_str())
    }

    /// Whether its members, of which either all have a gradient or none, have one.
    pub fn is_in(&self, gradients: &GradientMap) -> bool {
        gradients.contains_key(&self.members[0].0)
    }

    /// The members' gradients, one behind the other.
    pub fn joined(&self, gradients: &GradientMap) -> Tensor<1> {
        joined(self.names().map(|name| gradients[name].clone()).collect())
    }

    /// Itself, or two groups if `learns` is true of some members alone.
    pub fn parted(self, learns: impl Fn(&str) -> bool) -> Vec<Self> {
        let all = self.names().all(&learns);
        if all || !self.names().any(&learns) {
            return vec![self];
        }
        let (learning, resting): (Vec<_>, Vec<_>) = self.alone().into_iter().partition(|one| learns(&one.members[0].0));
        vec![Self::together(learning), Self::together(resting)]
    }

    /// Every member as a group.
    fn alone(&self) -> Vec<Self> {
        let one = |(start, member): (usize, &(String, usize))| {
            let cut = |all: &Tensor<1>| all.clone().narrow(0, start, member.1);
            Self {
                members: vec![member.clone()],
                matrix: self.matrix,
                decays: self.decays,
                weights: cut(&self.weights),
                moments: self.moments.map(cut),
            }
        };
        self.starts().zip(&self.members).map(one).collect()
    }

    /// Where each member begins.
    fn starts(&self) -> impl Iterator<Item = usize> {
        self.members.iter().scan(0, |next, (_, length)| {
            let start = *next;
            *next += length;
            Some(start)
        })
    }

    /// Every member's weights.
    pub fn weights(&self) -> Vec<(String, Tensor<1>)> {
        let cut = |(start, (name, length)): (usize, &(String, usize))| {
            (name.clone(), self.weights.clone().narrow(0, start, *length))
        };
        self.starts().zip(&self.members).map(cut).collect()
    }

    /// What is kept for every member.
    pub fn read(&self) -> Vec<(String, Moments<Vec<f32>>)> {
        let all = self.moments.clone().read();
        let cut = |(start, (name, length)): (usize, &(String, usize))| {
            (name.clone(), all.map(|values| values[start..][..*length].to_vec()))
        };
        self.starts().zip(&self.members).map(cut).collect()
    }
}

/// One behind the other; one alone is not copied.
fn joined(mut tensors: Vec<Tensor<1>>) -> Tensor<1> {
    if tensors.len() == 1 { tensors.remove(0) } else { Tensor::cat(tensors, 0) }
}
