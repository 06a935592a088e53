// Which contenders meet the limits at a load, and the trials that exclude the others.

const LIMITS = [
  { key: "blocked", name: "blocked time" },
  { key: "latency", name: "max write latency" },
  { key: "recovery", name: "recovery time" },
  { key: "loss", name: "worst data loss" },
];

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const middle = sorted.length >> 1;
  return sorted.length % 2 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2;
}

// Median and range of a figure over trials; null where no trial has it.
function rangeOf(trials, key) {
  const values = trials.map((trial) => trial[key]).filter((value) => value !== null);
  if (values.length === 0) return null;
  return { point: median(values), low: Math.min(...values), high: Math.max(...values) };
}

// The result for a contender at the given load.
function answer(contender, ask, sizing) {
  const measured = contender.measured.find((one) => one.bytes === ask.bytes && one.rate === ask.rate);
  const result = measured ? answerMeasured(contender, measured, ask) : answerPredicted(contender, ask, sizing);
  if (contender.family === "control") {
    result.reasons.unshift({ text: "negative control: unsafe on purpose" });
  } else if (ask.disk && contender.survives !== "yes") {
    const text = contender.survives === "no" ? "does not survive the loss of the disk" : "it is not known whether it survives the loss of the disk";
    result.reasons.push({ text, trial: contender.measured[0].trials[0] });
  }
  if (result.figures) holdAgainstLimits(result, ask);
  result.status = result.reasons.length ? "excluded" : result.doubts.length ? "likely" : "certain";
  return { contender, ...result };
}

function answerMeasured(contender, measured, ask) {
  const tried = measured.trials.filter((trial) => !trial.untried);
  const result = { source: "measured", trials: measured.trials, reasons: [], doubts: [], figures: null, unchallenged: measured.unchallenged };
  if (tried.length === 0) result.reasons.push(failure(measured.trials[0]));
  const failed = tried.find((trial) => !trial.restorable);
  if (failed) result.reasons.push(failure(failed));
  if (result.reasons.length) return result;
  const figures = Object.fromEntries(["backup", "blocked", "latency", "recovery"].map((key) => [key, rangeOf(tried, key)]));
  if (contender.family === "continuous") {
    const lag = rangeOf(tried, "lag");
    figures.loss_expected = lag;
    figures.loss = lag && { point: lag.high, low: lag.high, high: lag.high };
  } else {
    const floor = rangeOf(tried, "floor");
    figures.loss_expected = lossAtInterval(figures.backup, floor, ask.interval, 0.5);
    figures.loss = lossAtInterval(figures.backup, floor, ask.interval, 1);
  }
  return { ...result, figures };
}

function failure(trial) {
  const given = trial.elapsed !== null && !trial.untried && trial.backup === null ? ` after ${formatSeconds(trial.elapsed)}` : "";
  return { text: `${trial.verdict}${given}`, trial };
}

// The size of a generated file can differ from the requested size by a few pages.
const SIZE_TOLERANCE = 1.01;

function answerPredicted(contender, ask, sizing) {
  const result = { source: "predicted", trials: [], reasons: [], doubts: [], beyond: [], figures: null };
  const trials = new Map(contender.measured.flatMap((one) => one.trials.map((trial) => [trial.id, trial])));
  const model = sizing.contenders.find((one) => one.trials.some((id) => trials.has(id)));
  if (!model) {
    const [first] = trials.values();
    result.reasons.push(first.untried ? failure(first) : { text: "not tested at this size and rate, and there is no model for it", trial: first });
    return result;
  }
  const distance = (one) => Math.abs(Math.log(ask.bytes / one.bytes)) + Math.abs(Math.log((ask.rate + 1) / (one.rate + 1)));
  const outcomes = [...model.outcomes].sort((a, b) => distance(a) - distance(b));
  const load = (one) => `at ${formatBytes(one.bytes)} and ${one.rate} writes/s`;
  const isWithin = (one) => one.bytes <= ask.bytes * SIZE_TOLERANCE && one.rate <= ask.rate;
  const isBeyond = (one) => one.bytes * SIZE_TOLERANCE >= ask.bytes && one.rate >= ask.rate;
  const proof = outcomes.find((one) => one.failed && isWithin(one));
  if (proof) {
    const { text, trial } = failure(trials.get(proof.trial));
    result.reasons.push({ text: `${text} ${load(proof)}`, trial });
    return result;
  }
  const nearest = trials.get((outcomes.find((one) => !one.failed) ?? outcomes[0]).trial);
  const prediction = predict(model, { bytes: ask.bytes, rate: ask.rate, interval_seconds: ask.interval });
  if (prediction.backup && prediction.backup.point === null) {
    result.reasons.push({ text: "predicted never to complete", trial: nearest });
    return result;
  }
  const beyond = outcomes.filter(isBeyond);
  if (beyond.length && beyond.every((one) => one.failed)) {
    result.doubts.push(`${failure(trials.get(beyond[0].trial)).text} ${load(beyond[0])}`);
  }
  const far = (what, factor) => factor > SIZE_TOLERANCE && `${what} ${threeDigits(factor)}× outside the measured range`;
  result.beyond = [far("size", prediction.bytes_factor), far("rate", prediction.rate_factor)].filter(Boolean);
  const { backup, blocked, recovery, loss_worst: loss, loss_expected } = prediction;
  return { ...result, trials: [nearest], figures: { backup, blocked, latency: null, recovery, loss, loss_expected } };
}

// Adds the limits that are exceeded, the limits that may be, and the share of each limit that is used.
function holdAgainstLimits(result, ask) {
  result.shares = [];
  for (const { key, name } of LIMITS) {
    const limit = ask.limits[key];
    const range = result.figures[key];
    if (limit === undefined) continue;
    if (!range) {
      const text = `${name} was not ${result.source === "measured" ? "measured" : "measured at this load, and the model does not predict it"}`;
      result.reasons.push({ text, trial: result.trials[0] });
    } else if (range.point === null || range.point > limit) {
      const predicted = result.source === "predicted" ? "predicted " : "";
      const trial = worstTrial(result.trials, key);
      result.reasons.push({ text: `${predicted}${name} ${formatSeconds(range.point)} > ${formatSeconds(limit)}`, trial });
    } else {
      if (range.high === null || range.high > limit) result.doubts.push(`${name} up to ${formatSeconds(range.high)}`);
      result.shares.push({ name, value: range.point, limit, share: limit === 0 ? 1 : range.point / limit });
    }
  }
  result.shares.sort((a, b) => b.share - a.share);
}

function worstTrial(trials, key) {
  const figure = key === "loss" ? (trial) => trial.floor ?? trial.lag : (trial) => trial[key];
  return trials.reduce((worst, trial) => ((figure(trial) ?? -1) > (figure(worst) ?? -1) ? trial : worst));
}

// Certain ones first, then by the share of the tightest limit, then of the next one, then by backup time.
function order(a, b) {
  if (a.status !== b.status) return a.status === "certain" ? -1 : 1;
  for (let at = 0; at < Math.max(a.shares.length, b.shares.length); at += 1) {
    const difference = percent(a.shares[at]?.share ?? 0) - percent(b.shares[at]?.share ?? 0);
    if (difference !== 0) return difference;
  }
  return (a.figures.backup?.point ?? Infinity) - (b.figures.backup?.point ?? Infinity);
}

// Shares count as equal when they round to the same percentage of the limit.
function percent(share) {
  return Math.round(share * 100);
}

// One sentence that explains the position of a strategy.
function why(result) {
  if (result.shares.length === 0) return "No limit is set: the fastest backup comes first.";
  const [tightest, next] = result.shares;
  const part = (one) => `${one.name} ${formatSeconds(one.value)} of ${formatSeconds(one.limit)} (${percent(one.share) || "< 1"} %)`;
  return `Tightest limit: ${part(tightest)}${next ? `; next: ${part(next)}` : ""}.`;
}

// All contenders: those that are kept, in order, and those that are excluded.
function decide(data, ask) {
  const asked = data.contenders.filter((contender) => !ask.engine || contender.engine === ask.engine);
  const all = asked.map((contender) => answer(contender, ask, data.sizing));
  return {
    kept: all.filter((one) => one.status !== "excluded").sort(order),
    excluded: all.filter((one) => one.status === "excluded"),
  };
}

// An element. Text in it is never parsed as markup.
function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function trialLink(trial) {
  const link = element("a", "", `trial ${trial.number}`);
  link.href = `#trial=${encodeURIComponent(trial.id)}`;
  link.title = trial.id;
  return link;
}

function pointText(range) {
  return range ? formatSeconds(range.point) : "–";
}

// The ends of a range; empty where both look the same.
function endsText(range) {
  if (!range) return "";
  const [low, high] = [range.low, range.high].map(formatSeconds);
  return low === high ? "" : `${low} to ${high}`;
}

function title(contender, ...more) {
  const name = element("strong", "", contender.strategy);
  const variant = contender.variant ? element("span", "variant", ` ${contender.variant}`) : null;
  return element("p", "name", name, variant, " ", element("span", "note", contender.subject, ...more));
}

// The source of the figures.
function sourceOf(result) {
  const links = result.trials.flatMap((trial, at) => [at ? ", " : "", trialLink(trial)]);
  if (result.source === "measured") return [" · measured in ", ...links, result.unchallenged ? " · not challenged" : ""];
  return [" · ", element("span", "predicted", "predicted"), `${result.beyond.map((text) => `, ${text}`).join("")}, nearest: `, ...links];
}

function keptItem(result) {
  const { figures } = result;
  const [worst, mean] = [pointText(figures.loss), pointText(figures.loss_expected)];
  const rows = [
    ["Blocked", figures.blocked],
    ["Worst data loss", figures.loss, mean === worst ? "" : `expected ${mean}`],
    ["Recovery", figures.recovery],
    ["Max write latency", figures.latency],
    ["Backup", figures.backup],
  ];
  const figure = ([name, range, more]) => {
    const notes = [endsText(range), more].filter(Boolean).map((text) => element("span", "note", text));
    return element("div", "", element("dt", "", name), element("dd", "", pointText(range), ...notes));
  };
  const doubt = result.doubts.length ? element("p", "doubt", `Not certain: ${result.doubts.join(", ")}.`) : null;
  const item = element(
    "li",
    result.status,
    title(result.contender, ...sourceOf(result)),
    element("dl", "figures", ...rows.map(figure)),
    doubt,
    element("p", "why", why(result)),
  );
  item.dataset.trial = result.contender.measured[0].trials[0].id;
  return item;
}

function excludedItem(result) {
  const reasons = result.reasons.map(({ text, trial }) => element("li", "", text, ...(trial ? [" in ", trialLink(trial)] : [])));
  const item = element("li", "excluded", title(result.contender), element("ul", "reasons", ...reasons));
  item.dataset.trial = result.contender.measured[0].trials[0].id;
  return item;
}

function showDecision(data, ask) {
  const { kept, excluded } = decide(data, ask);
  document.getElementById("kept").replaceChildren(...kept.map(keptItem));
  document.getElementById("excluded").replaceChildren(...excluded.map(excludedItem));
  document.getElementById("excluded-title").hidden = excluded.length === 0;
  document.getElementById("excluded-title").textContent = `Excluded (${excluded.length})`;
  const number = kept.length + excluded.length;
  document.getElementById("summary").textContent =
    kept.length === 0 ? `None of ${number} strategies meets these limits.` : `${kept.length} of ${number} strategies ${kept.length === 1 ? "meets" : "meet"} these limits.`;
}
