use bytes::Bytes;

use super::*;

fn path_of(data: &str) -> Option<String> {
    find(data.as_bytes()).map(|found| found.path.join("."))
}

#[test]
fn a_value_that_is_named_like_a_secret_is_found_wherever_it_stands() {
    for (data, path) in [
        (r#"{"password":"hunter2"}"#, "password"),
        (r#"{"settings":{"login":{"clientSecret":"x"}}}"#, "settings.login.clientSecret"),
        (r#"{"settings":{"API-Key":"x"}}"#, "settings.API-Key"),
        (r#"{"settings":{"tokens":["x"]}}"#, "settings.tokens"),
        (r#"{"settings":{"steps":[{"a":1},{"pin":1234}]}}"#, "settings.steps.pin"),
        (r#"{"settings":{"a":{"b":1},"session_cookie":"x"}}"#, "settings.session_cookie"),
        (r#"{"p\u0061ssword" : "x"}"#, "password"),
        (r#"{"data_base64":"eyJwYXNzd29yZCI6IngifQ=="}"#, "data_base64.password"),
    ] {
        assert_eq!(path_of(data).as_deref(), Some(path), "{data}");
    }
}

#[test]
fn a_text_that_is_a_secret_is_found_whatever_it_is_called() {
    for value in [
        "-----BEGIN RSA PRIVATE KEY-----\\nMIIE",
        "Bearer 3f9a8b7c6d",
        "basic dXNlcjpodW50ZXIy",
        "use AKIAIOSFODNN7EXAMPLE here",
        "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxIn0.c2lnbmF0dXJl",
        "https://user:hunter2@portal.example/login",
        "https://portal.example/login?member=1&api_key=x",
    ] {
        assert_eq!(
            path_of(&format!(r#"{{"settings":{{"note":"{value}"}}}}"#)).as_deref(),
            Some("settings.note"),
            "{value}"
        );
        assert_eq!(path_of(&format!(r#"{{"settings":{{"{value}":1}}}}"#)).as_deref(), Some("settings"), "{value}");
    }
}

#[test]
fn the_name_of_a_secret_is_none() {
    for name in [
        "availity-login",
        "prod/portals/northwind/st-mary",
        "arn:aws:secretsmanager:us-east-1:123456789012:secret:prod/northwind-AbCdEf",
        "projects/p-1/secrets/portal/versions/latest",
        "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e31",
    ] {
        assert_eq!(path_of(&format!(r#"{{"secret_ref":"{name}"}}"#)), None, "{name}");
    }
    for secret in [
        "correct horse battery",
        "P@ssw0rd!",
        "wJalrXUtnFEMI7K7MDENGbPxRfiCYEXAMPLEKEY",
        "5f4dcc3b5aa765d61d8327deb882cf99",
    ] {
        assert_eq!(path_of(&format!(r#"{{"secret_ref":"{secret}"}}"#)).as_deref(), Some("secret_ref"), "{secret}");
    }
}

#[test]
fn what_only_speaks_of_secrets_is_none() {
    for settings in [
        r#"{"token_url":"https://portal.example/token","token_ttl_s":300,"password_field":"\#pw","auth":"saml"}"#,
        r#"{"password":null,"secret":"","needs_password":true,"password_expires_days":90,"tokens":[]}"#,
        r#"{"password":{"$protected":{"v":1,"alg":"A256GCM","kid":"k","ct":"q83vASNFZ4k="}}}"#,
        r#"{"note":"Ask the desk for a bearer bond; basic coverage only","compass":"n","time":"10:00@home"}"#,
    ] {
        let data = format!(r#"{{"auth_type":"password","settings":{}}}"#, settings.replace("\\#", "#"));
        assert_eq!(path_of(&data), None, "{data}");
    }
}

#[test]
fn broken_json_and_bytes_that_are_no_text_are_searched_too() {
    assert_eq!(path_of(r#"{"settings":{"password":"hunter2"#).as_deref(), Some("settings.password"));
    assert_eq!(path_of(r#"}}]"password":"hunter2"#).as_deref(), Some("password"));
    assert!(find(b"{\"a\":\"\xff\",\"password\":\"hunter2\"}").is_some());
    assert!(find(b"").is_none());
}

#[test]
fn whatever_else_is_wrong_a_secret_is_the_reason_and_is_not_quoted() {
    let org = "018f6e2a-7c1b-7d60-9a33-5b1f4c0d9e21";
    let subject = format!("runledger.events.{org}.endpoint.registered");
    let run = format!("runledger.events.{org}.run.started");
    let binary: &[(&[u8], &[u8])] = &[(b"ce-specversion", b"1.0")];
    let typed: &[(&[u8], &[u8])] = &[(b"ce-specversion", b"1.0"), (b"CE-Type", b"endpoint%2Eupdated")];
    for (subject, headers, payload) in [
        (&subject, binary, r#"{"password":"hunter2"}"#),
        (&subject, binary, r#"{"password":"hunter2"#),
        (&run, typed, r#"{"password":"hunter2"}"#),
        (&subject, &[], r#"{"specversion":"1.0","data":{"password":"hunter2"}}"#),
        (&run, &[], r#"{"type":"endpoint.updated","data":{"password":"hunter2"}}"#),
    ] {
        let headers = headers.to_vec();
        let message = Message { subject: subject.as_bytes(), headers, payload: Bytes::from_static(payload.as_bytes()) };
        let refusal = super::super::admit(&message, chrono::Utc::now()).unwrap_err();
        assert_eq!(refusal.code, Code::SecretInPayload, "{payload}: {refusal}");
        assert!(refusal.reason.contains("data.password") && !refusal.reason.contains("hunter2"), "{refusal}");
    }
    let message = Message {
        subject: run.as_bytes(),
        headers: binary.to_vec(),
        payload: Bytes::from_static(br#"{"context":{"password":"x"}}"#),
    };
    assert_ne!(super::super::admit(&message, chrono::Utc::now()).unwrap_err().code, Code::SecretInPayload);
}

#[test]
fn of_a_message_in_structured_mode_the_attributes_can_be_kept() {
    let kept = |payload: &'static str| {
        let message = Message { subject: b"", headers: Vec::new(), payload: Bytes::from_static(payload.as_bytes()) };
        String::from_utf8(super::super::without_data(&message)).unwrap()
    };
    let with_data = r#"{"id":"1", "data":{"password":"x"},"data_base64":null,"note":true}"#;
    assert_eq!(kept(with_data), r#"{"id":"1","note":true}"#);
    assert_eq!(kept(r#"{"sessiontoken":"x","data":{}}"#), "");
    assert_eq!(kept(r#"{"id":"1","data":{"password":"#), "");
}

#[test]
fn an_object_that_is_named_like_a_secret_holds_one() {
    assert_eq!(path_of(r#"{"auth":{"password":{"value":"hunter2"}}}"#).as_deref(), Some("auth.password.value"));
    assert_eq!(path_of(r#"{"credentials":{"secret_ref":"prod/portal"}}"#), None);
}

/// Each of the million characters is looked at a few times at most; otherwise this takes minutes.
#[test]
fn a_long_key_with_a_long_number_is_read_once() {
    let long = format!(r#"{{"{}":{},"password":"hunter2"}}"#, "k".repeat(500_000), "1".repeat(500_000));
    assert_eq!(path_of(&long).as_deref(), Some("password"));
}
