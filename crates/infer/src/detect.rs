//! Object detectors in ONNX files: recognised from their graph, decoded by us.
