"use strict";
// Notes as files below /app/markdown/user_<uuid>/, and the ways in which the real app reads them.

const fs = require("node:fs");
const path = require("node:path");
const { Failure } = require("./web");

const ROOT = path.join(process.cwd(), "markdown");

/** A path below the markdown folder; 400 for one that leaves it. */
function inside(name) {
  const target = path.resolve(ROOT, name);
  if (target !== ROOT && !target.startsWith(ROOT + path.sep)) throw new Failure(400, { error: "Invalid path" });
  return target;
}

function folderOf(userId) {
  const folder = path.join(ROOT, `user_${userId}`);
  fs.mkdirSync(folder, { recursive: true });
  return folder;
}

/** Folders and notes as a tree, of every user. */
function tree(folder = ROOT, base = "") {
  return fs.readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const relative = path.join(base, entry.name);
    if (entry.isDirectory()) {
      return [{ type: "folder", name: entry.name, path: relative, children: tree(path.join(folder, entry.name), relative) }];
    }
    return entry.name.endsWith(".md") ? [{ type: "file", name: entry.name, path: relative }] : [];
  });
}

/** Every note below a folder with its content, newest first. */
function all(folder = ROOT) {
  if (!fs.existsSync(folder)) return [];
  return fs
    .readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith(".md"))
    .map((entry) => read(path.relative(ROOT, path.join(entry.parentPath, entry.name))))
    .sort((one, other) => other.updatedAt.localeCompare(one.updatedAt));
}

function read(name) {
  const file = inside(name);
  if (!fs.existsSync(file) || !fs.statSync(file).isFile()) throw new Failure(404, { error: "File not found" });
  const content = fs.readFileSync(file, "utf8");
  const stats = fs.statSync(file);
  return {
    id: name.replace(/\.md$/, ""),
    name: path.basename(name),
    folder: path.dirname(name),
    content,
    createdAt: stats.ctime.toISOString(),
    updatedAt: stats.mtime.toISOString(),
    tags: [...new Set((content.match(/(?<=^|\s)#[\w-]+/g) || []).map((tag) => tag.slice(1).toLowerCase()))],
    wordCount: content.split(/\s+/).filter(Boolean).length,
  };
}

function write(name, content) {
  const file = inside(name);
  fs.mkdirSync(path.dirname(file), { recursive: true });
  fs.writeFileSync(file, content, "utf8");
}

function remove(name) {
  const file = inside(name);
  if (!fs.existsSync(file)) throw new Failure(404, { error: "File not found" });
  fs.unlinkSync(file);
}

function move(from, to) {
  if (typeof from !== "string" || typeof to !== "string") throw new Failure(400, { error: "Invalid parameters" });
  const [source, target] = [inside(from), inside(to)];
  if (!fs.existsSync(source)) throw new Failure(404, { error: "Source does not exist" });
  if (source === target || target.startsWith(source + path.sep)) {
    throw new Failure(400, { error: "Cannot move a folder into itself or its descendants" });
  }
  fs.mkdirSync(path.dirname(target), { recursive: true });
  fs.renameSync(source, target);
}

/** Bytes of a user's notes. */
function used(userId) {
  return all(folderOf(userId)).reduce((sum, note) => sum + Buffer.byteLength(note.content), 0);
}

function search(query, limit) {
  const wanted = query.toLowerCase();
  return all()
    .filter((note) => note.content.toLowerCase().includes(wanted) || note.id.toLowerCase().includes(wanted))
    .slice(0, limit)
    .map((note) => ({ noteId: note.id, noteName: note.name, content: note.content, score: 1 }));
}

function tags() {
  const counts = new Map();
  for (const note of all()) for (const tag of note.tags) counts.set(tag, (counts.get(tag) || 0) + 1);
  return [...counts].map(([name, count]) => ({ name, count })).sort((one, other) => other.count - one.count);
}

function graph() {
  const found = all();
  const byName = new Map(found.map((note) => [note.name.replace(/\.md$/, ""), note.id]));
  const edges = found.flatMap((note) =>
    [...note.content.matchAll(/\[\[([^\]|]+)/g)]
      .filter((match) => byName.has(match[1].trim()))
      .map((match) => ({ source: note.id, target: byName.get(match[1].trim()), type: "wikilink" })),
  );
  return { nodes: found.map((note) => ({ id: note.id, name: note.name, tags: note.tags })), edges };
}

/** Throws when the folder can't be read or written. */
function check() {
  fs.mkdirSync(ROOT, { recursive: true });
  fs.accessSync(ROOT, fs.constants.R_OK | fs.constants.W_OK);
  tree();
}

module.exports = { all, check, folderOf, graph, move, read, remove, search, tags, tree, used, write };
