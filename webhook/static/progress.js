"use strict";
// Follows the sign-up without loading the page again. Without this the page reloads by itself.
{
  const page = document.getElementById("progress");
  const steps = [...page.querySelectorAll(".steps li")];
  const text = document.getElementById("progress-text");
  const link = document.getElementById("progress-link");

  const show = (told) => {
    steps.forEach((step, index) => {
      step.className = index < told.done ? "done" : index === told.done ? "now" : "later";
      if (index === told.done) step.setAttribute("aria-current", "step");
      else step.removeAttribute("aria-current");
    });
    if (text.textContent !== told.text) text.textContent = told.text;
    if (told.url) {
      link.href = told.url;
      link.hidden = false;
      document.title = document.title.replace(/^.* –/, "Your wiki is ready –");
    }
    if (told.state === "failed-payment") location.reload();
  };

  const look = async () => {
    let seconds = 10;
    try {
      const answer = await fetch(page.dataset.polls);
      if (answer.status === 404) return;
      if (answer.ok) {
        const told = await answer.json();
        show(told);
        seconds = told.retry_seconds;
      }
    } catch {
      // The network may be away for a moment.
    }
    if (seconds) setTimeout(look, seconds * 1000);
  };

  if (page.dataset.polls) setTimeout(look, page.dataset.seconds * 1000);
}
