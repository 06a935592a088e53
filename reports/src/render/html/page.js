// The address of the page holds its state: the entries of the form, and the trial that is shown.

const DATA = JSON.parse(document.getElementById("data").textContent);
// Null in a page whose trials all have faults: they are not compared.
const FORM = document.getElementById("objectives");
const PARSERS = { size: parseSize, number: parseNumber, duration: parseDuration };
const EXAMPLES = { size: "17GiB", number: "50", duration: "90s or 1h30m" };

function parametersOfAddress() {
  return new URLSearchParams(location.hash.slice(1));
}

// The values of the form that the address does not set.
function defaults() {
  const load = DATA.load ?? { bytes: 2 ** 30, rate: 50 };
  // When no strategy is known to survive the loss of the disk, requiring it would hide all of them.
  const disk = DATA.contenders.some((one) => one.survives === "yes") ? "on" : "off";
  return { size: writeSize(load.bytes), rate: String(load.rate), engine: "", interval: "15m", rpo: "30m", rto: "10m", blocked: "2s", latency: "", disk };
}

function fillForm(parameters) {
  for (const [name, value] of Object.entries(defaults())) {
    const input = FORM.elements[name];
    const given = parameters.get(name) ?? value;
    if (input.type === "checkbox") input.checked = given === "on";
    else input.value = given;
  }
}

function valuesOfForm() {
  if (!FORM) return {};
  const names = Object.keys(defaults());
  return Object.fromEntries(names.map((name) => {
    const input = FORM.elements[name];
    return [name, input.type === "checkbox" ? (input.checked ? "on" : "off") : input.value];
  }));
}

// The number in a field; undefined where it is empty. A field that cannot be parsed shows a hint, and is ignored.
function read(input) {
  const text = input.value.trim();
  const value = text === "" ? undefined : PARSERS[input.dataset.kind](text);
  const isWrong = text !== "" && value === undefined;
  input.setAttribute("aria-invalid", String(isWrong));
  const hint = document.getElementById(`${input.id}-hint`);
  hint.dataset.usual ??= hint.textContent;
  hint.textContent = isWrong ? `not valid: write it as ${EXAMPLES[input.dataset.kind]}` : hint.dataset.usual;
  return value;
}

function ask() {
  const field = (name) => read(FORM.elements[name]);
  const load = DATA.load ?? { bytes: 2 ** 30, rate: 50 };
  return {
    bytes: field("size") ?? load.bytes,
    rate: field("rate") ?? load.rate,
    interval: field("interval") ?? null,
    engine: FORM.elements.engine.value,
    disk: FORM.elements.disk.checked,
    limits: { loss: field("rpo"), recovery: field("rto"), blocked: field("blocked"), latency: field("latency") },
  };
}

// The address for the entries of the form, and for a trial if given. Default values are left out.
function addressOf(trial) {
  const initial = defaults();
  const changed = Object.entries(valuesOfForm()).filter(([name, value]) => value !== initial[name]);
  const parameters = new URLSearchParams(changed);
  if (trial) parameters.set("trial", trial);
  return `#${parameters}`;
}

function showView() {
  const id = parametersOfAddress().get("trial");
  let chosen = null;
  for (const section of document.querySelectorAll("section.trial")) {
    section.hidden = section.dataset.id !== id;
    if (!section.hidden) chosen = section;
  }
  document.getElementById("overview").hidden = chosen !== null;
  return chosen;
}

function goTo(trial) {
  history.pushState(null, "", addressOf(trial));
  const chosen = showView();
  if (chosen) {
    chosen.querySelector("h1").focus({ preventScroll: true });
    window.scrollTo(0, 0);
  }
}

function followLink(event) {
  const link = event.target.closest?.('a[href^="#"]');
  if (!link) return;
  const target = link.getAttribute("href").slice(1);
  const trial = new URLSearchParams(target).get("trial");
  event.preventDefault();
  if (trial) return goTo(trial);
  if (target !== "main") goTo(null);
  const section = document.getElementById(target);
  section.scrollIntoView();
  (section.querySelector("h2") ?? section).focus({ preventScroll: true });
}

// The button names the mode that it switches to.
function startTheme() {
  const button = document.getElementById("theme");
  const root = document.documentElement;
  const system = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : system.matches);
  const show = () => {
    button.textContent = isDark() ? "Light mode" : "Dark mode";
  };
  button.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    show();
  });
  system.addEventListener("change", show);
  button.hidden = false;
  show();
}

// The form, and the comparison that depends on it. Returns what shows the form as the address says.
function startForm() {
  const engines = [...new Set(DATA.contenders.map((contender) => contender.engine))];
  FORM.elements.engine.append(...engines.map((engine) => new Option(engine, engine)));
  const update = () => showDecision(DATA, ask());
  const enter = () => {
    update();
    history.replaceState(null, "", addressOf(null));
  };
  FORM.addEventListener("input", enter);
  FORM.addEventListener("submit", (event) => event.preventDefault());
  FORM.addEventListener("reset", (event) => {
    event.preventDefault();
    fillForm(new URLSearchParams());
    enter();
  });
  const show = () => {
    fillForm(parametersOfAddress());
    update();
  };
  show();
  startComparison();
  return show;
}

function start() {
  const showForm = FORM ? startForm() : () => {};
  document.addEventListener("click", followLink);
  addEventListener("popstate", () => {
    showForm();
    showView();
  });
  for (const heading of document.querySelectorAll("#overview h2")) heading.tabIndex = -1;
  startTheme();
  document.documentElement.classList.add("scripted");
  const chosen = showView();
  if (chosen) scrollTo(0, 0);
}

start();
