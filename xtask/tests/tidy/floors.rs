//! The order of the crates, and of the files in each: an import goes down, and never round in a circle.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use petgraph::algo::tarjan_scc;
use petgraph::graphmap::DiGraphMap;
use syn::visit::{self, Visit};
use syn::{Attribute, File, ItemFn, ItemMod, ItemUse, UseTree};

use super::{complain, root, sources};

/// The crates with their folders, from the lowest floor to the highest: each may import those before it.
const FLOORS: [(&str, &str); 8] = [
    ("reports", "reports"),
    ("machine", "harness/machine"),
    ("offsite", "harness/offsite"),
    ("model", "harness/model"),
    ("engines", "harness/engines"),
    ("strategies", "harness/strategies"),
    ("harness", "harness/trial"),
    ("xtask", "xtask"),
];

/// A module by the names on the way from the root of its crate.
type Module = Vec<String>;

/// A path that a file imports or uses.
type Import = Vec<String>;

/// The files of a crate by module, without tests.
struct Crate {
    folder: PathBuf,
    imports: BTreeMap<Module, Imports>,
}

impl Crate {
    fn read(folder: &str) -> Crate {
        let folder = format!("{folder}/src");
        let place = root().join(&folder);
        let files = sources(&folder).into_iter().filter(|(path, _)| !path.ends_with("tests.rs"));
        let imports = files.map(|(path, text)| {
            let file = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            (module_of(path.strip_prefix(&place).unwrap()), imports_of(&file))
        });
        Crate { imports: imports.collect(), folder: place }
    }

    /// The module whose file has what a path in `from` names; `None` outside the crate.
    fn resolve(&self, from: &Module, import: &Import) -> Option<Module> {
        let mut names = import.as_slice();
        let mut place: Module = match names.first()?.as_str() {
            "crate" => Vec::new(),
            "self" => from.clone(),
            "super" => {
                let ups = names.iter().take_while(|name| *name == "super").count();
                names = &names[ups - 1..];
                from[..from.len().checked_sub(ups)?].to_vec()
            }
            child => {
                let mut place = from.clone();
                place.push(child.to_owned());
                self.imports.contains_key(&place).then_some(place)?
            }
        };
        for name in &names[1..] {
            place.push(name.clone());
            if !self.imports.contains_key(&place) {
                place.pop();
                break;
            }
        }
        Some(place)
    }

    /// Each circle as the names of its modules.
    fn circles(&self) -> Vec<String> {
        let modules: Vec<&Module> = self.imports.keys().collect();
        let number = |module: &Module| modules.iter().position(|known| *known == module);
        let mut graph = DiGraphMap::<usize, ()>::new();
        for (from, imports) in &self.imports {
            let to = imports.all().filter_map(|import| number(&self.resolve(from, import)?));
            let from = number(from).expect("it is one of them");
            to.filter(|to| *to != from).for_each(|to| {
                graph.add_edge(from, to, ());
            });
        }
        let circles = tarjan_scc(&graph).into_iter().filter(|circle| circle.len() > 1);
        let named = circles.map(|circle| {
            let names: Vec<String> = circle.iter().map(|number| modules[*number].join("::")).collect();
            format!("{}: {}", self.folder.display(), names.join(" <-> "))
        });
        named.collect()
    }
}

/// `a/b.rs` and `a/b/mod.rs` are both the module a::b.
fn module_of(path: &Path) -> Module {
    let mut names: Module = path
        .with_extension("")
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .collect();
    if matches!(names.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        names.pop();
    }
    names
}

fn imports_of(file: &File) -> Imports {
    let mut imports = Imports::default();
    imports.visit_file(file);
    imports
}

/// Everything that a file names in other modules, outside of tests.
#[derive(Default)]
struct Imports {
    /// What it imports.
    uses: Vec<Import>,
    /// Paths within its code. Their first name may be a crate, a module of the same name, or something imported.
    paths: Vec<Import>,
}

impl Imports {
    fn all(&self) -> impl Iterator<Item = &Import> {
        self.uses.iter().chain(&self.paths)
    }
}

impl<'ast> Visit<'ast> for Imports {
    fn visit_item_mod(&mut self, item: &'ast ItemMod) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_mod(self, item);
        }
    }

    fn visit_item_fn(&mut self, item: &'ast ItemFn) {
        if !is_for_tests(&item.attrs) {
            visit::visit_item_fn(self, item);
        }
    }

    fn visit_item_use(&mut self, item: &'ast ItemUse) {
        if !is_for_tests(&item.attrs) {
            flatten(&item.tree, &mut Vec::new(), &mut self.uses);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        if path.segments.len() > 1 {
            self.paths.push(path.segments.iter().map(|segment| segment.ident.to_string()).collect());
        }
        visit::visit_path(self, path);
    }

    // `pub(super)` says who may see an item, and imports nothing.
    fn visit_visibility(&mut self, _visibility: &'ast syn::Visibility) {}
}

fn is_for_tests(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.path().is_ident("cfg"))
}

fn flatten(tree: &UseTree, way: &mut Vec<String>, imports: &mut Vec<Import>) {
    match tree {
        UseTree::Path(path) => {
            way.push(path.ident.to_string());
            flatten(&path.tree, way, imports);
            way.pop();
        }
        UseTree::Group(group) => group.items.iter().for_each(|tree| flatten(tree, way, imports)),
        UseTree::Name(name) => imports.push(joined(way, &name.ident.to_string())),
        UseTree::Rename(rename) => imports.push(joined(way, &rename.ident.to_string())),
        UseTree::Glob(_) => imports.push(way.clone()),
    }
}

fn joined(way: &[String], last: &str) -> Import {
    let mut import = way.to_vec();
    if last != "self" {
        import.push(last.to_owned());
    }
    import
}

#[test]
fn no_files_import_each_other_in_a_circle() {
    let circles: Vec<String> = FLOORS.iter().flat_map(|(_, folder)| Crate::read(folder).circles()).collect();
    complain("files that import each other", &circles);
}

#[test]
fn each_crate_imports_only_those_below_it() {
    let mut places = Vec::new();
    for (floor, (name, folder)) in FLOORS.iter().enumerate() {
        let above = || FLOORS[floor + 1..].iter().map(|(above, _)| *above);
        let manifest = std::fs::read_to_string(root().join(folder).join("Cargo.toml")).unwrap();
        let depends = above().filter(|above| manifest.contains(&format!("\n{above}.workspace")));
        places.extend(depends.map(|above| format!("{folder}/Cargo.toml: {name} depends on {above}")));
        for (module, imports) in Crate::read(folder).imports {
            let roots = imports.uses.iter().filter_map(|import| import.first());
            let wrong = roots.filter(|root| above().any(|above| above == *root));
            places.extend(wrong.map(|above| format!("{name}: {} imports {above}", module.join("::"))));
        }
    }
    complain("imports against the order of the crates", &places);
}

#[test]
fn a_circle_is_seen_through_groups_parents_and_paths() {
    let crate_with = |modules: &[(&str, &str)]| Crate {
        folder: PathBuf::from("example"),
        imports: modules
            .iter()
            .map(|(module, text)| {
                let names = module.split("::").filter(|name| !name.is_empty()).map(str::to_owned);
                (names.collect(), imports_of(&syn::parse_file(text).unwrap()))
            })
            .collect(),
    };
    let round = [
        ("", ""),
        ("a", "use crate::b::{self, Thing};"),
        ("b", "mod c;"),
        ("b::c", "use super::super::a::x;"),
    ];
    assert_eq!(crate_with(&round).circles(), Vec::<String>::new());
    let round = [("", ""), ("a", "use crate::b::c::Thing;"), ("b", ""), ("b::c", "use super::super::a::x;")];
    assert_eq!(crate_with(&round).circles().len(), 1);
    let parent = [("", ""), ("b", "mod c; pub use c::Thing;"), ("b::c", "use super::Other;")];
    assert_eq!(crate_with(&parent).circles().len(), 1);
    let path = [("", ""), ("a", "use crate::b::x;"), ("b", "fn x() { crate::a::y(); }")];
    assert_eq!(crate_with(&path).circles().len(), 1);
    let tests = [("", ""), ("a", "use crate::b::x;"), ("b", "#[cfg(test)]\nmod tests { use crate::a::y; }")];
    assert_eq!(crate_with(&tests).circles(), Vec::<String>::new());
}
