"use strict";

// Times are seconds and sizes are bytes, as in the records.

const SECONDS_PER = { ms: 0.001, s: 1, m: 60, min: 60, h: 3600, d: 86400 };
const BYTES_PER = {
  b: 1, kb: 1e3, mb: 1e6, gb: 1e9, tb: 1e12,
  kib: 2 ** 10, mib: 2 ** 20, gib: 2 ** 30, tib: 2 ** 40, k: 2 ** 10, m: 2 ** 20, g: 2 ** 30, t: 2 ** 40,
};

// Parses "1h30m", "90s", "250 ms" to seconds; undefined for anything else.
function parseDuration(text) {
  const part = "([0-9]*\\.?[0-9]+)\\s*(ms|min|s|m|h|d)\\s*";
  const trimmed = text.trim().toLowerCase();
  if (!new RegExp(`^(${part})+$`).test(trimmed)) return undefined;
  const parts = [...trimmed.matchAll(new RegExp(part, "g"))];
  return parts.reduce((sum, [, number, unit]) => sum + Number(number) * SECONDS_PER[unit], 0);
}

// Parses "17GiB", "300 MB" to bytes; undefined for anything else.
function parseSize(text) {
  const part = /^([0-9]*\.?[0-9]+)\s*([kmgt]?i?b|[kmgt])$/.exec(text.trim().toLowerCase());
  const bytes = part && Number(part[1]) * BYTES_PER[part[2]];
  return bytes > 0 ? bytes : undefined;
}

function parseNumber(text) {
  const number = Number(text);
  return text.trim() !== "" && number >= 0 && Number.isFinite(number) ? number : undefined;
}

function threeDigits(value) {
  if (value >= 99.95) return value.toFixed(0);
  if (value >= 9.995) return value.toFixed(1);
  if (value >= 0.9995) return value.toFixed(2);
  return value.toPrecision(3);
}

function formatSeconds(seconds) {
  if (seconds === null) return "never";
  if (seconds === 0) return "0 s";
  if (seconds < 0.9995) return `${threeDigits(seconds * 1000)} ms`;
  if (seconds < 120) return `${threeDigits(seconds)} s`;
  if (seconds < 7200) return `${threeDigits(seconds / 60)} min`;
  if (seconds < 172800) return `${threeDigits(seconds / 3600)} h`;
  return `${threeDigits(seconds / 86400)} days`;
}

function formatBytes(bytes) {
  const units = ["KiB", "MiB", "GiB", "TiB"];
  let [value, unit] = [bytes / 1024, 0];
  while (value >= 999.5 && unit + 1 < units.length) [value, unit] = [value / 1024, unit + 1];
  return `${threeDigits(value)} ${units[unit]}`;
}

// As a person would type it: "1GiB".
function writeSize(bytes) {
  for (const [unit, factor] of [["GiB", 2 ** 30], ["MiB", 2 ** 20], ["KiB", 2 ** 10]]) {
    if (bytes >= factor && Number.isInteger((bytes / factor) * 100)) return `${bytes / factor}${unit}`;
  }
  return `${bytes}B`;
}
