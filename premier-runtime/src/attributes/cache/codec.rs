//! How a value gets into a shared store and back, where its type can.

use std::marker::PhantomData;

/// What can be cached: every hit is a clone.
#[diagnostic::on_unimplemented(
    message = "a value of type `{Self}` cannot be cached",
    label = "is not `Clone + Send + Sync + 'static`",
    note = "every hit of #[cache] is a clone, for any thread: for a type that is not `Clone`, return an `Arc` of it"
)]
pub trait CacheValue: Clone + Send + Sync + 'static {}

#[diagnostic::do_not_recommend]
impl<T: Clone + Send + Sync + 'static> CacheValue for T {}

/// How a type is written and read; neither where it has no serde.
#[derive(Debug)]
pub struct Codec<T> {
    pub(super) encode: Option<Encode<T>>,
    pub(super) decode: Option<Decode<T>>,
}

type Encode<T> = fn(&T) -> Result<Vec<u8>, String>;
type Decode<T> = fn(&[u8]) -> Result<T, String>;

impl<T> Clone for Codec<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for Codec<T> {}

/// Stands for the type of a value. The expansion calls a method on `&&Probe`; the compiler takes
/// the first trait below whose bounds the type meets.
#[derive(Debug)]
pub struct Probe<T>(PhantomData<fn() -> T>);

impl<T: CacheValue> Probe<T> {
    /// For what a function yields.
    pub fn of<R>(_: fn(R) -> Option<T>) -> Self {
        Self(PhantomData)
    }
}

/// Of types with serde.
pub trait CodecBySerde {
    /// What is cached.
    type Value;
    /// By serde.
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

/// Of last resort: the value stays in this process.
pub trait CodecByMemory {
    /// What is cached.
    type Value;
    /// None.
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

/// As JSON after the name of the type: readable, and telling when another version of the type has
/// written it.
#[cfg(feature = "redis")]
mod shared {
    use std::any::type_name;

    use serde::Serialize;
    use serde::de::DeserializeOwned;

    pub(super) fn encode<T: Serialize>(value: &T) -> Result<Vec<u8>, String> {
        let mut bytes = Vec::from(type_name::<T>());
        bytes.push(b'\n');
        serde_json::to_writer(&mut bytes, value).map_err(|error| error.to_string())?;
        Ok(bytes)
    }

    /// Only what reads back as what was written: JSON has no NaN, for one.
    pub(super) fn encode_checked<T: Serialize + DeserializeOwned>(
        value: &T,
    ) -> Result<Vec<u8>, String> {
        let bytes = encode(value)?;
        match encode(&decode::<T>(&bytes)?)? == bytes {
            true => Ok(bytes),
            false => Err("it reads back as another value".to_owned()),
        }
    }

    /// A field that the type does not know is an error as much as one that is missing.
    pub(super) fn decode<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, String> {
        let json = bytes
            .strip_prefix(type_name::<T>().as_bytes())
            .and_then(|rest| rest.strip_prefix(b"\n"))
            .ok_or("it is of another type")?;
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
        fn what_does_not_read_back_is_not_written() {
            use std::collections::HashMap;

            assert!(encode_checked(&f64::NAN).is_err());
            assert!(encode_checked(&HashMap::from([((1, 2), 3)])).is_err());
            for number in [907.303_832_202_868_9_f64, f64::MIN_POSITIVE, f64::MAX, -0.0] {
                let bytes = encode_checked(&number).unwrap();
                assert_eq!(decode::<f64>(&bytes).unwrap().to_bits(), number.to_bits());
            }
        }

        #[test]
        fn what_another_version_wrote_is_not_read() {
            let user = User {
                id: 1,
                name: "a\nb".into(),
            };
            let bytes = encode(&user).unwrap();
            assert_eq!(decode::<User>(&bytes).unwrap(), user);
            let text = String::from_utf8(bytes).unwrap();
            for other in [
                text.replace("\"id\":1", "\"id\":1,\"age\":3"),
                text.replace("\"id\":1,", ""),
                text.replace("User", "OldUser"),
                text.replace("\"id\":1", "\"id\":-1"),
                text.clone() + "x",
                String::new(),
            ] {
                assert!(decode::<User>(other.as_bytes()).is_err(), "{other}");
            }
        }
    }
}
