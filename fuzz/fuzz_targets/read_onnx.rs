//! Any bytes are read as a network or refused, and the reach of their graph is found or not, without a panic and without more memory than they can account for.

#![no_main]
#![expect(
    dead_code,
    reason = "the engine uses more of these files than the readers do"
)]

#[path = "../../crates/infer/src/native"]
mod native {
    pub(crate) mod network;
    pub(crate) mod onnx;
}

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    let _ = native::onnx::reach::reach(bytes, 2);
    if let Ok(network) = native::onnx::read(bytes) {
        let mut n_in = 3;
        for conv in &network.convs {
            assert_eq!(
                (conv.n_in, conv.weights.len()),
                (n_in, conv.n_out * n_in * 9)
            );
            n_in = conv.n_out;
        }
        assert_eq!(n_in, 3 * network.shuffle * network.shuffle);
        assert!((1..=4).contains(&network.scale()));
    }
});
