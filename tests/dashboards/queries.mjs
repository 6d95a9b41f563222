// Reads queries as JSON lines {"language", "query"} and answers each with what it names, or with
// where it does not parse. `run` beside this file starts it.
import { createInterface } from "node:readline";
import { parser as logql } from "@grafana/lezer-logql";
import { parser as promql } from "@prometheus-io/lezer-promql";

// The text of each node of a kind below one.
function* below(node, kind, text) {
  const cursor = node.cursor();
  do {
    if (cursor.name === kind) yield text.slice(cursor.from, cursor.to);
  } while (cursor.next() && cursor.from < node.to);
}

const unquoted = (text) => text.slice(1, -1);

// Metrics with the labels that are asked of each, and the labels that stand in `by` and the like.
function ofProm(tree, text) {
  const named = { metrics: [], groups: [] };
  tree.iterate({
    enter({ name, node }) {
      if (name === "VectorSelector") {
        const metric = node.getChild("Identifier");
        const matchers = [];
        const list = node.getChild("LabelMatchers");
        for (let one = list?.firstChild; one; one = one.nextSibling) {
          const label = one.getChild("LabelName") ?? one.getChild("QuotedLabelName");
          const value = one.getChild("StringLiteral");
          if (!label || !value) continue;
          const operator = text.slice(label.to, value.from).trim();
          matchers.push([text.slice(label.from, label.to), operator,
            unquoted(text.slice(value.from, value.to))]);
        }
        named.metrics.push({
          name: metric ? text.slice(metric.from, metric.to) : "", matchers });
      }
      if (name === "GroupingLabels") named.groups.push(...below(node, "LabelName", text));
    },
  });
  return named;
}

// Labels of the stream, and fields of the line.
function ofLoki(tree, text) {
  const named = { stream: [], fields: [] };
  tree.iterate({
    enter({ name, node }) {
      if (name === "Selector") {
        named.stream.push(...below(node, "Identifier", text));
        return false;
      }
      if (name === "LabelFilter" || name === "Grouping" || name === "UnwrapExpr") {
        named.fields.push(...below(node, "Identifier", text));
      }
      return true;
    },
  });
  return named;
}

// Grafana puts values where these stand before it sends a query.
const filled = (query) => query
  .replace(/\$__(rate_interval|interval|range|auto)\b/g, "5m")
  .replace(/\$\{?\w+\}?/g, "x");

function answer({ language, query }) {
  const parser = { promql, logql }[language];
  const text = filled(query);
  const tree = parser.parse(text);
  let broken = null;
  tree.iterate({
    enter(node) {
      if (node.type.isError && broken === null) broken = text.slice(node.from, node.from + 30);
    },
  });
  if (broken !== null) return { error: `does not parse before “${broken}”: ${text}` };
  return language === "promql" ? ofProm(tree, text) : ofLoki(tree, text);
}

for await (const line of createInterface({ input: process.stdin })) {
  process.stdout.write(`${JSON.stringify(answer(JSON.parse(line)))}\n`);
}
