"use strict";
// A stand-in for MarkItUp: what its host meets (port, paths, health, accounts, notes, holes), not its features.

const fs = require("node:fs");
const http = require("node:http");
const path = require("node:path");
const { find } = require("./lib/routes");
const { Failure, send } = require("./lib/web");

const PAGES = {
  "/": ["index.html", "text/html; charset=utf-8"],
  "/app.js": ["app.js", "text/javascript; charset=utf-8"],
  "/style.css": ["style.css", "text/css; charset=utf-8"],
  "/icon.svg": ["icon.svg", "image/svg+xml"],
};

async function answer(request, response) {
  const url = new URL(request.url, "http://localhost");
  const page = PAGES[url.pathname];
  if (page && (request.method === "GET" || request.method === "HEAD")) {
    response.writeHead(200, { "Content-Type": page[1], "Content-Security-Policy": "default-src 'self'" });
    response.end(request.method === "HEAD" ? undefined : fs.readFileSync(path.join(__dirname, "public", page[0])));
    return;
  }
  const [route, name] = find(request.method === "HEAD" ? "GET" : request.method, url.pathname);
  if (!route) throw new Failure(404, { error: "Not found" });
  const [status, body, headers] = await route(request, url, name);
  send(response, status, body, headers);
}

const server = http.createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (error instanceof Failure) return send(response, error.status, error.body, error.headers);
    console.error(`${request.method} ${request.url}: ${error.message}`);
    return send(response, 500, { error: "Internal Server Error" });
  });
});

// As process 1 of a container node gets no default handlers.
for (const signal of ["SIGTERM", "SIGINT"]) process.on(signal, () => process.exit(0));

const port = Number(process.env.PORT || 3000);
server.listen(port, process.env.HOSTNAME || "0.0.0.0", () => console.log(`> Ready on port ${port} (stand-in)`));
