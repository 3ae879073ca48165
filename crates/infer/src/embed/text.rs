//! CLIP and `SigLIP`: a picture's side and a text's side whose vectors can be compared.
//!
//! ```text
//! texts ─▶ tokenizer.json ─▶ ids, cut and padded as the kind was trained ─▶ text side ─▶ unit vectors
//! ```

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use serde_json::Value;
use tokenizers::{Tokenizer, TruncationParams};

use super::look::{Kind, Output, output, row};
use super::{EmbedInfo, EmbedSession, PictureEmbedder, digest, unit};
use crate::Error;
use crate::model::stem;
use crate::ort::{Element, Feed, Port, TensorSession};

/// A pair of networks that bring pictures and texts into one space.
pub struct TextModel {
    pictures: PictureEmbedder,
    texts: Texts,
    info: EmbedInfo,
}

impl TextModel {
    /// Opens the `.onnx` files of the two sides and the `tokenizer.json` that belongs to them, and runs each once.
    ///
    /// # Errors
    /// [`Error::ReadModel`] for a file that cannot be read, [`Error::Model`] for one that is not what it should be, and
    /// where the vectors of the two sides differ in their number of dimensions; [`Error::MissingLibrary`] and
    /// [`Error::Library`] when ONNX Runtime is not there.
    pub fn open(
        vision: impl AsRef<Path>,
        text: impl AsRef<Path>,
        tokenizer: impl AsRef<Path>,
    ) -> Result<Self, Error> {
        let (vision, text) = (vision.as_ref(), text.as_ref());
        let mut notes = Vec::new();
        let texts = Texts::open(text, tokenizer.as_ref(), &mut notes)?;
        let pictures = PictureEmbedder::open_as(vision, Some(texts.kind))?;
        let dimensions = texts.embed("a photo")?.len();
        let mut info = pictures.info().clone();
        if info.dimensions != dimensions {
            return Err(Error::Model {
                problem: format!(
                    "the vectors of pictures have {} numbers and those of texts {dimensions}: the two files do not belong \
                     together, or one lacks its projection (image_embeds, text_embeds)",
                    info.dimensions
                ),
                path: vision.to_owned(),
            });
        }
        info.text_sha256 = Some(digest(text)?);
        info.notes.extend(notes);
        Ok(Self {
            pictures,
            texts,
            info,
        })
    }

    /// What was found out when it was opened.
    pub fn info(&self) -> &EmbedInfo {
        &self.info
    }

    /// The vectors of texts, of length 1, in their order.
    ///
    /// # Errors
    /// [`Error::Run`] when a text cannot be split into tokens or ONNX Runtime fails.
    pub fn embed_texts(&self, texts: &[String]) -> Result<Vec<Vec<f32>>, Error> {
        texts.iter().map(|text| self.texts.embed(text)).collect()
    }

    /// A session for pictures, for one thread.
    ///
    /// # Errors
    /// As [`open`](Self::open), where the file is gone since.
    pub fn session(&self) -> Result<EmbedSession, Error> {
        self.pictures.session()
    }
}

/// The text's side.
struct Texts {
    name: String,
    kind: Kind,
    tokenizer: Tokenizer,
    /// Texts are padded to so many tokens; none where the network takes them as long as they are.
    length: Option<usize>,
    padding: i64,
    /// One run at a time: texts are few.
    network: Mutex<TensorSession>,
    output: Output,
    /// What each input takes.
    inputs: Vec<Role>,
}

/// What an input of the text's side takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Role {
    Ids,
    Mask,
    Positions,
    Kinds,
}

/// Tokens that the two kinds were trained with.
const CLIP_TOKENS: usize = 77;
const SIGLIP_TOKENS: usize = 64;

impl Texts {
    fn open(path: &Path, tokenizer_path: &Path, notes: &mut Vec<String>) -> Result<Self, Error> {
        let unfit = |path: &Path| {
            let path: PathBuf = path.to_owned();
            move |problem| Error::Model { problem, path }
        };
        let network = TensorSession::load(path)?;
        let inputs = roles(&network.inputs).map_err(unfit(path))?;
        let names = ["text_embeds", "text_features", "pooler_output", "embedding"];
        let output = output(&network.outputs, &names).map_err(unfit(path))?;

        let json = fs::read(tokenizer_path).map_err(|cause| Error::ReadModel {
            path: tokenizer_path.to_owned(),
            cause,
        })?;
        let mut tokenizer = Tokenizer::from_bytes(&json).map_err(|cause| {
            unfit(tokenizer_path)(format!("this is no tokenizer.json ({cause})"))
        })?;
        let kind = if tokenizer.token_to_id("<|endoftext|>").is_some() {
            Kind::Clip
        } else {
            Kind::SigLip
        };
        let trained = match kind {
            Kind::SigLip => SIGLIP_TOKENS,
            _ => CLIP_TOKENS,
        };
        let ids = inputs
            .iter()
            .position(|&role| role == Role::Ids)
            .unwrap_or_default();
        let fixed = network.inputs[ids].shape.get(1).copied().flatten();
        let most = fixed.unwrap_or(trained);
        let padding = padding(&tokenizer, tokenizer_path, kind).map_err(unfit(tokenizer_path))?;
        tokenizer.with_padding(None);
        let cut = TruncationParams {
            max_length: most,
            ..TruncationParams::default()
        };
        // Fewer tokens than the marks of beginning and end make the tokenizer's own arithmetic fail.
        if most < 4 {
            return Err(unfit(path)(format!("the model takes only {most} tokens")));
        }
        tokenizer
            .with_truncation(Some(cut))
            .map_err(|cause| unfit(tokenizer_path)(cause.to_string()))?;
        // CLIP looks from each token only back, so what follows the end changes nothing; SigLIP was trained with it.
        let length = fixed.or((kind == Kind::SigLip).then_some(trained));
        notes.push(match length {
            Some(length) => format!("texts are padded to {length} tokens with token {padding}"),
            None => format!("texts have at most {most} tokens and are not padded"),
        });
        if kind == Kind::SigLip {
            notes.push("texts are put into lower case".to_owned());
        }
        if output.is_sequence {
            notes.push(
                "a text's vector is that of its last token, the model gives none for the whole"
                    .to_owned(),
            );
        }
        Ok(Self {
            name: stem(path),
            kind,
            tokenizer,
            length,
            padding,
            network: Mutex::new(network),
            output,
            inputs,
        })
    }

    /// The unit vector of one text.
    fn embed(&self, text: &str) -> Result<Vec<f32>, Error> {
        let failed = |problem| Error::Run {
            problem,
            model: self.name.clone(),
        };
        let lower;
        let text = if self.kind == Kind::SigLip {
            lower = text.to_lowercase();
            &lower
        } else {
            text
        };
        let encoding = self.tokenizer.encode(text, true).map_err(|cause| {
            failed(format!(
                "the text {text:?} cannot be split into tokens: {cause}"
            ))
        })?;
        let mut ids: Vec<i64> = encoding.get_ids().iter().map(|&id| i64::from(id)).collect();
        let real = ids.len();
        if real == 0 {
            return Err(failed(format!("the text {text:?} has no tokens")));
        }
        ids.resize(self.length.unwrap_or(real).max(real), self.padding);
        let mask: Vec<i64> = (0..ids.len())
            // SigLIP was trained to look at the padding too.
            .map(|i| i64::from(i < real || self.kind == Kind::SigLip))
            .collect();
        let positions: Vec<i64> = (0..ids.len() as i64).collect();
        let kinds = vec![0; ids.len()];
        let shape = [1, ids.len()];
        let feeds: Vec<Feed> = self
            .inputs
            .iter()
            .map(|role| {
                let values = match role {
                    Role::Ids => &ids,
                    Role::Mask => &mask,
                    Role::Positions => &positions,
                    Role::Kinds => &kinds,
                };
                Feed::Integers(&shape, values)
            })
            .collect();
        // A poisoned lock holds a session that a run panicked in, which ONNX Runtime itself knows nothing of.
        let mut network = self.network.lock().unwrap_or_else(PoisonError::into_inner);
        let answers = network
            .run(&feeds)
            .map_err(|failure| failure.into_error(&self.name))?;
        let answer = answers
            .get(self.output.index)
            .ok_or_else(|| failed("an output is missing".to_owned()))?;
        let last = if self.kind == Kind::SigLip {
            ids.len()
        } else {
            real
        } - 1;
        unit(row(answer, self.output, last)).map_err(failed)
    }
}

fn roles(inputs: &[Port]) -> Result<Vec<Role>, String> {
    let role = |port: &Port| {
        let role = match port.name.as_str() {
            "attention_mask" => Role::Mask,
            "position_ids" => Role::Positions,
            "token_type_ids" => Role::Kinds,
            name if name == "input_ids" || inputs.len() == 1 => Role::Ids,
            name => {
                return Err(format!(
                    "the text's side wants an input {name}, export it alone, without the picture's side"
                ));
            }
        };
        let one_at_a_time = matches!(port.shape[..], [batch, _] if batch.is_none_or(|n| n == 1));
        if !one_at_a_time || !matches!(port.element, Element::I64 | Element::I32 | Element::F32) {
            return Err(format!(
                "the input {} does not take the tokens of one text ([1, tokens])",
                port.name
            ));
        }
        Ok(role)
    };
    let roles: Vec<Role> = inputs.iter().map(role).collect::<Result<_, _>>()?;
    if !roles.contains(&Role::Ids) {
        return Err("the model takes no tokens (input_ids)".to_owned());
    }
    Ok(roles)
}

/// The token that texts are padded with: what `tokenizer_config.json` or the tokenizer says, else that of the kind.
fn padding(tokenizer: &Tokenizer, path: &Path, kind: Kind) -> Result<i64, String> {
    let config = path
        .parent()
        .map(|folder| folder.join("tokenizer_config.json"));
    let config = config.and_then(|path| fs::read(path).ok());
    let said: Option<Value> = config.and_then(|text| serde_json::from_slice(&text).ok());
    let said = said.as_ref().map(|said| &said["pad_token"]);
    let said = said.and_then(|token| token.as_str().or_else(|| token["content"].as_str()));
    if let Some(id) = said.and_then(|token| tokenizer.token_to_id(token)) {
        return Ok(id.into());
    }
    if let Some(padding) = tokenizer.get_padding() {
        return Ok(padding.pad_id.into());
    }
    let tokens: &[&str] = match kind {
        Kind::SigLip if tokenizer.token_to_id("<eos>").is_some() => &["<pad>", "<eos>"],
        Kind::SigLip => &["</s>", "<pad>"],
        _ => &["<|endoftext|>"],
    };
    tokens
        .iter()
        .find_map(|token| tokenizer.token_to_id(token))
        .map(i64::from)
        .ok_or_else(|| {
            format!(
                "the tokenizer has none of the tokens that texts are padded with ({})",
                tokens.join(", ")
            )
        })
}
