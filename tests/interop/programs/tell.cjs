// How a client program tells the driver of its cases: a line of JSON each.
"use strict";

const CASE_MS = 10_000;

function say(document) {
  process.stdout.write(`${JSON.stringify(document)}\n`);
}

/** Fails unless both are equal, as JSON. */
function expect(what, actual, wanted) {
  const [one, other] = [JSON.stringify(actual), JSON.stringify(wanted)];
  if (one !== other) {
    throw new Error(`${what}: ${String(one).slice(0, 500)}, expected ${String(other).slice(0, 500)}`);
  }
}

/** Runs one case, which makes so many calls that are charged. */
async function tell(what, calls, run) {
  const begin = performance.now();
  let failure = null;
  let timer;
  try {
    const late = new Promise((_, reject) => {
      timer = setTimeout(() => reject(new Error("it took too long")), CASE_MS);
    });
    await Promise.race([run(), late]);
  } catch (error) {
    failure = String(error.stack) + (error.cause ? `\n${error.cause.stack}` : "");
  } finally {
    clearTimeout(timer);
  }
  say({ what, calls, failure, seconds: (performance.now() - begin) / 1000 });
}

module.exports = { say, expect, tell };
