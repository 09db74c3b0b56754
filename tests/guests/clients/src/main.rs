//! A program that makes requests with client libraries as they come from crates.io: `clients LIBRARY WHAT URL...`.

use futures_util::stream::{FuturesUnordered, StreamExt, iter};
use std::error::Error;
use wstd::http::{Body, Client, Request, Response};

type Done = Result<(), Box<dyn Error>>;

fn main() -> Done {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["wstd", "get", url] => wstd::runtime::block_on(get(url)),
        ["wstd", "post", url, ref pieces @ ..] => wstd::runtime::block_on(post(url, pieces)),
        ["wstd", "race", site, count] => wstd::runtime::block_on(race(site, count.parse()?)),
        ["wstd", "rounds", site, count] => wstd::runtime::block_on(rounds(site, count.parse()?)),
        ["waki", "get", url] => tell(waki::Client::new().get(url).header("x-is", "1").send()?),
        ["waki", "post", url, body] => tell(waki::Client::new().post(url).header("x-is", "1").body(body).send()?),
        _ => Err("usage: clients LIBRARY WHAT URL...".into()),
    }
}

fn tell(response: waki::Response) -> Done {
    println!("{}", response.status_code());
    println!("cookies {:?}", response.header("set-cookie").map(|value| value.to_str().map(str::to_owned)));
    println!("{}", String::from_utf8(response.body()?)?);
    Ok(())
}

async fn body_of(response: Response<Body>) -> Result<String, Box<dyn Error>> {
    Ok(response.into_body().str_contents().await?.to_owned())
}

async fn get(url: &str) -> Done {
    let request = Request::get(url).header("x-is", "1").header("accept-encoding", "identity").body(Body::empty())?;
    let response = Client::new().send(request).await?;
    println!("{}", response.status());
    println!("cookies {:?}", response.headers().get_all("set-cookie").iter().collect::<Vec<_>>());
    println!("location {:?}", response.headers().get("location"));
    println!("{}", body_of(response).await?);
    Ok(())
}

/// Sends a body in pieces.
async fn post(url: &str, pieces: &[&str]) -> Done {
    let pieces: Vec<String> = pieces.iter().map(|piece| (*piece).to_owned()).collect();
    let request = Request::post(url).header("content-type", "text/plain").body(Body::from_stream(iter(pieces)))?;
    let response = Client::new().send(request).await?;
    println!("{}", response.status());
    println!("{}", body_of(response).await?);
    Ok(())
}

/// Makes many requests at once, and tells the site of each answer when it has it.
async fn race(site: &str, count: u32) -> Done {
    let ask = async |number: u32| -> Result<String, Box<dyn Error>> {
        let request = Request::get(format!("{site}/race/{number}")).body(Body::empty())?;
        body_of(Client::new().send(request).await?).await
    };
    let mut under_way: FuturesUnordered<_> = (0..count).map(ask).collect();
    while let Some(answer) = under_way.next().await {
        let answer = answer?;
        println!("{answer}");
        let request = Request::get(format!("{site}/read/{answer}")).body(Body::empty())?;
        Client::new().send(request).await?;
    }
    Ok(())
}

/// Reads and posts by turns.
async fn rounds(site: &str, count: u32) -> Done {
    for number in 0..count {
        let request = Request::get(format!("{site}/{number}")).body(Body::empty())?;
        let read = body_of(Client::new().send(request).await?).await?;
        let request = Request::post(format!("{site}/{number}")).body(Body::from(format!("about {read}")))?;
        println!("{number}: {read}, {}", body_of(Client::new().send(request).await?).await?);
    }
    Ok(())
}
