//! The value of `--engine`.

use engines::kinds::Engine;

/// The engine of this name.
pub fn engine(name: &str) -> Result<Engine, String> {
    let names = Engine::ALL.map(Engine::name);
    let known = Engine::ALL.into_iter().find(|engine| engine.name() == name);
    known.ok_or_else(|| machine::error::unknown("engine", name, &names))
}
