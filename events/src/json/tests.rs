use proptest::prelude::*;

use super::*;

fn code(text: &str) -> Option<Code> {
    check(text.as_bytes()).err().map(|fault| fault.code)
}

fn assert_all(code_expected: Option<Code>, texts: &[&str]) {
    for text in texts {
        assert_eq!(code(text), code_expected, "{text:.80}");
    }
}

#[test]
fn json_of_every_kind_passes() {
    assert_all(
        None,
        &[
            "null",
            " [ ] ",
            "{}",
            "\t{\"a\" : [1, -0, 1e2, 0.5, -1.5E-3, true, false, null, \"x\"] }\r\n",
            "\"\\u00e9\\ud83d\\ude00\\\"\\\\\\/\\b\\f\\n\\r\\t\"",
            "{\"\":0,\" \":1}",
            "\"\u{7f}\u{202e}<script>'; drop table\"",
        ],
    );
}

#[test]
fn what_is_no_json_is_malformed() {
    assert_all(
        Some(Code::MalformedJson),
        &[
            "",
            " ",
            "{",
            "[1",
            "\"a",
            "nul",
            "truE",
            "{} {}",
            "1 2",
            "[1,]",
            "{\"a\":1,}",
            "{a:1}",
            "{\"a\" 1}",
            "[1 2]",
            "01",
            "-",
            "+1",
            "1.",
            ".5",
            "1e",
            "1e+",
            "0x1",
            "NaN",
            "\"\\x\"",
            "\"\\u12\"",
            "\"\\u12g4\"",
            "\"a\nb\"",
            "\"\0\"",
            "'a'",
            "\u{feff}{}",
            "\u{a0}{}",
            "]",
            "{1:2}",
        ],
    );
}

#[test]
fn bytes_that_are_not_utf8_are_refused_with_their_place() {
    let fault = check(b"\"a\xFF\"").unwrap_err();
    assert_eq!((fault.code, fault.offset), (Code::InvalidUtf8, 2));
}

#[test]
fn text_that_postgresql_cannot_hold_is_refused_in_keys_as_well() {
    assert_all(
        Some(Code::UnstorableText),
        &[
            r#""\u0000""#,
            r#"{"a\u0000":1}"#,
            r#""\ud800""#,
            r#""\udc00""#,
            r#""\ud800\ud800""#,
            r#""\ud800x""#,
            r#""\ud800\n""#,
            r#"{"\uDFFF":1}"#,
        ],
    );
}

#[test]
fn a_repeated_key_is_refused_however_it_is_written() {
    assert_all(
        Some(Code::DuplicateKey),
        &[r#"{"a":1,"a":1}"#, r#"{"a":1,"\u0061":2}"#, r#"[{"x":{"é":1,"\u00e9":2}}]"#, r#"{"a":{"a":1},"a":2}"#],
    );
    assert_all(None, &[r#"{"a":{"a":[{"a":1},{"a":1}]},"b":{"a":1}}"#]);
    let many = |last: &str| {
        let keys: Vec<String> = (0..100).map(|key| format!("\"k{key}\":{{\"k\":0}}")).collect();
        format!("{{{},\"{last}\":0}}", keys.join(","))
    };
    assert_all(Some(Code::DuplicateKey), &[&many("k3"), &many("k99")]);
    assert_all(None, &[&many("k100")]);
}

#[test]
fn a_document_is_at_most_64_deep() {
    let nested = |depth| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    assert_eq!(code(&nested(64)), None);
    assert_eq!(code(&nested(65)), Some(Code::TooComplex));
    assert_eq!(code(&"{\"a\":".repeat(100_000)), Some(Code::TooComplex));
}

#[test]
fn a_document_has_at_most_10_000_keys_in_all() {
    let object = |keys| format!("{{{}}}", (0..keys).map(|key| format!("\"{key}\":0")).collect::<Vec<_>>().join(","));
    assert_eq!(code(&object(10_000)), None);
    assert_eq!(code(&object(10_001)), Some(Code::TooComplex));
    assert_eq!(code(&format!("[{},{}]", object(5_000), object(5_000))), None);
    assert_eq!(code(&format!("[{},{}]", object(5_000), object(5_001))), Some(Code::TooComplex));
}

#[test]
fn numbers_keep_to_64_bits_and_to_what_numeric_holds() {
    let tiny = format!("0.{}1", "0".repeat(400));
    let fine = format!("0.1{}", "0".repeat(16_382));
    let too_fine = format!("0.1{}", "0".repeat(16_383));
    let long = "9".repeat(900_000);
    assert_all(
        Some(Code::NumberOutOfRange),
        &[
            "9223372036854775808000",
            "18446744073709551616",
            "-9223372036854775809",
            "1e400",
            "-1e400",
            "1e131071",
            "1e-20000",
            "1e-400",
            "0e-20000",
            "0e99999999999999",
            &tiny,
            &too_fine,
            &long,
        ],
    );
    assert_all(
        None,
        &["18446744073709551615", "-9223372036854775808", "1e308", "5e-324", "0.0", "-0e0", "0e5", "0.000e10", &fine],
    );
}

#[test]
fn members_are_raw_slices_each_within_limits_of_its_own() {
    let deep = format!("{}{}", "[".repeat(64), "]".repeat(64));
    let text = format!(" {{ \"id\" : \"x\" , \"d\\u0061ta\":\t{deep} ,\"n\":-1.0}} ");
    let members = members(&text).unwrap();
    let found: Vec<_> = members.iter().map(|member| (&*member.name, member.value)).collect();
    assert_eq!(found, [("id", "\"x\""), ("data", deep.as_str()), ("n", "-1.0")]);
}

#[test]
fn members_of_what_is_no_object_are_refused() {
    assert_eq!(members("[1]").unwrap_err().code, Code::InvalidEvent);
    assert_eq!(members("[1").unwrap_err().code, Code::MalformedJson);
    assert_eq!(members("").unwrap_err().code, Code::MalformedJson);
    assert_eq!(members(r#"{"a":1,"a":1}"#).unwrap_err().code, Code::DuplicateKey);
    assert_eq!(members(r#"{"a":1}x"#).unwrap_err().code, Code::MalformedJson);
}

/// JSON-like text: mostly valid, with the odd wrong turn.
fn json_like() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        Just("null".to_owned()),
        Just("true".to_owned()),
        any::<i64>().prop_map(|number| number.to_string()),
        any::<f64>().prop_map(|number| format!("{number:e}")),
        "-?[0-9]{1,3}(\\.[0-9]{0,3})?([eE][+-]?[0-9]{1,2})?",
        "\"([a-c ]|\\\\u[0-9a-dA-D]{4}|\\\\[nt\"x])*\"",
        ".{0,3}",
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| format!("[{}]", items.join(", "))),
            prop::collection::vec(("[a-d]{1,2}", inner), 0..5).prop_map(|members| {
                let members: Vec<_> = members.iter().map(|(key, value)| format!("\"{key}\" :{value}")).collect();
                format!("{{{}}}", members.join(","))
            }),
        ]
    })
}

proptest! {
    #[test]
    fn what_is_json_and_what_is_not_is_as_serde_json_has_it(text in json_like()) {
        let serde = serde_json::from_str::<serde_json::Value>(&text);
        match code(&text) {
            None => prop_assert!(serde.is_ok(), "{text}"),
            Some(Code::MalformedJson) => prop_assert!(serde.is_err(), "{text}"),
            Some(_) => {}
        }
    }

    #[test]
    fn no_bytes_make_the_scanner_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = check(&bytes);
        let _ = members(&String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn no_text_of_json_characters_makes_it_panic(text in "[\\[\\]{}:,\"\\\\u0-9a-fdDeE.+ -]{0,60}") {
        let _ = check(text.as_bytes());
        let _ = members(&text);
    }
}
