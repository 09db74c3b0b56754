//! From an `async fn` to the same function and its registration.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote, quote_spanned};
use syn::spanned::Spanned;
use syn::{Attribute, Error, Expr, ExprLit, ItemFn, Lit, LitStr, Meta, Result, ReturnType, Signature};

pub(crate) fn expand(options: TokenStream, item: TokenStream) -> Result<TokenStream> {
    let function: ItemFn = syn::parse2(item)?;
    check(&function.sig)?;
    let name = name(options, &function.sig)?;
    let description = description(&function.attrs);
    let call = call(&name, &function.sig);
    Ok(quote! {
        #function

        const _: () = {
            // Names that the function itself cannot see: it is called from inside here.
            fn __everstep_start(__everstep_args: ::std::string::String) -> ::everstep_sdk::__private::Task {
                #call
            }

            ::everstep_sdk::__private::inventory::submit! {
                ::everstep_sdk::__private::Function::new(
                    #name,
                    #description,
                    ::core::concat!(::core::file!(), ":", ::core::line!()),
                    __everstep_start,
                )
            }
        };
    })
}

/// Spanned at the name, so that a type without serde's traits is reported at its function.
fn call(name: &str, signature: &Signature) -> TokenStream {
    let ident = &signature.ident;
    let function = match signature.inputs.len() {
        1 => quote!(|__everstep_ctx, _: ::everstep_sdk::__private::NoArguments| #ident(__everstep_ctx)),
        _ => quote!(#ident),
    };
    quote_spanned!(ident.span() => ::everstep_sdk::__private::task(#name, __everstep_args, #function))
}

fn check(signature: &Signature) -> Result<()> {
    const SHAPE: &str = "a durable function is `async fn name(ctx: Context, args: Args) -> Result<T, E>`";
    let refuse = |at: &dyn ToTokens, why: &str| Err(Error::new(at.span(), format!("{SHAPE}: {why}")));
    if signature.asyncness.is_none() {
        return refuse(&signature.fn_token, "this one is not `async`");
    }
    if !signature.generics.params.is_empty() {
        return refuse(&signature.generics, "it has no generic parameters, since its caller is outside");
    }
    if let Some(receiver) = signature.receiver() {
        return refuse(receiver, "it has no `self`, since its caller is outside");
    }
    match signature.inputs.len() {
        0 => refuse(&signature.ident, "the context is missing"),
        1 | 2 => match signature.output {
            ReturnType::Default => refuse(&signature.ident, "the `Result` is missing"),
            ReturnType::Type(..) => Ok(()),
        },
        _ => refuse(&signature.inputs, "put several arguments into one struct"),
    }
}

fn name(options: TokenStream, signature: &Signature) -> Result<String> {
    let mut name = signature.ident.to_string().trim_start_matches("r#").to_owned();
    let parser = syn::meta::parser(|meta| {
        if !meta.path.is_ident("name") {
            return Err(meta.error("the only option is `name = \"...\"`"));
        }
        let literal: LitStr = meta.value()?.parse()?;
        name = literal.value();
        match name.is_empty() {
            true => Err(Error::new(literal.span(), "a function needs a name")),
            false => Ok(()),
        }
    });
    syn::parse::Parser::parse2(parser, options)?;
    Ok(name)
}

/// The first paragraph of the documentation, on one line.
fn description(attributes: &[Attribute]) -> String {
    let text: Vec<_> = attributes.iter().filter_map(doc_line).collect();
    let text = text.join("\n");
    let lines = text.split('\n').map(str::trim);
    let paragraph = lines.skip_while(|line| line.is_empty()).take_while(|line| !line.is_empty());
    paragraph.collect::<Vec<_>>().join(" ")
}

fn doc_line(attribute: &Attribute) -> Option<String> {
    match &attribute.meta {
        Meta::NameValue(pair) if pair.path.is_ident("doc") => match &pair.value {
            Expr::Lit(ExprLit { lit: Lit::Str(text), .. }) => Some(text.value()),
            _ => None,
        },
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(item: TokenStream) -> String {
        expand(TokenStream::new(), item).unwrap_err().to_string()
    }

    #[test]
    fn a_function_of_another_shape_is_refused_with_the_reason() {
        assert!(
            refusal(quote!(
                fn f(ctx: Context) -> Result<(), Error> {}
            ))
            .ends_with("not `async`")
        );
        assert!(
            refusal(quote!(
                async fn f() -> Result<(), Error> {}
            ))
            .ends_with("the context is missing")
        );
        assert!(
            refusal(quote!(
                async fn f(ctx: Context) {}
            ))
            .ends_with("the `Result` is missing")
        );
        assert!(
            refusal(quote!(
                async fn f(c: Context, a: A, b: B) -> R {}
            ))
            .ends_with("into one struct")
        );
        assert!(
            refusal(quote!(
                async fn f<T>(ctx: Context, t: T) -> R {}
            ))
            .contains("generic")
        );
        assert!(
            refusal(quote!(
                async fn f(self, ctx: Context) -> R {}
            ))
            .contains("`self`")
        );
    }

    #[test]
    fn the_name_is_that_of_the_function_or_the_one_given() {
        let item = quote!(
            async fn count(ctx: Context) -> R {}
        );
        let signature = syn::parse2::<ItemFn>(item).unwrap().sig;
        assert_eq!(name(quote!(), &signature).unwrap(), "count");
        assert_eq!(name(quote!(name = "count-words"), &signature).unwrap(), "count-words");
        assert!(name(quote!(nam = "x"), &signature).is_err());
        assert!(name(quote!(name = ""), &signature).is_err());
    }

    #[test]
    fn the_description_is_the_first_paragraph() {
        let item: ItemFn = syn::parse_quote! {
            /// Counts words
            /// in a folder.
            ///
            /// More.
            async fn count(ctx: Context) -> R {}
        };
        assert_eq!(description(&item.attrs), "Counts words in a folder.");
        assert_eq!(description(&[]), "");
    }
}
