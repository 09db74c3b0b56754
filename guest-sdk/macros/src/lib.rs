//! The attribute `#[everstep_sdk::function]`; its documentation is there. `function` checks and expands it.

use proc_macro::TokenStream;

mod function;

/// Makes an `async fn` a durable function of this component.
///
/// ```ignore
/// /// Counts the words of a folder. (This paragraph becomes the description.)
/// #[everstep_sdk::function]
/// async fn count(ctx: Context, args: Args) -> Result<Totals, Error> { ... }
/// ```
///
/// The arguments are any `Deserialize` type, or are left out; the result is a `Result` of any two `Serialize` types. The name is that of
/// the `async fn`, or the one given: `#[everstep_sdk::function(name = "count-words")]`. The `async fn` itself stays as it is and can be
/// called by others of the crate.
#[proc_macro_attribute]
pub fn function(options: TokenStream, item: TokenStream) -> TokenStream {
    function::expand(options.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
