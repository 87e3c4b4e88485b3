"use strict";
// The little of HTTP that the routes share.

const LARGEST_BODY = 11 * 1024 * 1024;

/** An answer that ends a route early. */
class Failure extends Error {
  constructor(status, body, headers = {}) {
    super(body.message || body.error);
    this.status = status;
    this.body = body;
    this.headers = headers;
  }
}

function send(response, status, body, headers = {}) {
  const text = JSON.stringify(body);
  response.writeHead(status, { "Content-Type": "application/json", "Content-Length": Buffer.byteLength(text), ...headers });
  response.end(text);
}

/** The request's JSON object; 413 above the app's limit, 400 for anything else than an object. */
async function jsonOf(request) {
  const parts = [];
  let size = 0;
  for await (const part of request) {
    size += part.length;
    if (size > LARGEST_BODY) throw new Failure(413, { error: "Content too large. Maximum size: 10MB" });
    parts.push(part);
  }
  try {
    const value = JSON.parse(Buffer.concat(parts).toString("utf8") || "{}");
    if (value && typeof value === "object") return value;
  } catch {
    // answered below
  }
  throw new Failure(400, { error: "Invalid request body" });
}

/** Fixed windows per client in memory, as the real app has them. */
class Throttle {
  constructor(limit, windowMs = 60000) {
    this.limit = limit;
    this.windowMs = windowMs;
    this.clients = new Map();
  }

  /** Count one request of this client, told apart by its X-Forwarded-For: 429 above the limit. */
  check(request) {
    const forwarded = request.headers["x-forwarded-for"] || request.headers["x-real-ip"] || "unknown";
    const client = forwarded.split(",")[0].trim();
    const now = Date.now();
    const entry = this.clients.get(client);
    if (!entry || now > entry.resetTime) {
      this.clients.set(client, { count: 1, resetTime: now + this.windowMs });
      return;
    }
    if (entry.count >= this.limit) {
      throw new Failure(
        429,
        { error: "Too many requests", message: "Rate limit exceeded. Please try again later.", resetTime: entry.resetTime },
        { "Retry-After": String(Math.ceil((entry.resetTime - now) / 1000)) },
      );
    }
    entry.count += 1;
  }
}

module.exports = { Failure, Throttle, jsonOf, send };
