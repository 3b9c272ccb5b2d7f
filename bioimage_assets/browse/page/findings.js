// What was found about a plate, the worst first.

import { count, el } from "./dom.js";

const ORDER = ["error", "warning", "info"];

export function drawFindings(findings) {
  if (!findings.length) return null;
  const sorted = [...findings].sort((one, other) => rank(one) - rank(other));
  const worst = sorted[0].severity;
  return el(
    "details", { class: "findings", open: worst === "error" },
    el("summary", {}, `${count(findings.length, "finding")}, the worst: ${worst}`), sorted.map(drawFinding),
  );
}

const rank = (finding) => (ORDER.includes(finding.severity) ? ORDER.indexOf(finding.severity) : ORDER.length);

function drawFinding({ code, severity, message, cause, remedy, setting }) {
  return el(
    "div", { class: `finding ${severity}` },
    el("p", {}, el("span", { class: "severity" }, severity), " ", el("code", {}, code)), el("p", {}, message),
    cause ? drawRemedy(cause, remedy, setting) : null,
  );
}

// What stands between backticks is code.
const withCode = (text) => text.split("`").map((part, number) => (number % 2 ? el("code", {}, part) : part));

function drawRemedy(cause, remedy, setting) {
  return el(
    "details", {}, el("summary", {}, "Cause and remedy"),
    el("p", {}, el("b", {}, "Cause. "), withCode(cause)), el("p", {}, el("b", {}, "What to do. "), withCode(remedy)),
    setting ? el("pre", {}, setting) : null,
  );
}
