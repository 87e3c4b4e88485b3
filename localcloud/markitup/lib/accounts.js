"use strict";
// Sign-up, log-in, sessions and password reset, with the real app's answers.

const crypto = require("node:crypto");
const { database } = require("./database");
const { Failure } = require("./web");

const SESSION_MS = 30 * 24 * 60 * 60 * 1000;
const EMAIL = /^[^\s@]+@[^\s@]+\.[^\s@]+$/;

/** Throws unless both secrets have the length that the real app asks for; it too only notices when they are used. */
function requireSecrets() {
  if ((process.env.JWT_SECRET || "").length < 32) throw new Error("JWT_SECRET must have at least 32 characters");
  if ((process.env.ENCRYPTION_KEY || "").length !== 32) throw new Error("ENCRYPTION_KEY must have exactly 32 characters");
}

const base64 = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");

function signed(payload) {
  const now = Math.floor(Date.now() / 1000);
  const body = { ...payload, iat: now, exp: now + SESSION_MS / 1000, jti: crypto.randomUUID() };
  const text = `${base64({ alg: "HS256", typ: "JWT" })}.${base64(body)}`;
  return `${text}.${crypto.createHmac("sha256", process.env.JWT_SECRET).update(text).digest("base64url")}`;
}

function hashed(password, salt = crypto.randomBytes(16).toString("hex")) {
  return `${salt}$${crypto.scryptSync(password, salt, 32, { N: 4096 }).toString("hex")}`;
}

function matches(password, stored) {
  const expected = Buffer.from(stored);
  const actual = Buffer.from(hashed(password, stored.split("$")[0]));
  return expected.length === actual.length && crypto.timingSafeEqual(expected, actual);
}

function checked(body, { strong }) {
  const errors = [];
  if (!EMAIL.test(body.email || "")) errors.push({ field: "email", message: "Invalid email format" });
  const password = String(body.password || "");
  if (password.length < 8) errors.push({ field: "password", message: "Password must be at least 8 characters" });
  else if (strong && !(/[A-Z]/.test(password) && /[a-z]/.test(password) && /[0-9]/.test(password))) {
    errors.push({ field: "password", message: "Password needs an uppercase letter, a lowercase letter and a number" });
  }
  if (!strong && !body.name) errors.push({ field: "name", message: "Name is required" });
  if (errors.length) throw new Failure(400, { error: "Validation Error", message: "Invalid input data", errors });
}

/** Insert a user; a database error (such as a seat trigger's) reaches the caller as it is. */
function register(body, options) {
  checked(body, options);
  requireSecrets();
  const db = database();
  if (db.prepare("SELECT 1 FROM users WHERE email = ?").get(body.email)) {
    const message = "An account with this email already exists";
    throw new Failure(409, { error: "Conflict", message, code: "USER_EXISTS" });
  }
  if (!/[A-Z]/.test(body.password) || !/[a-z]/.test(body.password) || !/[0-9]/.test(body.password)) {
    throw new Error("Password must be at least 8 characters with uppercase, lowercase, and number");
  }
  const id = crypto.randomUUID();
  const now = Math.floor(Date.now() / 1000);
  db.prepare("INSERT INTO users (id, email, name, password_hash, created_at, updated_at) VALUES (?, ?, ?, ?, ?, ?)").run(
    id, body.email, body.name || null, hashed(body.password), now, now,
  );
  const token = crypto.randomBytes(32).toString("hex");
  db.prepare("INSERT INTO verification_tokens (email, token, expires_at, created_at) VALUES (?, ?, ?, ?)").run(
    body.email, token, now + 86400, now,
  );
  // As the real app does without SMTP: whoever reads the log can use the token.
  console.log(`Verification token created ${JSON.stringify({ email: body.email, token })}`);
  return id;
}

function open(id, request) {
  const db = database();
  const user = db.prepare("SELECT * FROM users WHERE id = ?").get(id);
  const token = signed({ userId: id, email: user.email });
  const now = Math.floor(Date.now() / 1000);
  db.prepare(
    "INSERT INTO sessions (id, user_id, token, expires_at, created_at, ip_address, user_agent) VALUES (?, ?, ?, ?, ?, ?, ?)",
  ).run(
    crypto.randomUUID(), id, token, now + SESSION_MS / 1000, now,
    request.headers["x-forwarded-for"] || null, request.headers["user-agent"] || null,
  );
  return { user: shown(user), sessionToken: token, expiresAt: new Date(Date.now() + SESSION_MS).toISOString() };
}

function shown(user) {
  const { id, email, name, plan } = user;
  return { id, email, name, plan, emailVerified: user.is_email_verified === 1 };
}

function logIn(body, request) {
  requireSecrets();
  const user = database().prepare("SELECT * FROM users WHERE email = ?").get(String(body.email || ""));
  if (!user || !user.is_active || !matches(String(body.password || ""), user.password_hash)) {
    const message = "Invalid email or password";
    throw new Failure(401, { error: "Authentication Failed", message, code: "INVALID_CREDENTIALS" });
  }
  database().prepare("UPDATE users SET last_login_at = ? WHERE id = ?").run(Math.floor(Date.now() / 1000), user.id);
  return open(user.id, request);
}

function tokenOf(request) {
  const bearer = (request.headers.authorization || "").replace("Bearer ", "");
  const cookie = /(?:^|;\s*)session-token=([^;]+)/.exec(request.headers.cookie || "");
  return bearer || (cookie ? cookie[1] : "");
}

/** The signed-in user, or a 401. */
function required(request) {
  requireSecrets();
  const token = tokenOf(request);
  if (!token) {
    throw new Failure(401, { error: "Unauthorized", message: "No authentication token provided", code: "NO_TOKEN" });
  }
  const user = database()
    .prepare("SELECT users.* FROM sessions JOIN users ON users.id = user_id WHERE token = ? AND expires_at > ?")
    .get(token, Math.floor(Date.now() / 1000));
  if (!user) {
    throw new Failure(401, { error: "Unauthorized", message: "Invalid or expired session", code: "INVALID_SESSION" });
  }
  return { ...shown(user), row: user };
}

function logOut(request) {
  database().prepare("DELETE FROM sessions WHERE token = ?").run(tokenOf(request));
}

/** Always the same answer; the token goes to the log, as in the real app without SMTP. */
function requestReset(email) {
  const user = database().prepare("SELECT id FROM users WHERE email = ?").get(String(email || ""));
  if (!user) return;
  const token = crypto.randomBytes(32).toString("hex");
  const now = Math.floor(Date.now() / 1000);
  database()
    .prepare("INSERT INTO password_reset_tokens (user_id, token, expires_at, created_at) VALUES (?, ?, ?, ?)")
    .run(user.id, token, now + 3600, now);
  console.log(`Password reset requested ${JSON.stringify({ email, token })}`);
}

module.exports = { logIn, logOut, open, register, requestReset, required };
