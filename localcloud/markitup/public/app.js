"use strict";

const byId = (id) => document.getElementById(id);
const say = (text) => { byId("message").textContent = text; };

async function call(method, address, body) {
  const answer = await fetch(address, {
    method,
    headers: { "Content-Type": "application/json" },
    body: body ? JSON.stringify(body) : undefined,
  });
  const data = await answer.json().catch(() => ({}));
  if (!answer.ok) {
    const reasons = (data.errors || []).map((error) => error.message).join(", ");
    throw new Error(reasons || data.message || data.error || `The server answered ${answer.status}`);
  }
  return data;
}

function edit(note) {
  byId("editor").filename.value = note ? note.name.replace(/\.md$/, "") : "";
  byId("editor").content.value = note ? note.content : "";
}

async function listNotes() {
  const { notes } = await call("GET", "/api/files");
  byId("notes").replaceChildren(...notes.map((note) => {
    const item = document.createElement("li");
    const button = document.createElement("button");
    button.type = "button";
    button.textContent = note.name.replace(/\.md$/, "");
    button.addEventListener("click", () => edit(note));
    item.append(button);
    return item;
  }));
}

async function show() {
  // A stranger is a 401 here, which the browser also notes in its console.
  let user = null;
  try {
    user = (await call("GET", "/api/auth/me")).user;
  } catch {
    // The form stays.
  }
  byId("welcome").hidden = Boolean(user);
  byId("workspace").hidden = !user;
  byId("account").hidden = !user;
  if (user) {
    byId("who").textContent = user.name || user.email;
    await listNotes();
  }
}

byId("sign-in").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { name, email, password } = event.target.elements;
  const body = { name: name.value || email.value.split("@")[0], email: email.value, password: password.value };
  try {
    await call("POST", `/api/auth/${event.submitter?.value || "signup"}`, body);
    say("");
    await show();
  } catch (error) {
    say(error.message);
  }
});

byId("editor").addEventListener("submit", async (event) => {
  event.preventDefault();
  const { filename, content } = event.target.elements;
  try {
    await call("POST", "/api/files", { filename: filename.value, content: content.value });
    say("Saved.");
    await listNotes();
  } catch (error) {
    say(error.message);
  }
});

byId("new").addEventListener("click", () => edit(null));
byId("log-out").addEventListener("click", async () => {
  await call("POST", "/api/auth/logout");
  await show();
});

show();
