//! Parameters of the right names and shapes, and of wrong ones.

use super::*;

fn stored(tensors: &[(&str, &[usize])]) -> Params {
    let tensor = |&(name, shape): &(&str, &[usize])| {
        (name.to_owned(), shape.to_vec(), vec![0.5; shape.iter().product::<usize>()])
    };
    Params::from_values(tensors.iter().map(tensor), &Device::flex())
}

#[test]
fn missing_misshapen_and_surplus_tensors_are_named_together() {
    let params = stored(&[("a.weight", &[2, 3]), ("a.bias", &[4]), ("b.scale", &[1]), ("c", &[2])]);
    let a = params.child("a");
    let weight = a.tensor("weight", [2, 3], Init::Zeros);
    a.tensor("bias", [2], Init::Zeros);
    params.child("b").tensor("weight", [1], Init::Zeros);

    let message = params.finish("denoiser").unwrap_err().to_string();
    let found = "missing: b.weight; misshapen: a.bias [4] instead of [2]; not in the configuration: b.scale, c";
    assert!(message.starts_with("denoiser: ") && message.contains(found), "{message}");
    assert_eq!(weight.val().into_data().iter::<f32>().collect::<Vec<_>>(), [0.5; 6]);
}

#[test]
fn exactly_what_is_called_for_is_accepted() {
    let params = stored(&[("layers.0.weight", &[2]), ("layers.1.weight", &[2])]);
    for layer in 0..2 {
        params.child("layers").child(layer).tensor("weight", [2], Init::Ones);
    }
    assert_eq!(params.finish("denoiser"), Ok(()));
}

/// What is done to a loaded matrix comes before it becomes a parameter: a parameter is where gradients end.
#[test]
fn loaded_matrices_are_those_of_the_file_and_can_be_trained() {
    let values: Vec<f32> = (0..6).map(|value| value as f32).collect();
    let device = Device::flex().autodiff();
    let params = Params::from_values([("weight".to_owned(), vec![2, 3], values.clone())], &device);
    let Weight::Dense(weight) = params.matrix("weight", [2, 3], Init::Zeros) else { panic!("on the CPU") };
    assert_eq!(weight.val().into_data().iter::<f32>().collect::<Vec<_>>(), values);
    let gradients = (weight.val() * 3.0).sum().backward();
    let gradient = weight.val().grad(&gradients).expect("a gradient");
    assert_eq!(gradient.into_data().iter::<f32>().collect::<Vec<_>>(), [3.0; 6]);
}

#[test]
fn what_is_asked_for_is_told_in_order() {
    let params = Params::listing(&Device::flex());
    params.child("b").tensor("weight", [1 << 20, 1 << 20], Init::Xavier);
    params.matrix("a", [2, 3], Init::Normal(0.5));
    let listed = |name: &str, shape: &[usize], init| Listed { name: name.to_owned(), shape: shape.to_vec(), init };
    let expected = [listed("b.weight", &[1 << 20, 1 << 20], Init::Xavier), listed("a", &[2, 3], Init::Normal(0.5))];
    assert_eq!(params.listed(), expected);
    assert_eq!(params.finish("denoiser"), Ok(()));
    assert_eq!(Params::random(&Device::flex()).listed(), []);
}

#[test]
fn a_tensor_asked_for_twice_is_missing() {
    let params = stored(&[("weight", &[2])]);
    params.tensor("weight", [2], Init::Ones);
    params.tensor("weight", [2], Init::Ones);
    assert!(params.finish("denoiser").unwrap_err().to_string().contains("missing: weight"));
}

/// A configuration may ask for any size; the refusal must come before the memory is taken.
#[test]
fn absent_tensors_take_no_memory() {
    let params = stored(&[]);
    params.tensor("weight", [1 << 20, 1 << 20], Init::Zeros);
    (0..20).for_each(|layer| drop(params.child("layers").tensor::<1>(&layer.to_string(), [1], Init::Zeros)));
    let message = params.finish("denoiser").unwrap_err().to_string();
    assert!(message.contains("missing: weight, layers.0, ") && message.contains(" and 9 more"), "{message}");
}
