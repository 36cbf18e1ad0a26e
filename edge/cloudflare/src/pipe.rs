//! The body of a seat stream as a pipe of the platform: what is written here goes to the socket without JavaScript in between.
//! A stream that the platform pulls instead takes less memory, but up to a fifth more processor time for what it sends, and more
//! for each reader that comes: an isolate has one processor.

use std::cell::RefCell;

use bytes::Bytes;
use futures_util::StreamExt;
use nugul_edge_core::fanout::Reader;
use wasm_bindgen_futures::{JsFuture, spawn_local};
use worker::{
    Error, ResponseBody, Result,
    js_sys::{Array, Function, Object, Reflect, Uint8Array, global},
    wasm_bindgen::{JsCast, JsValue, closure::Closure},
    web_sys::{TransformStream, WritableStreamDefaultWriter},
};

/// How many bytes a reader may be behind in its pipe before its frames wait in the room, where they become a snapshot once there
/// are too many.
const BEHIND_BYTES: f64 = 16_384.0;

thread_local! {
    /// <https://developers.cloudflare.com/workers/runtime-apis/streams/transformstream/>
    static CLASS: std::result::Result<Function, JsValue> =
        Reflect::get(&global(), &JsValue::from_str("IdentityTransformStream")).and_then(JsCast::dyn_into);
    static ARGUMENTS: std::result::Result<Array, JsValue> = {
        let options = Object::new();
        let set = Reflect::set(&options, &JsValue::from_str("highWaterMark"), &JsValue::from_f64(BEHIND_BYTES));
        set.map(|_| Array::of1(&options))
    };
    /// Takes the failure of a write; the next look at the pipe finds it closed.
    static TAKEN: Closure<dyn FnMut(JsValue)> = Closure::new(|_| {});
    /// What was written last: most readers of a room get the same.
    static LAST: RefCell<(Bytes, Uint8Array)> = RefCell::new((Bytes::new(), Uint8Array::new_with_length(0)));
}

/// A body of what this reader gets.
///
/// # Errors
///
/// Where the platform has no such pipe.
pub(crate) fn body(reader: Reader) -> Result<ResponseBody> {
    let made = CLASS.with(|class| ARGUMENTS.with(|arguments| Reflect::construct(class.as_ref()?, arguments.as_ref()?)));
    // It has what a `TransformStream` has, and no class that the bindings know.
    let pipe: TransformStream = made.map_err(Error::from)?.unchecked_into();
    let writer = pipe.writable().get_writer()?;
    spawn_local(write(reader, writer));
    Ok(ResponseBody::Stream(pipe.readable()))
}

/// Writes until the stream ends or nobody reads it.
async fn write(mut reader: Reader, to: WritableStreamDefaultWriter) {
    while let Some(piece) = reader.next().await {
        let written = to.write_with_chunk(&array(piece));
        TAKEN.with(|taken| drop(written.catch(taken)));
        let has_room = match to.desired_size() {
            Ok(Some(room)) => room > 0.0,
            Ok(None) | Err(_) => return,
        };
        if !has_room && JsFuture::from(to.ready()).await.is_err() {
            return;
        }
    }
    // Where it fails, nobody reads any more.
    let _ = JsFuture::from(to.close()).await;
}

/// The piece as JavaScript has it.
fn array(piece: Bytes) -> Uint8Array {
    LAST.with_borrow_mut(|(last, array)| {
        if last.as_ptr() != piece.as_ptr() || last.len() != piece.len() {
            *array = Uint8Array::from(&piece[..]);
            *last = piece;
        }
        array.clone()
    })
}
