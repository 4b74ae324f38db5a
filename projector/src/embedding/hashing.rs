//! Signed feature hashing of words and of parts of words: lexical, and nothing to download.
//!
//! Screens that share words are near each other; that `sign in` and `log on` mean the same it does not know. Every
//! part of it is specified here, the hash function too, and only exactly rounded operations are used, so that a text has the
//! same embedding on every machine, for ever. To change anything is another model, with another name.
//!
//! 1. The text is lower-cased; words are its longest runs of letters and digits.
//! 2. Features: each word (`w` + word, weight 1), each two neighbouring words (`b` + word + NUL + word, weight 0.7), and each
//!    three neighbouring characters of `_word_` (`c` + characters, weight 0.4).
//! 3. A feature that occurs n times adds weight × √n to the number at hash mod 768, negated if the hash's highest bit is
//!    set. The hash is 64-bit FNV-1a of the feature's UTF-8, and then MurmurHash3's finalizer, because the bits of FNV
//!    alone are not mixed well enough to be taken apart.
//! 4. The numbers are scaled to length 1. A text without words points along the first axis.

use std::collections::BTreeMap;

use events::payload::embedding::TEXT_DIMENSIONS;
use futures::{FutureExt, future::BoxFuture};

use super::{Embedder, EmbedderError, TextEmbedding};

/// See the module.
#[derive(Clone, Copy, Debug, Default)]
pub struct Hashing;

impl Embedder for Hashing {
    fn model(&self) -> &str {
        "hashing-1"
    }

    fn texts_max(&self) -> usize {
        64
    }

    fn calls_max(&self) -> usize {
        1
    }

    fn embed<'a>(&'a self, texts: &'a [&'a str]) -> BoxFuture<'a, Result<Vec<TextEmbedding>, EmbedderError>> {
        async move {
            let mut embeddings = Vec::with_capacity(texts.len());
            for text in texts {
                embeddings.push(embedding(text));
                // It computes and waits for nothing, so others would not get their turn.
                tokio::task::yield_now().await;
            }
            embeddings.into_iter().collect::<Result<_, _>>()
        }
        .boxed()
    }
}

fn embedding(text: &str) -> Result<TextEmbedding, EmbedderError> {
    let mut numbers = [0.0_f64; TEXT_DIMENSIONS];
    for (feature, (weight, count)) in features(text) {
        let hash = hash(feature.as_bytes());
        let sign = if hash >> 63 == 0 { 1.0 } else { -1.0 };
        numbers[(hash % TEXT_DIMENSIONS as u64) as usize] += sign * weight * f64::from(count).sqrt();
    }
    let length = numbers.iter().map(|number| number * number).sum::<f64>().sqrt();
    if length == 0.0 {
        numbers[0] = 1.0;
    }
    let length = if length == 0.0 { 1.0 } else { length };
    let scaled: Vec<_> = numbers.iter().map(|number| (number / length) as f32).collect();
    scaled.try_into().map_err(|refusal: events::Refusal| EmbedderError::NoAnswer {
        place: "hashing".to_owned(),
        reason: refusal.reason,
    })
}

/// Sorted, so that sums are always made in the same order.
fn features(text: &str) -> BTreeMap<String, (f64, u32)> {
    let text = text.to_lowercase();
    let words: Vec<_> = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).collect();
    let mut features = BTreeMap::new();
    let mut add = |feature: String, weight| features.entry(feature).or_insert((weight, 0)).1 += 1;
    for word in &words {
        add(format!("w{word}"), 1.0);
        let characters: Vec<_> = format!("_{word}_").chars().collect();
        characters.windows(3).for_each(|three| add(format!("c{}", three.iter().collect::<String>()), 0.4));
    }
    words.windows(2).for_each(|two| add(format!("b{}\0{}", two[0], two[1]), 0.7));
    features
}

fn hash(bytes: &[u8]) -> u64 {
    let fnv = |hash: u64, byte: &u8| (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01B3);
    let mut hash = bytes.iter().fold(0xCBF2_9CE4_8422_2325, fnv);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xFF51_AFD7_ED55_8CCD);
    hash = (hash ^ (hash >> 33)).wrapping_mul(0xC4CE_B9FE_1A85_EC53);
    hash ^ (hash >> 33)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn similarity(left: &str, right: &str) -> f32 {
        let (left, right) = (embedding(left).unwrap(), embedding(right).unwrap());
        left.as_slice().iter().zip(right.as_slice()).map(|(left, right)| left * right).sum()
    }

    #[test]
    fn the_hash_function_never_changes() {
        assert_eq!(hash(b""), 0xEFD0_1F60_BA99_2926);
        assert_eq!(hash(b"wsearch"), 0x1059_0477_C25F_4EE3);
    }

    #[test]
    fn an_embedding_never_changes() {
        let numbers = embedding("title Member search\nbutton \"Search\"").unwrap();
        let great = numbers.as_slice().iter().enumerate().filter(|(_, number)| number.abs() > 0.2);
        let great: Vec<_> = great.map(|(place, number)| (place, (number * 1_000.0).round())).collect();
        assert_eq!(
            great,
            [
                (0, -294.0),
                (120, -206.0),
                (405, -206.0),
                (430, -294.0),
                (477, -206.0),
                (483, 415.0),
                (599, -206.0),
                (674, -294.0)
            ]
        );
    }

    #[test]
    fn texts_that_share_words_or_parts_of_words_are_near_each_other() {
        let search = "title Eligibility search\ntextbox \"Member ID\"\nbutton \"Search\"";
        assert!((similarity(search, search) - 1.0).abs() < 1e-5);
        let changed = similarity(search, "title Eligibility searches\ntextbox \"Member number\"\nbutton \"Search\"");
        let other = similarity(search, "title Sign in\ntextbox \"Password\"\nbutton \"Continue\"");
        assert!(changed > 0.6 && other < 0.4, "{changed} {other}");
    }

    #[test]
    fn a_text_without_words_has_an_embedding_too() {
        assert_eq!(embedding(" – ").unwrap().as_slice()[0], 1.0);
    }
}
