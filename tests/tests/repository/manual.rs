//! The manual and the pages of the attributes are one text.

use std::fs;
use std::path::Path;

/// The pages belong to `premier-macros`. A package has only files of its own, so `premier` has links
/// to them, which packing replaces by the files.
#[test]
fn the_manual_contains_the_page_of_each_attribute() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let manual = fs::read_to_string(root.join("premier/src/lib.rs")).unwrap();
    let mut pages = 0;
    for page in fs::read_dir(root.join("premier-macros/docs")).unwrap() {
        let name = page.unwrap().file_name().into_string().unwrap();
        let read = |package: &str| {
            let path = root.join(package).join("docs").join(&name);
            fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
        };
        assert_eq!(read("premier"), read("premier-macros"), "{name}");
        let include = format!("include_str!(\"../docs/{name}\")");
        assert!(manual.contains(&include), "the manual lacks {include}");
        pages += 1;
    }
    assert!(pages > 0);
}
