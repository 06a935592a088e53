//! Colours and fonts of all plots, as one style sheet that is part of every plot.
//!
//! Each colour is set twice: directly, for programs that do not support custom properties, and as a custom property,
//! so that a page can set the colours of embedded plots. Colour alone never carries meaning: shapes, dashes and words
//! show the same.

/// A colour by its role, with its values on a light and on a dark background.
struct Colour {
    /// The custom property is `--plot-` followed by this name.
    name: &'static str,
    light: &'static str,
    dark: &'static str,
}

const COLOURS: [Colour; 10] = [
    Colour { name: "paper", light: "#ffffff", dark: "#0d1117" },
    Colour { name: "ink", light: "#1f2328", dark: "#e6edf3" },
    Colour { name: "muted", light: "#59636e", dark: "#9aa4af" },
    Colour { name: "grid", light: "#e3e7eb", dark: "#2a313b" },
    Colour { name: "band", light: "#f4f6f8", dark: "#161c24" },
    Colour { name: "good", light: "#0a66b5", dark: "#63abff" },
    Colour { name: "warn", light: "#9a5b00", dark: "#dda032" },
    Colour { name: "bad", light: "#bd2c1e", dark: "#ff8177" },
    Colour { name: "teal", light: "#0b7465", dark: "#4cc2ae" },
    Colour { name: "violet", light: "#7442b8", dark: "#b893f5" },
];

/// A class, a property, and the colour that it is set to.
const RULES: [(&str, &str, &str); 28] = [
    (" .paper", "fill", "paper"),
    (" text", "fill", "ink"),
    (" .muted", "fill", "muted"),
    (" .band", "fill", "band"),
    (" .grid", "stroke", "grid"),
    (" .axis", "stroke", "muted"),
    (" .leader", "stroke", "muted"),
    (" .event", "stroke", "bad"),
    (" .label", "stroke", "paper"),
    (" .good", "fill", "good"),
    (" .good", "stroke", "good"),
    (" .warn", "fill", "warn"),
    (" .warn", "stroke", "warn"),
    (" .bad", "fill", "bad"),
    (" .bad", "stroke", "bad"),
    (" .idle", "fill", "muted"),
    (" .idle", "stroke", "muted"),
    (" .first", "stroke", "good"),
    (" .dot", "fill", "ink"),
    (" .hue-0", "stroke", "good"),
    (" .hue-1", "stroke", "violet"),
    (" .hue-2", "stroke", "teal"),
    (" .hue-3", "stroke", "warn"),
    (" .hue-4", "stroke", "bad"),
    (" .hue-5", "stroke", "ink"),
    (" .hue-6", "stroke", "muted"),
    (" .second", "stroke", "ink"),
    (" .third", "stroke", "muted"),
];

/// The rules that do not set colours.
const SHAPES: &str = "\
.plot{font-family:system-ui,-apple-system,'Segoe UI',Roboto,'Helvetica Neue',Arial,sans-serif;max-width:100%;height:auto}\
.plot text{font-size:13px}\
.plot .title{font-size:19px;font-weight:650}\
.plot .heading{font-size:14px;font-weight:650}\
.plot .small{font-size:12px}\
.plot .label{paint-order:stroke;stroke-width:3.5px;stroke-linejoin:round}\
.plot .grid,.plot .axis,.plot .leader{fill:none;stroke-width:1}\
.plot .event{stroke-width:1.5}\
.plot .mark{stroke-width:1.5}\
.plot .open{fill-opacity:0;stroke-width:2}\
.plot .halo{fill-opacity:.13;stroke-opacity:.55;stroke-width:1}\
.plot .unknown{fill-opacity:0;stroke-dasharray:2 3}\
.plot .line{fill:none;stroke-width:2;stroke-linejoin:round;stroke-linecap:round}\
.plot .measured{fill:none;stroke-width:7;stroke-linecap:round}\
.plot .thin{stroke-width:1.25}\
.plot .dashed{stroke-dasharray:5 4}\
.plot .dotted{stroke-dasharray:1 4}";

/// The style sheet that is part of every plot.
pub(super) fn sheet() -> String {
    let rules = RULES.map(|(class, property, name)| {
        let light = colour(name).light;
        format!(".plot{class}{{{property}:{light};{property}:var(--plot-{name},{light})}}")
    });
    rules.concat() + SHAPES
}

/// Additional rules for a plot in a separate file: they follow the reader's choice of dark mode.
pub(super) fn dark_mode() -> String {
    let properties =
        COLOURS.iter().map(|colour| format!("--plot-{}:{};", colour.name, colour.dark)).collect::<String>();
    format!("@media (prefers-color-scheme:dark){{.plot{{{properties}}}}}")
}

fn colour(name: &str) -> &'static Colour {
    COLOURS.iter().find(|colour| colour.name == name).expect("rules use the colours that there are")
}

#[cfg(test)]
mod tests {
    use super::{COLOURS, Colour, colour};

    /// Relative luminance as WCAG 2 defines it.
    fn luminance(hex: &str) -> f64 {
        let channel = |at: usize| {
            let value = f64::from(u8::from_str_radix(&hex[at..at + 2], 16).unwrap()) / 255.0;
            if value <= 0.040_45 { value / 12.92 } else { ((value + 0.055) / 1.055).powf(2.4) }
        };
        0.2126 * channel(1) + 0.7152 * channel(3) + 0.0722 * channel(5)
    }

    fn contrast(a: &str, b: &str) -> f64 {
        let (a, b) = (luminance(a), luminance(b));
        (a.max(b) + 0.05) / (a.min(b) + 0.05)
    }

    #[test]
    fn text_colours_have_enough_contrast_in_both_modes() {
        let read = |colour: &&Colour| !["paper", "grid", "band"].contains(&colour.name);
        for ground in [colour("paper"), colour("band")] {
            for colour in COLOURS.iter().filter(read) {
                assert!(contrast(colour.light, ground.light) >= 4.5, "{} in light mode", colour.name);
                assert!(contrast(colour.dark, ground.dark) >= 4.5, "{} in dark mode", colour.name);
            }
        }
    }
}
