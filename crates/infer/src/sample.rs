//! Small ONNX files for tests, made of the same messages that files are read by.
//!
//! Nodes have no attributes, since their types are not among those messages; axes go in as inputs.

use std::path::{Path, PathBuf};

use prost::Message;

use crate::native::onnx::proto::{
    DimensionProto, GraphProto, ModelProto, NodeProto, OperatorSetIdProto, StringStringEntryProto,
    TensorProto, TensorShapeProto, TensorTypeProto, TypeProto, ValueInfoProto, data_type,
};
use crate::{Error, find_library};

/// A file in the making.
#[derive(Default)]
pub(crate) struct Sample {
    graph: GraphProto,
    metadata: Vec<StringStringEntryProto>,
}

impl Sample {
    /// An input; -1 is a dimension that is not fixed.
    pub(crate) fn input(mut self, name: &str, element: i32, shape: &[i64]) -> Self {
        self.graph.input.push(declared(name, element, shape));
        self
    }

    /// An input of floats with this shape, named as most are.
    pub(crate) fn picture(self, width: i64, height: i64) -> Self {
        self.input("images", data_type::FLOAT, &[1, 3, height, width])
    }

    pub(crate) fn floats(mut self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        assert_eq!(values.len() as i64, shape.iter().product::<i64>(), "{name}");
        self.graph.initializer.push(TensorProto {
            dims: shape.to_vec(),
            data_type: data_type::FLOAT,
            float_data: values.to_vec(),
            name: name.to_owned(),
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn integers(mut self, name: &str, shape: &[i64], values: &[i64]) -> Self {
        self.graph.initializer.push(TensorProto {
            dims: shape.to_vec(),
            data_type: data_type::INT64,
            int64_data: values.to_vec(),
            name: name.to_owned(),
            ..TensorProto::default()
        });
        self
    }

    pub(crate) fn node(mut self, operator: &str, inputs: &[&str], output: &str) -> Self {
        self.graph.node.push(NodeProto {
            input: inputs.iter().map(|&name| name.to_owned()).collect(),
            output: vec![output.to_owned()],
            name: output.to_owned(),
            op_type: operator.to_owned(),
            ..NodeProto::default()
        });
        self
    }

    /// An output that a node makes.
    pub(crate) fn output(mut self, name: &str, element: i32, shape: &[i64]) -> Self {
        self.graph.output.push(declared(name, element, shape));
        self
    }

    /// An output of floats that is always the same.
    pub(crate) fn answers(self, name: &str, shape: &[i64], values: &[f32]) -> Self {
        let inner = format!("{name} values");
        self.floats(&inner, shape, values)
            .node("Identity", &[&inner], name)
            .output(name, data_type::FLOAT, shape)
    }

    pub(crate) fn says(mut self, key: &str, value: &str) -> Self {
        self.metadata.push(StringStringEntryProto {
            key: key.to_owned(),
            value: value.to_owned(),
        });
        self
    }

    /// The bytes of the file.
    pub(crate) fn encode(mut self) -> Vec<u8> {
        self.graph.name = "sample".to_owned();
        let model = ModelProto {
            ir_version: 8,
            graph: Some(self.graph),
            opset_import: vec![OperatorSetIdProto {
                domain: String::new(),
                version: 18,
            }],
            metadata_props: self.metadata,
        };
        model.encode_to_vec()
    }

    /// Writes the file into `folder`.
    pub(crate) fn save(self, folder: &Path, name: &str) -> PathBuf {
        let path = folder.join(name);
        std::fs::write(&path, self.encode()).unwrap();
        path
    }
}

fn declared(name: &str, element: i32, shape: &[i64]) -> ValueInfoProto {
    let dim = shape
        .iter()
        .map(|&dim| DimensionProto {
            dim_value: (dim >= 0).then_some(dim),
        })
        .collect();
    ValueInfoProto {
        name: name.to_owned(),
        r#type: Some(TypeProto {
            tensor_type: Some(TensorTypeProto {
                elem_type: element,
                shape: Some(TensorShapeProto { dim }),
            }),
        }),
    }
}

/// False, with a line that says so, where ONNX Runtime is not there.
pub(crate) fn library_is_here() -> bool {
    match find_library() {
        Ok(_) => true,
        Err(Error::MissingLibrary { .. }) => {
            println!("skipped: ONNX Runtime is not here");
            false
        }
        Err(error) => panic!("{error}"),
    }
}
