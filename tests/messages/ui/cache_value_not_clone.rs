use premier::cache;

struct Page;

#[cache]
fn page(id: u32) -> Page {
    let _ = id;
    Page
}

fn main() {}
