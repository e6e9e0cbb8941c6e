// Renders /api/v1/openapi.json. Text nodes only: nothing of the document is ever parsed as HTML.
"use strict";

function el(tag, attributes, ...children) {
  const node = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes || {})) node.setAttribute(name, value);
  for (const child of children) if (child !== null) node.append(child);
  return node;
}

function table(head, rows) {
  if (rows.length === 0) return null;
  return el("table", {},
    el("tr", {}, ...head.map((h) => el("th", {}, h))),
    ...rows.map((row) => el("tr", {}, ...row.map((cell) => el("td", {}, cell)))));
}

function schemaOf(part) {
  const content = part && part.content && Object.values(part.content)[0];
  return content && content.schema ? content.schema : null;
}

function resolve(doc, schema, depth) {
  if (schema && schema.$ref && depth < 4) {
    const name = schema.$ref.split("/").pop();
    return resolve(doc, doc.components.schemas[name], depth + 1);
  }
  return schema;
}

function schemaBlock(doc, title, schema) {
  if (!schema) return null;
  return el("div", {}, el("h4", {}, title), el("pre", {}, JSON.stringify(resolve(doc, schema, 0), null, 2)));
}

function operation(doc, path, method, op) {
  const parameters = (op.parameters || []).map((p) => [p.name, p.in, p.required ? "required" : "", p.description || ""]);
  const answers = Object.entries(op.responses).map(([status, r]) => [status, r.description || ""]);
  return el("details", { class: "operation", "data-find": `${method} ${path} ${op.summary || ""}`.toLowerCase() },
    el("summary", {},
      el("span", { class: `method ${method}` }, method.toUpperCase()),
      el("span", { class: "path" }, path),
      el("span", { class: "text" }, op.summary || "")),
    el("p", {}, op["x-permission"] ? `Permission: ${op["x-permission"]}` : op["x-auth"]),
    table(["Parameter", "In", "", "Meaning"], parameters),
    schemaBlock(doc, "Body", schemaOf(op.requestBody)),
    el("h4", {}, "Answers"),
    table(["Status", "Meaning"], answers));
}

function render(doc) {
  const groups = new Map();
  for (const [path, item] of Object.entries(doc.paths))
    for (const [method, op] of Object.entries(item)) {
      const tag = (op.tags && op.tags[0]) || "other";
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push(operation(doc, path, method, op));
    }
  const list = document.getElementById("list");
  list.replaceChildren(...[...groups].flatMap(([tag, ops]) => [el("h2", {}, tag), ...ops]));
}

function filter(text) {
  const wanted = text.toLowerCase();
  for (const node of document.querySelectorAll(".operation")) node.hidden = !node.dataset.find.includes(wanted);
}

document.getElementById("filter").addEventListener("input", (event) => filter(event.target.value));
fetch("/api/v1/openapi.json")
  .then((answer) => answer.json())
  .then(render)
  .catch((error) => { document.getElementById("list").textContent = `Cannot load the document: ${error}`; });
