// The sizing model for loads that were not tested: the same formulas as in reports::sizing.

const SECONDS_PER_YEAR = 365.25 * 86400;
// 5 % and 95 % quantiles of an exponential distribution.
const [EXPONENTIAL_LOW, EXPONENTIAL_HIGH] = [-Math.log(0.95), -Math.log(0.05)];

// The factor by which x is outside the measured range; 1 within it.
function extrapolation(x, min, max) {
  if (x > max) return x / max;
  return x < min ? min / x : 1;
}

// The value of a fit at x with its 90 % interval.
function evaluateFit(fit, x) {
  if (!fit) return null;
  const value = fit.floor + fit.per_unit * x;
  if (!(value > 0 && value < Infinity)) return null;
  const z = (fit.max_x - x) / value;
  const spread = fit.sxx_z === null ? 1 / fit.n : 1 / fit.n + (z - fit.mean_z) ** 2 / fit.sxx_z;
  const far = extrapolation(x, fit.min_x, fit.max_x);
  const half = Math.hypot(
    fit.t90 * fit.sigma_log,
    Math.log1p(fit.t90 * fit.sigma_log * Math.sqrt(spread)),
    fit.t90 * fit.growth_sigma * Math.log(far),
  );
  // Values this small are rounding errors of a 0 after taking its logarithm and undoing it.
  const shown = (y) => (y - fit.shift > 1e-9 ? y - fit.shift : 0);
  return { point: shown(value), low: shown(value * Math.exp(-half)), high: shown(value * Math.exp(half)) };
}

// The time of a backup that every commit restarts, from the time of one pass.
function restarting(pass, rate) {
  const mean = (seconds) => (rate === 0 ? seconds : Math.expm1(rate * seconds) / rate);
  const or_never = (seconds) => (seconds <= SECONDS_PER_YEAR ? seconds : null);
  return {
    point: or_never(mean(pass.point)),
    low: or_never(pass.low + EXPONENTIAL_LOW * (mean(pass.low) - pass.low)),
    high: or_never(pass.high + EXPONENTIAL_HIGH * (mean(pass.high) - pass.high)),
  };
}

// The data loss at an interval. A backup does not start before the last one has finished.
function lossAtInterval(backup, floor, interval, share) {
  if (!backup || !floor) return null;
  // Without an interval, each backup starts when the last one has finished.
  const end = (name) => (backup[name] === null ? null : Math.max(interval ?? 0, backup[name]) * share + floor[name]);
  return { point: end("point"), low: end("low"), high: end("high") };
}

function predict(contender, load) {
  const at = (fit) => evaluateFit(fit, load.bytes);
  const pass = at(contender.pass);
  const backup = pass ? restarting(pass, load.rate) : at(contender.backup);
  const prediction = { backup, blocked: at(contender.blocked), recovery: at(contender.recovery), artifact: at(contender.artifact) };
  if (contender.continuous) {
    const lag = evaluateFit(contender.lag, load.rate);
    prediction.loss_expected = lag;
    prediction.loss_worst = lag && { ...lag, point: lag.high };
  } else {
    const floor = at(contender.floor);
    prediction.loss_expected = lossAtInterval(backup, floor, load.interval_seconds, 0.5);
    prediction.loss_worst = lossAtInterval(backup, floor, load.interval_seconds, 1);
  }
  const sizes = contender.outcomes.map((outcome) => outcome.bytes);
  prediction.bytes_factor = extrapolation(load.bytes, Math.min(...sizes), Math.max(...sizes));
  prediction.rate_factor = extrapolation(load.rate, Math.min(...contender.rates), Math.max(...contender.rates));
  return prediction;
}
