"use strict";
// The real app's SQLite file: always /app/markitup.db (DATABASE_URL is ignored), WAL mode, opened at first use.

const path = require("node:path");
const { DatabaseSync } = require("node:sqlite");

const FILE = path.join(process.cwd(), "markitup.db");

const SCHEMA = `
CREATE TABLE IF NOT EXISTS users (
  id TEXT PRIMARY KEY,
  email TEXT NOT NULL UNIQUE,
  email_verified INTEGER,
  name TEXT,
  image TEXT,
  password_hash TEXT,
  is_active INTEGER NOT NULL DEFAULT 1,
  is_email_verified INTEGER NOT NULL DEFAULT 0,
  plan TEXT NOT NULL DEFAULT 'free',
  storage_quota INTEGER NOT NULL DEFAULT 104857600,
  storage_used INTEGER NOT NULL DEFAULT 0,
  notes_quota INTEGER NOT NULL DEFAULT 100,
  ai_requests_quota INTEGER NOT NULL DEFAULT 20,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_login_at INTEGER
);
CREATE TABLE IF NOT EXISTS sessions (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  token TEXT NOT NULL UNIQUE,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  ip_address TEXT,
  user_agent TEXT
);
CREATE TABLE IF NOT EXISTS verification_tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  email TEXT NOT NULL,
  token TEXT NOT NULL UNIQUE,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS password_reset_tokens (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  token TEXT NOT NULL UNIQUE,
  expires_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  used INTEGER NOT NULL DEFAULT 0
);
CREATE TABLE IF NOT EXISTS notes (
  id TEXT PRIMARY KEY,
  user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
  name TEXT NOT NULL,
  folder TEXT,
  content TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL
);
`;

let handle = null;

/** The open database; throws when the file can't be opened, and tries again at the next call. */
function database() {
  if (handle) return handle;
  const opened = new DatabaseSync(FILE);
  try {
    // better-sqlite3, which the real app uses, waits five seconds for a lock.
    opened.exec("PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA foreign_keys = ON;");
    opened.exec(SCHEMA);
  } catch (error) {
    opened.close();
    throw error;
  }
  handle = opened;
  console.log("[DB] Database initialized successfully");
  return handle;
}

module.exports = { database };
