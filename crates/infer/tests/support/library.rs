//! Whether ONNX Runtime is there.

use framewright_infer::{Error, find_library};

/// True where it is; else says that the test is skipped.
pub(crate) fn library_is_here() -> bool {
    match find_library() {
        Ok(_) => true,
        // A wrong FRAMEWRIGHT_ORT must not pass for "not installed".
        Err(Error::MissingLibrary { .. }) => {
            println!("skipped: ONNX Runtime is not here");
            false
        }
        Err(error) => panic!("{error}"),
    }
}
