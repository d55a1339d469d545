//! Encoding values for the shared store, if their type has serde.

use std::marker::PhantomData;

use super::output::CachedOutput;

/// A value that can be cached: every hit returns a clone.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be cached",
    label = "is not `Clone + Send + Sync + 'static`",
    note = "every hit of #[cache] is a clone, for any thread: for a type that is not `Clone`, return an `Arc` of it"
)]
pub trait CacheValue: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> CacheValue for T {}

/// Encodes and decodes values of one type. Both functions are `None` if the type has no serde.
#[derive(Debug)]
pub struct Codec<T> {
    pub(super) encode: Option<Encode<T>>,
    pub(super) decode: Option<Decode<T>>,
}

/// Encodes a value of a call with these arguments.
type Encode<T> = fn(&T, &str) -> Result<Vec<u8>, String>;
/// Decodes a value if it is of a call with these arguments.
type Decode<T> = fn(&[u8], &str) -> Result<T, String>;

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

/// Selects the [`Codec`] of a type. The expansion calls `premier_codec` on `&&Probe<T>`, and method
/// resolution takes [`CodecBySerde`] if `T` has serde, [`CodecByMemory`] otherwise.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

/// Makes the `Probe` for the value of this output.
pub const fn probe<P: CachedOutput<Value: CacheValue>>(_: &P) -> Probe<P::Value> {
    Probe(PhantomData)
}

/// Provides the codec of types with serde.
pub trait CodecBySerde {
    /// The cached type.
    type Value;
    /// Returns a codec that uses serde.
    fn premier_codec(&self) -> Codec<Self::Value>;
}

#[cfg(feature = "redis")]
impl<T: serde::Serialize + serde::de::DeserializeOwned> CodecBySerde for &Probe<T> {
    type Value = T;

    fn premier_codec(&self) -> Codec<T> {
        Codec {
            encode: Some(shared::encode_checked),
            decode: Some(shared::decode),
        }
    }
}

/// Provides the codec of types without serde: their values stay in this process.
pub trait CodecByMemory {
    /// The cached type.
    type Value;
    /// Returns a codec without functions.
    fn premier_codec(&self) -> Codec<Self::Value>;
}

impl<T> CodecByMemory for Probe<T> {
    type Value = T;

    fn premier_codec(&self) -> Codec<T> {
        Codec {
            encode: None,
            decode: None,
        }
    }
}

/// Values as the name of their type, the arguments of their call where the key does not contain them, and JSON.
/// All are readable, and a value that another version of the type has written is recognised.
#[cfg(feature = "redis")]
mod shared {
    use std::any::type_name;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub(super) fn encode<T: Serialize>(value: &T, arguments: &str) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::from(type_name::<T>());
        bytes.extend(arguments.as_bytes());
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, value).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Encodes a value that decodes to the same bytes. Others fail: JSON has no NaN, for example.
    pub(super) fn encode_checked<T: Serialize + DeserializeOwned>(
        value: &T,
        arguments: &str,
    ) -> Result<Vec<u8>, String> {
        let bytes = encode(value, arguments)?;
        match encode(&decode::<T>(&bytes, arguments)?, arguments)? == bytes {
            true => Ok(bytes),
            false => Err("it reads back as another value".to_owned()),
        }
    }

    /// Decodes a value. A field that the type does not have is an error, like one that is missing.
    pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8], arguments: &str) -> Result<T, String> {
        let json = bytes
            .strip_prefix(type_name::<T>().as_bytes())
            .and_then(|rest| rest.strip_prefix(arguments.as_bytes()))
            .and_then(|rest| rest.strip_prefix(b"\n"))
            .ok_or("it is of another type, or of a call with other arguments")?;
        let mut reader = serde_json::Deserializer::from_slice(json);
        let mut unknown = None;
        let value = serde_ignored::deserialize(&mut reader, |path| {
            unknown.get_or_insert_with(|| path.to_string());
        })
        .map_err(|error| error.to_string())?;
        reader.end().map_err(|error| error.to_string())?;
        match unknown {
            Some(field) => Err(format!("it has the unknown field {field:?}")),
            None => Ok(value),
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[derive(Debug, PartialEq, serde::Deserialize, serde::Serialize)]
        struct User {
            id: u64,
            name: String,
        }

        #[test]
        fn values_that_decode_differently_are_not_encoded() {
            use std::collections::HashMap;

            assert!(encode_checked(&f64::NAN, "").is_err());
            assert!(encode_checked(&HashMap::from([((1, 2), 3)]), "").is_err());
            for number in [907.303_832_202_868_9_f64, f64::MIN_POSITIVE, f64::MAX, -0.0] {
                let bytes = encode_checked(&number, "").unwrap();
                assert_eq!(
                    decode::<f64>(&bytes, "").unwrap().to_bits(),
                    number.to_bits()
                );
            }
        }

        #[test]
        fn values_of_another_version_of_a_type_are_not_decoded() {
            let user = User {
                id: 1,
                name: "a\nb".into(),
            };
            let bytes = encode(&user, "").unwrap();
            assert_eq!(decode::<User>(&bytes, "").unwrap(), user);
            let text = String::from_utf8(bytes).unwrap();
            for other in [
                text.replace("\"id\":1", "\"id\":1,\"age\":3"),
                text.replace("\"id\":1,", ""),
                text.replace("User", "OldUser"),
                text.replace("\"id\":1", "\"id\":-1"),
                text.clone() + "x",
                String::new(),
            ] {
                assert!(decode::<User>(other.as_bytes(), "").is_err(), "{other}");
            }
        }
    }
}
