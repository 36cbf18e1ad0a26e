//! The contract of a version never breaks: what was once published stays as it was, and every name follows the rules.
//!
//! `tests/published.txt` has one line for each thing a peer may rely on. A line may be added, never changed or taken away;
//! `UPDATE_GOLDEN=1 cargo test -p nugul-proto` adds the new ones and refuses to drop an old one.
use std::collections::BTreeSet;
use std::path::Path;

use nugul_proto::FILE_DESCRIPTOR_SET;
use prost::Message;
use prost_types::field_descriptor_proto::{Label, Type};
use prost_types::{EnumDescriptorProto, FieldDescriptorProto, FileDescriptorProto, FileDescriptorSet};

fn file() -> FileDescriptorProto {
    let set = FileDescriptorSet::decode(FILE_DESCRIPTOR_SET).expect("the description is whole");
    assert_eq!(set.file.len(), 1);
    set.file.into_iter().next().expect("one file")
}

fn kind(field: &FieldDescriptorProto) -> String {
    let label = match field.label() {
        Label::Repeated => "repeated ",
        _ if field.proto3_optional() => "optional ",
        _ => "",
    };
    let name = match field.r#type() {
        Type::Message | Type::Enum => field.type_name().to_owned(),
        other => format!("{other:?}").to_lowercase(),
    };
    format!("{label}{name}")
}

fn enum_lines(of: &EnumDescriptorProto) -> impl Iterator<Item = String> {
    of.value.iter().map(move |value| format!("enum {} {} = {}", of.name(), value.name(), value.number()))
}

/// Everything a peer may rely on, one line each.
fn published(file: &FileDescriptorProto) -> BTreeSet<String> {
    let mut lines = BTreeSet::new();
    for service in &file.service {
        for method in &service.method {
            let stream = |is: bool| if is { "stream " } else { "" };
            lines.insert(format!(
                "rpc {}.{}({}{}) returns ({}{})",
                service.name(),
                method.name(),
                stream(method.client_streaming()),
                method.input_type(),
                stream(method.server_streaming()),
                method.output_type()
            ));
        }
    }
    for message in &file.message_type {
        assert!(message.nested_type.is_empty() && message.enum_type.is_empty(), "{} nests", message.name());
        for field in &message.field {
            lines.insert(format!("message {} {} {} = {}", message.name(), kind(field), field.name(), field.number()));
        }
    }
    lines.extend(file.enum_type.iter().flat_map(enum_lines));
    lines
}

#[test]
fn what_was_published_stays() {
    let golden = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/published.txt");
    let now = published(&file());
    let before: BTreeSet<String> =
        std::fs::read_to_string(&golden).unwrap_or_default().lines().map(str::to_owned).collect();
    let gone: Vec<_> = before.difference(&now).collect();
    assert!(gone.is_empty(), "a peer that is not updated would break: {gone:#?}");
    if std::env::var_os("UPDATE_GOLDEN").is_some_and(|v| v == "1") {
        let text: String = now.iter().map(|line| format!("{line}\n")).collect();
        std::fs::write(&golden, text).expect("golden file is written");
        return;
    }
    let new: Vec<_> = now.difference(&before).collect();
    assert!(new.is_empty(), "publish what is new with UPDATE_GOLDEN=1: {new:#?}");
}

#[test]
fn a_break_is_noticed() {
    let good = file();
    let before = published(&good);
    // (what is changed)
    let breaks: [fn(&mut FileDescriptorProto); 6] = [
        |file| drop(file.message_type[0].field.remove(0)),
        |file| file.message_type[0].field[0].number = Some(99),
        |file| file.message_type[0].field[0].set_type(Type::Bytes),
        |file| file.message_type[0].field[0].set_label(Label::Repeated),
        |file| file.service[0].method[0].server_streaming = Some(true),
        |file| file.enum_type[0].value[1].number = Some(99),
    ];
    for (i, change) in breaks.into_iter().enumerate() {
        let mut bad = good.clone();
        change(&mut bad);
        assert!(!before.is_subset(&published(&bad)), "{i}");
    }
}

fn is_snake(name: &str) -> bool {
    name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_')
}

fn is_camel(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_uppercase()) && name.bytes().all(|b| b.is_ascii_alphanumeric())
}

/// `PaymentState` as `PAYMENT_STATE_`.
fn prefix(name: &str) -> String {
    let mut prefix = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !prefix.is_empty() {
            prefix.push('_');
        }
        prefix.push(c.to_ascii_uppercase());
    }
    prefix + "_"
}

#[test]
fn names_follow_the_rules() {
    let file = file();
    assert_eq!(file.package(), "nugul.payment.v1");
    for message in &file.message_type {
        assert!(is_camel(message.name()), "{}", message.name());
        for field in &message.field {
            assert!(is_snake(field.name()), "{}.{}", message.name(), field.name());
        }
    }
    for of in &file.enum_type {
        assert_eq!(of.value[0].name(), prefix(of.name()) + "UNSPECIFIED", "{}", of.name());
        assert_eq!(of.value[0].number(), 0);
        assert!(of.value.iter().all(|value| value.name().starts_with(&prefix(of.name()))), "{}", of.name());
    }
    for method in file.service.iter().flat_map(|service| &service.method) {
        assert!(is_camel(method.name()), "{}", method.name());
    }
}

#[test]
fn everything_is_explained() {
    let text = include_str!("../proto/nugul/payment/v1/payment.proto");
    let mut before = "";
    for line in text.lines().map(str::trim) {
        let declares = line.ends_with(';') && line.contains(" = ") && !line.starts_with("syntax");
        if declares || ["message ", "enum ", "rpc ", "service "].iter().any(|word| line.starts_with(word)) {
            assert!(before.starts_with("//"), "without a comment: {line}");
        }
        before = line;
    }
}
