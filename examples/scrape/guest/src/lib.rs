//! Fetches pages, all at once, and keeps the title and the text of each in a file.

use everstep_sdk::futures::future::join_all;
use everstep_sdk::http::Response;
use everstep_sdk::{Context, Error};
use serde::Serialize;

/// What became of one page.
#[derive(Serialize)]
struct Page {
    url: String,
    /// The file that was written; none when there was nothing to write.
    file: Option<String>,
}

/// Fetches these pages and writes `/out/HOST/NAME.txt` for each that it gets. A page that it may not fetch, or that is not there, is
/// passed over.
#[everstep_sdk::function]
async fn scrape(ctx: Context, pages: Vec<String>) -> Result<Vec<Page>, Error> {
    let responses = join_all(pages.iter().map(|url| ctx.fetch(url.as_str()))).await;
    let mut found = Vec::new();
    for (url, response) in pages.into_iter().zip(responses) {
        let file = match response {
            Ok(response) if response.is_ok() => Some(keep(&ctx, &response)?),
            Ok(response) => {
                ctx.print(format!("{url}: status {}", response.status))?;
                None
            }
            Err(error) => {
                ctx.print(format!("{url}: {error}"))?;
                None
            }
        };
        found.push(Page { url, file });
    }
    Ok(found)
}

/// Writes title and text of a page; returns the path of the file.
fn keep(ctx: &Context, response: &Response) -> Result<String, Error> {
    let html = response.text()?;
    let title = between(html, "<title>", "</title>").unwrap_or("(no title)");
    let body = between(html, "<body>", "</body>").unwrap_or(html);
    let path = format!("/out/{}.txt", name_of(&response.url));
    ctx.write_file(&path, format!("{title}\n\n{}\n", text_of(body)))?;
    ctx.print(format!("{}: {title}", response.url))?;
    Ok(path)
}

/// `http://news.localhost:8047/a/b.html` is kept as `news.localhost/a-b`.
fn name_of(url: &str) -> String {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    let host = authority.split(':').next().unwrap_or(authority);
    let path = path.split('?').next().unwrap_or(path).trim_end_matches(".html").replace('/', "-");
    format!("{host}/{}", if path.is_empty() { "index" } else { &path })
}

fn between<'a>(text: &'a str, start: &str, end: &str) -> Option<&'a str> {
    let (_, rest) = text.split_once(start)?;
    Some(rest.split_once(end)?.0)
}

/// The text between the tags, its white space drawn together.
fn text_of(html: &str) -> String {
    let mut text = String::new();
    for part in html.split('<') {
        text.push_str(part.split_once('>').map_or(part, |(_, text)| text));
        text.push(' ');
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
