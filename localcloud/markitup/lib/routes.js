"use strict";
// The routes: method and path -> function. Those without accounts.required() are open in the real app too.

const crypto = require("node:crypto");
const fs = require("node:fs");
const path = require("node:path");
const accounts = require("./accounts");
const { database } = require("./database");
const notes = require("./notes");
const { Failure, Throttle, jsonOf } = require("./web");

const creation = new Throttle(20);
const OLLAMA = ["/api/tags", "/api/version", "/api/pull", "/api/show", "/api/delete", "/api/chat", "/api/generate"];

function cookie(session) {
  const expires = new Date(session.expiresAt).toUTCString();
  return { "Set-Cookie": `session-token=${session.sessionToken}; Path=/; Expires=${expires}; HttpOnly; SameSite=lax` };
}

async function signUp(request) {
  const body = await jsonOf(request);
  try {
    const id = accounts.register(body, { strong: false });
    notes.folderOf(id);
    const session = accounts.open(id, request);
    return [200, { success: true, message: "Signup successful", ...session }, cookie(session)];
  } catch (error) {
    if (error instanceof Failure) throw error;
    console.error(`Signup failed: ${error.message}`);
    throw new Failure(500, { error: "Signup Failed", message: "An error occurred during signup" });
  }
}

async function register(request) {
  const body = await jsonOf(request);
  try {
    const userId = accounts.register(body, { strong: true });
    const message = "Registration successful. Please check your email to verify your account.";
    return [201, { success: true, message, userId }];
  } catch (error) {
    if (error instanceof Failure) throw error;
    console.error(`Registration failed: ${error.message}`);
    throw new Failure(500, { error: "Registration Failed", message: error.message });
  }
}

async function logIn(request) {
  const session = accounts.logIn(await jsonOf(request), request);
  notes.folderOf(session.user.id);
  return [200, { success: true, message: "Login successful", ...session }, cookie(session)];
}

async function draft(request) {
  creation.check(request);
  const { filename, content = "", folder = "" } = await jsonOf(request);
  if (typeof filename !== "string" || !/^\w[\w .-]{0,199}$/.test(filename) || typeof content !== "string") {
    throw new Failure(400, { error: "Invalid filename or content" });
  }
  return { fileName: filename.endsWith(".md") ? filename : `${filename}.md`, content, folder: String(folder) };
}

/** A note of nobody's, straight into the shared folder: open to strangers like everything below /api/notes. */
async function createShared(request) {
  const { fileName, content, folder } = await draft(request);
  notes.write(path.join(folder, fileName), content);
  return [201, { success: true, message: "File created successfully", fileName, folder }];
}

async function create(request) {
  const { row } = accounts.required(request);
  const { fileName, content, folder } = await draft(request);
  const db = database();
  const { count } = db.prepare("SELECT count(*) AS count FROM notes WHERE user_id = ?").get(row.id);
  if (count >= row.notes_quota) {
    const message = `Note limit reached (${row.notes_quota} notes). Upgrade your plan for more.`;
    throw new Failure(403, { error: "Quota Exceeded", message });
  }
  if (notes.used(row.id) + Buffer.byteLength(content) > row.storage_quota) {
    const message = "Storage quota exceeded. Upgrade your plan for more storage.";
    throw new Failure(403, { error: "Quota Exceeded", message });
  }
  const name = path.join(`user_${row.id}`, folder, fileName);
  notes.write(name, content);
  const now = Math.floor(Date.now() / 1000);
  db.prepare(
    `INSERT INTO notes (id, user_id, name, folder, content, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?, ?)
     ON CONFLICT (id) DO UPDATE SET content = excluded.content, updated_at = excluded.updated_at`,
  ).run(name, row.id, fileName, folder || null, content, now, now);
  db.prepare("UPDATE users SET storage_used = ? WHERE id = ?").run(notes.used(row.id), row.id);
  return [200, { success: true, message: "File created successfully", fileName, folder, path: name }];
}

function mine(request) {
  const { id } = accounts.required(request);
  const found = notes.all(notes.folderOf(id));
  return [200, { notes: found, pagination: { page: 1, limit: 100, total: found.length, totalPages: 1 } }];
}

async function overwrite(request, url, name) {
  const { content, overwrite: replace } = await jsonOf(request);
  if (typeof content !== "string") throw new Failure(400, { error: "Missing or invalid content" });
  if (!replace && notes.all().some((note) => `${note.id}.md` === name)) {
    throw new Failure(409, { error: "File already exists", requiresOverwrite: true });
  }
  notes.write(name, content);
  return [200, { message: "File written" }];
}

function search(request, url) {
  const query = url.searchParams.get("q");
  if (!query) throw new Failure(400, { error: 'Query parameter "q" is required' });
  const results = notes.search(query, Number(url.searchParams.get("limit")) || 20);
  return [200, { query, results, totalResults: results.length }];
}

// The real app's hole, kept so that the network rules around it can be tested: it fetches any address.
async function ollama(request, url) {
  const body = request.method === "POST" ? await jsonOf(request) : Object.fromEntries(url.searchParams);
  if (!body.ollamaUrl || !body.endpoint) {
    throw new Failure(400, { success: false, error: "ollamaUrl and endpoint are required" });
  }
  if (!OLLAMA.includes(body.endpoint)) throw new Failure(403, { success: false, error: "Endpoint not allowed" });
  try {
    const answer = await fetch(`${body.ollamaUrl}${body.endpoint}`, {
      method: body.method || "GET",
      headers: { "Content-Type": "application/json" },
      body: body.data ? JSON.stringify(body.data) : undefined,
      signal: AbortSignal.timeout(10000),
    });
    const text = await answer.text();
    if (answer.ok) return [200, { success: true, data: JSON.parse(text) }];
    return [answer.status, { success: false, error: `Ollama API error: ${answer.status}`, details: text }];
  } catch (error) {
    return [500, { success: false, error: error.message, helpText: String(error.cause?.code || "") }];
  }
}

function health() {
  const checks = { environment: { status: "pass", message: "Environment variables validated" } };
  let status = "healthy";
  try {
    notes.check();
    checks.filesystem = { status: "pass", message: "File system accessible" };
  } catch (error) {
    checks.filesystem = { status: "fail", message: error.message };
    status = "unhealthy";
  }
  try {
    database();
    checks.database = { status: "pass", message: "Database accessible" };
  } catch (error) {
    checks.database = { status: "warn", message: error.message };
    if (status === "healthy") status = "degraded";
  }
  const timestamp = new Date().toISOString();
  const body = { status, timestamp, uptime: process.uptime(), checks, version: "stand-in", environment: process.env.NODE_ENV };
  return [status === "unhealthy" ? 503 : 200, body];
}

async function analytics(request) {
  const event = JSON.stringify({ id: crypto.randomUUID(), ...(await jsonOf(request)) });
  fs.mkdirSync("analytics", { recursive: true });
  fs.appendFileSync(path.join("analytics", "events.jsonl"), `${event}\n`);
  return [200, { success: true }];
}

const ROUTES = {
  "GET /api/health": health,
  "POST /api/auth/signup": signUp,
  "POST /api/auth/register": register,
  "POST /api/auth/login": logIn,
  "POST /api/auth/logout": (request) => {
    accounts.logOut(request);
    return [200, { success: true }, { "Set-Cookie": "session-token=; Path=/; Max-Age=0; HttpOnly; SameSite=lax" }];
  },
  "GET /api/auth/me": (request) => {
    const { row: _row, ...user } = accounts.required(request);
    return [200, { success: true, user }];
  },
  "POST /api/auth/password-reset": async (request) => {
    accounts.requestReset((await jsonOf(request)).email);
    const message = "If an account exists with this email, a password reset link has been sent.";
    return [200, { success: true, message }];
  },
  "GET /api/notes": () => [200, notes.tree()],
  "POST /api/notes": createShared,
  "GET /api/files": mine,
  "POST /api/files": create,
  "POST /api/files/move": async (request) => {
    const { from, to } = await jsonOf(request);
    notes.move(from, to);
    return [200, { message: "Moved successfully" }];
  },
  "GET /api/search": search,
  "GET /api/tags": () => [200, { tags: notes.tags(), totalTags: notes.tags().length }],
  "GET /api/graph": () => [200, { graph: notes.graph() }],
  "GET /api/ai/ollama-proxy": ollama,
  "POST /api/ai/ollama-proxy": ollama,
  "POST /api/analytics": analytics,
};

const FILE_ROUTES = {
  GET: (request, url, name) => [200, notes.read(name)],
  PUT: overwrite,
  DELETE: (request, url, name) => {
    notes.remove(name);
    return [200, { message: "File deleted successfully" }];
  },
};

/** The route of a request and the name of the file in its path, if any. */
function find(method, pathname) {
  const exact = ROUTES[`${method} ${pathname}`];
  if (exact) return [exact, ""];
  const name = /^\/api\/files\/(.+)$/.exec(pathname);
  return name && FILE_ROUTES[method] ? [FILE_ROUTES[method], decodeURIComponent(name[1])] : [null, ""];
}

module.exports = { find };
