//! PostgreSQL 15's own output for each value, in text and binary.

use std::sync::Arc;

use bytes::BytesMut;
use datafusion::arrow::array::{
    ArrayRef, BinaryArray, BooleanArray, Date32Array, Decimal128Array, Float32Array, Float64Array,
    Int16Array, Int32Array, Int64Array, IntervalMonthDayNanoArray, ListArray, RecordBatch,
    StringArray, Time64MicrosecondArray, TimestampMicrosecondArray, UInt32Array, UInt64Array,
};
use datafusion::arrow::datatypes::{
    DataType, Field, Int16Type, Int32Type, IntervalMonthDayNano, Schema,
};
use datafusion::common::ScalarValue;

use super::*;

fn shown(array: ArrayRef, type_oid: u32, zone: &Zone) -> String {
    let column = value::Column::new(&array).unwrap();
    let mut out = String::new();
    text::write(&column.value(0), type_oid, zone, &mut out).unwrap();
    out
}

fn text_of(array: impl Into<ArrayRef>, type_oid: u32) -> String {
    shown(array.into(), type_oid, &Zone::Utc)
}

fn binary_of(array: impl Into<ArrayRef>, type_oid: u32) -> Vec<u8> {
    let array = array.into();
    let column = value::Column::new(&array).unwrap();
    let mut out = BytesMut::new();
    binary::write(&column.value(0), type_oid, &mut out).unwrap();
    out.to_vec()
}

fn arc(array: impl datafusion::arrow::array::Array + 'static) -> ArrayRef {
    Arc::new(array)
}

#[test]
fn plain_values_as_text() {
    assert_eq!(text_of(arc(BooleanArray::from(vec![true])), oid::BOOL), "t");
    assert_eq!(text_of(arc(BooleanArray::from(vec![false])), oid::BOOL), "f");
    assert_eq!(text_of(arc(Int16Array::from(vec![-7])), oid::INT2), "-7");
    assert_eq!(text_of(arc(Int64Array::from(vec![i64::MIN])), oid::INT8), i64::MIN.to_string());
    assert_eq!(text_of(arc(UInt32Array::from(vec![u32::MAX])), oid::OID), "4294967295");
    assert_eq!(text_of(arc(UInt64Array::from(vec![0x16_B374_D848])), oid::PG_LSN), "16/B374D848");
    assert_eq!(text_of(arc(Int64Array::from(vec![0])), oid::PG_LSN), "0/0");
    assert_eq!(text_of(arc(StringArray::from(vec!["é"])), oid::TEXT), "é");
    let bytes = BinaryArray::from(vec![&[0xDE, 0xAD, 0][..]]);
    assert_eq!(text_of(arc(bytes), oid::BYTEA), "\\xdead00");
    let decimal = |value: i128, scale: i8| {
        let array = Decimal128Array::from(vec![value]);
        text_of(arc(array.with_precision_and_scale(38, scale).unwrap()), oid::NUMERIC)
    };
    assert_eq!(decimal(-125_000, 6), "-0.125000");
    assert_eq!(decimal(12_345, 2), "123.45");
    assert_eq!(decimal(0, 0), "0");
}

#[test]
fn floats_are_shortest() {
    let rows: [(f64, &str); 14] = [
        (0.0, "0"),
        (-0.0, "-0"),
        (1.0, "1"),
        (0.1, "0.1"),
        (100.0, "100"),
        (123.456, "123.456"),
        (1e14, "100000000000000"),
        (1e15, "1e+15"),
        (1.5e300, "1.5e+300"),
        (0.0001, "0.0001"),
        (0.000_01, "1e-05"),
        (f64::NAN, "NaN"),
        (f64::NEG_INFINITY, "-Infinity"),
        (1.234_567_890_123_456_8e17, "1.2345678901234568e+17"),
    ];
    for (value, expected) in rows {
        assert_eq!(text_of(arc(Float64Array::from(vec![value])), oid::FLOAT8), expected);
    }
    let rows: [(f32, &str); 4] =
        [(0.1, "0.1"), (100_000.0, "100000"), (1e6, "1e+06"), (1_234_567.0, "1.234567e+06")];
    for (value, expected) in rows {
        assert_eq!(text_of(arc(Float32Array::from(vec![value])), oid::FLOAT4), expected);
    }
}

const MOMENT: i64 = 1_767_323_045_123_456;

#[test]
fn dates_and_times_as_text() {
    let stamp = |micros: i64| arc(TimestampMicrosecondArray::from(vec![micros]));
    assert_eq!(text_of(stamp(MOMENT), oid::TIMESTAMPTZ), "2026-01-02 03:04:05.123456+00");
    assert_eq!(text_of(stamp(MOMENT - 3_456), oid::TIMESTAMP), "2026-01-02 03:04:05.12");
    assert_eq!(text_of(stamp(MOMENT - 123_456), oid::TIMESTAMPTZ), "2026-01-02 03:04:05+00");
    assert_eq!(text_of(stamp(-1), oid::TIMESTAMP), "1969-12-31 23:59:59.999999");
    assert_eq!(text_of(stamp(i64::MAX), oid::TIMESTAMPTZ), "infinity");
    let zoned = |name: &str| shown(stamp(MOMENT), oid::TIMESTAMPTZ, &Zone::parse(name).unwrap());
    assert_eq!(zoned("Asia/Kolkata"), "2026-01-02 08:34:05.123456+05:30");
    assert_eq!(zoned("America/New_York"), "2026-01-01 22:04:05.123456-05");
    assert_eq!(zoned("+08:00"), "2026-01-02 11:04:05.123456+08");
    assert_eq!(zoned("-3"), "2026-01-02 00:04:05.123456-03");
    assert!(Zone::parse("Nowhere/Land").is_none());

    let date = |days: i32| text_of(arc(Date32Array::from(vec![days])), oid::DATE);
    assert_eq!(date(0), "1970-01-01");
    assert_eq!(date(DAYS_OF_LEAP), "2024-02-29");
    assert_eq!(date(-719_163), "0001-12-31 BC");
    let time = arc(Time64MicrosecondArray::from(vec![3_723_000_001]));
    assert_eq!(text_of(time, oid::TIME), "01:02:03.000001");
}

const DAYS_OF_LEAP: i32 = 19_782;

#[test]
fn intervals_as_text() {
    let rows = [
        ((0, 0, 0), "00:00:00"),
        ((14, 3, 14_706_700_000), "1 year 2 mons 3 days 04:05:06.7"),
        ((0, -1, 3_600_000_000), "-1 days +01:00:00"),
        ((0, 0, -1_500_000), "-00:00:01.5"),
        ((1, 0, 0), "1 mon"),
    ];
    for ((months, days, micros), expected) in rows {
        let interval = IntervalMonthDayNano::new(months, days, micros * 1_000);
        let array = arc(IntervalMonthDayNanoArray::from(vec![interval]));
        assert_eq!(text_of(array, oid::INTERVAL), expected);
    }
}

fn texts(values: &[Option<&str>]) -> ArrayRef {
    let inner = StringArray::from(values.to_vec());
    let field = Arc::new(Field::new_list_field(DataType::Utf8, true));
    let offsets = datafusion::arrow::buffer::OffsetBuffer::from_lengths([values.len()]);
    arc(ListArray::new(field, offsets, arc(inner), None))
}

#[test]
fn arrays_as_text() {
    let numbers = ListArray::from_iter_primitive::<Int32Type, _, _>([Some([Some(1), None])]);
    assert_eq!(text_of(arc(numbers), 1007), "{1,NULL}");
    let hard = [Some("a b"), Some(""), Some("null"), Some("q\"\\"), Some("x"), None];
    assert_eq!(text_of(texts(&hard), 1009), r#"{"a b","","null","q\"\\",x,NULL}"#);
    assert_eq!(text_of(texts(&[]), 1009), "{}");
    let vector = ListArray::from_iter_primitive::<Int16Type, _, _>([Some([Some(1), Some(2)])]);
    assert_eq!(text_of(arc(vector), oid::INT2VECTOR), "1 2");
}

#[test]
fn binary_values() {
    assert_eq!(binary_of(arc(BooleanArray::from(vec![true])), oid::BOOL), [1]);
    assert_eq!(binary_of(arc(Int64Array::from(vec![5])), oid::INT4), [0, 0, 0, 5]);
    assert_eq!(binary_of(arc(Int32Array::from(vec![-1])), oid::INT8), [0xFF; 8]);
    assert_eq!(binary_of(arc(StringArray::from(vec!["u"])), oid::CHAR), *b"u");
    assert_eq!(binary_of(arc(StringArray::from(vec![""])), oid::CHAR), [0]);
    assert_eq!(
        binary_of(arc(StringArray::from(vec!["0/A"])), oid::PG_LSN),
        [0, 0, 0, 0, 0, 0, 0, 10]
    );
    let stamp = arc(TimestampMicrosecondArray::from(vec![946_684_800_000_001]));
    assert_eq!(binary_of(stamp, oid::TIMESTAMPTZ), [0, 0, 0, 0, 0, 0, 0, 1]);
    assert_eq!(binary_of(arc(Date32Array::from(vec![10_958])), oid::DATE), [0, 0, 0, 1]);
    let numbers = ListArray::from_iter_primitive::<Int16Type, _, _>([Some([Some(7), None])]);
    let expected = [
        &[0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, 21, 0, 0, 0, 2, 0, 0, 0, 1][..],
        &[0, 0, 0, 2, 0, 7, 0xFF, 0xFF, 0xFF, 0xFF],
    ]
    .concat();
    assert_eq!(binary_of(arc(numbers), 1005), expected);
}

#[test]
fn a_value_that_does_not_fit_its_type_is_an_error() {
    let array: ArrayRef = arc(Int64Array::from(vec![70_000]));
    let column = value::Column::new(&array).unwrap();
    let mut out = BytesMut::new();
    let refused = binary::write(&column.value(0), oid::INT2, &mut out).unwrap_err();
    assert_eq!(refused.state.code(), "22003");
    let refused = binary::write(&column.value(0), oid::TIMESTAMP, &mut out).unwrap_err();
    assert_eq!(refused.state.code(), "XX000");
}

#[test]
fn numeric_goes_there_and_back() {
    for text in ["0", "1", "-1.5", "10000", "0.0001", "123456789.000100", "-99999999.9", "0.00"] {
        let mut bytes = BytesMut::new();
        number::numeric_binary(text, &mut bytes);
        assert_eq!(number::numeric_text(&bytes).as_deref(), Some(text));
    }
    // select numeric_send(12345.678)
    let mut bytes = BytesMut::new();
    number::numeric_binary("12345.678", &mut bytes);
    assert_eq!(bytes.to_vec(), [0, 3, 0, 1, 0, 0, 0, 3, 0, 1, 0x09, 0x29, 0x1A, 0x7C]);
    assert_eq!(number::numeric_text(&[0, 1, 0, 0, 0, 0, 0, 0]), None);
}

fn parameter(text: &str, type_oid: u32) -> Result<ScalarValue, crate::frontend::Failure> {
    decode_parameter(Some(text.as_bytes()), type_oid, Format::Text, &Zone::Utc)
}

#[test]
fn parameters_as_text() {
    let zone = || Some("+00:00".into());
    let rows = [
        ("t", oid::BOOL, ScalarValue::Boolean(Some(true))),
        ("off", oid::BOOL, ScalarValue::Boolean(Some(false))),
        (" 42 ", oid::INT4, ScalarValue::Int32(Some(42))),
        ("26", oid::OID, ScalarValue::UInt32(Some(26))),
        ("\\xDEad", oid::BYTEA, ScalarValue::Binary(Some(vec![0xDE, 0xAD]))),
        ("1/A", oid::PG_LSN, ScalarValue::UInt64(Some(1 << 32 | 10))),
        ("2024-02-29", oid::DATE, ScalarValue::Date32(Some(DAYS_OF_LEAP))),
        (
            "2026-01-02 05:04:05.123456+02",
            oid::TIMESTAMPTZ,
            ScalarValue::TimestampMicrosecond(Some(MOMENT), zone()),
        ),
        (
            "2026-01-02T03:04:05.123456",
            oid::TIMESTAMP,
            ScalarValue::TimestampMicrosecond(Some(MOMENT), None),
        ),
        ("-1.5e1", oid::NUMERIC, ScalarValue::Decimal128(Some(-150_000_000_000), 38, 10)),
        (" x ", oid::TEXT, ScalarValue::Utf8(Some(" x ".to_owned()))),
    ];
    for (text, type_oid, expected) in rows {
        assert_eq!(parameter(text, type_oid).unwrap(), expected, "{text}");
    }
    let list = parameter(r#"{a,"b c",NULL}"#, 1009).unwrap();
    let ScalarValue::List(list) = list else { panic!("{list:?}") };
    assert_eq!(text_of(arc(list.as_ref().clone()), 1009), r#"{a,"b c",NULL}"#);
}

#[test]
fn bad_parameters_are_named() {
    let rows = [
        ("x", oid::INT4, "22P02"),
        ("99999999999", oid::INT4, "22003"),
        ("2023-02-29", oid::DATE, "22007"),
        ("2026-01-02 25:00:00", oid::TIMESTAMP, "22007"),
        ("maybe", oid::BOOL, "22P02"),
        ("{1,x}", 1007, "22P02"),
        ("1.2.3", oid::NUMERIC, "22P02"),
    ];
    for (text, type_oid, code) in rows {
        assert_eq!(parameter(text, type_oid).unwrap_err().state.code(), code, "{text}");
    }
    let binary = |bytes: &[u8], oid| decode_parameter(Some(bytes), oid, Format::Binary, &Zone::Utc);
    assert_eq!(binary(&[0, 0, 1], oid::INT4).unwrap_err().state.code(), "22P03");
    // An array that claims more elements than there are bytes.
    let array = [0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 23, 0x7F, 0xFF, 0xFF, 0xFF, 0, 0, 0, 1];
    assert_eq!(binary(&array, 1007).unwrap_err().state.code(), "22P03");
}

/// What the encoder writes in binary, the decoder of parameters reads.
#[test]
fn binary_goes_there_and_back() {
    let values: Vec<(ScalarValue, u32)> = vec![
        (ScalarValue::Boolean(Some(true)), oid::BOOL),
        (ScalarValue::Int16(Some(-3)), oid::INT2),
        (ScalarValue::Int64(Some(1 << 40)), oid::INT8),
        (ScalarValue::UInt32(Some(9)), oid::OID),
        (ScalarValue::Float64(Some(-0.5)), oid::FLOAT8),
        (ScalarValue::Utf8(Some("ü".to_owned())), oid::VARCHAR),
        (ScalarValue::Date32(Some(3)), oid::DATE),
        (ScalarValue::TimestampMicrosecond(Some(MOMENT), Some("+00:00".into())), oid::TIMESTAMPTZ),
        (ScalarValue::Decimal128(Some(15_000_000_000), 38, 10), oid::NUMERIC),
    ];
    for (value, type_oid) in values {
        let bytes = binary_of(value.to_array().unwrap(), type_oid);
        let read = decode_parameter(Some(&bytes), type_oid, Format::Binary, &Zone::Utc).unwrap();
        assert_eq!(read, value);
    }
}

#[test]
fn a_copy_line_escapes_what_would_end_a_field() {
    let schema = Schema::new(vec![
        Field::new("a", DataType::Utf8, true),
        Field::new("b", DataType::Utf8, true),
    ]);
    let batch = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            arc(StringArray::from(vec![Some("x\ty\\z\n")])),
            arc(StringArray::from(vec![None::<&str>])),
        ],
    )
    .unwrap();
    let formats = [Format::Text; 2];
    let mut writer = RowWriter::new(&batch, &[25, 25], &formats, &Zone::Utc).unwrap();
    let mut out = BytesMut::new();
    copy_row(&mut writer, 0, &mut out).unwrap();
    assert_eq!(out.as_ref(), b"x\\ty\\\\z\\n\t\\N\n");
}
