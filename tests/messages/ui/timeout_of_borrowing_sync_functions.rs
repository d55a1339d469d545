use premier::timeout;

struct Client;

impl Client {
    #[timeout(60)]
    fn get(&self, url: &str, log: &'static str) -> u32 {
        let _ = (url, log);
        1
    }
}

#[timeout(60)]
fn hidden(list: Vec<&str>, pair: [&'static str; 2], text: std::borrow::Cow<'_, str>) -> usize {
    list.len() + pair.len() + text.len()
}

#[timeout(60)]
fn owned(call: fn(&str) -> u32, visit: Box<dyn for<'a> Fn(&'a str) + Send>, list: &'static [&'static str]) {
    let _ = (call, visit, list);
}

fn main() {}
// 4 mistakes
