"use strict";
// Tells whether the name can be had while it is typed, and sends the form once. The form works without this.
{
  const form = document.querySelector("form[data-availability]");
  const name = form.elements.subdomain;
  const status = document.getElementById("subdomain-status");
  const problem = document.getElementById("subdomain-problem");
  const email = form.elements.email;
  const button = form.querySelector("button[type=submit]");
  let timer = 0;
  let asked = 0;

  const show = (good, bad) => {
    status.textContent = good;
    problem.textContent = bad;
    problem.hidden = !bad;
    if (bad) name.setAttribute("aria-invalid", "true");
    else name.removeAttribute("aria-invalid");
  };

  const ask = async () => {
    const number = ++asked;
    const query = new URLSearchParams({ subdomain: name.value, form: form.elements.form.value });
    try {
      const answer = await fetch(`${form.dataset.availability}?${query}`);
      if (!answer.ok || number !== asked) return;
      const told = await answer.json();
      show(told.available ? `${told.subdomain} is free.` : "", told.problem ?? "");
    } catch {
      // Nothing is lost: the form is checked when it is sent.
    }
  };

  name.addEventListener("input", () => {
    clearTimeout(timer);
    asked++;
    show("", "");
    if (name.value.trim()) timer = setTimeout(ask, 350);
  });
  email.addEventListener("input", () => {
    document.getElementById("email-problem").hidden = true;
    email.removeAttribute("aria-invalid");
  });
  form.addEventListener("submit", () => {
    button.disabled = true;
    button.textContent = "One moment …";
  });
  window.addEventListener("pageshow", () => {
    button.disabled = false;
    button.textContent = "Continue to payment";
  });
}
