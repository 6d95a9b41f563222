// Live figures: the server draws the page each second, this puts the difference into the page.
// Nodes stay, so that selection, focus, open tables and scroll positions stay too.
(() => {
  "use strict";
  const STALE_SECONDS = 5;
  const say = document.getElementById("link");
  const pause = document.getElementById("pause");
  let source = null;
  let paused = false;
  let gotAt = performance.now();
  let ageThen = Number(view().dataset.age || 0);

  function view() {
    return document.getElementById("view");
  }

  function attributes(from, to) {
    for (const { name } of [...from.attributes]) {
      const readersOwn = name === "open" && from.tagName === "DETAILS";
      if (!to.hasAttribute(name) && !readersOwn) from.removeAttribute(name);
    }
    for (const { name, value } of to.attributes) {
      if (from.getAttribute(name) !== value) from.setAttribute(name, value);
    }
  }

  function morph(from, to) {
    if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || from.id !== to.id) {
      from.replaceWith(to);
      return;
    }
    if (from.nodeType !== Node.ELEMENT_NODE) {
      if (from.data !== to.data) from.data = to.data;
      return;
    }
    attributes(from, to);
    const old = [...from.childNodes];
    const fresh = [...to.childNodes];
    fresh.forEach((node, index) => {
      if (index < old.length) morph(old[index], node);
      else from.append(node);
    });
    old.slice(fresh.length).forEach((node) => node.remove());
  }

  function take(event) {
    const fresh = new DOMParser().parseFromString(event.data, "text/html").getElementById("view");
    if (!fresh) return;
    gotAt = performance.now();
    ageThen = Number(fresh.dataset.age || 0);
    morph(view(), fresh);
    age();
  }

  function age() {
    const seconds = Math.round(ageThen + (performance.now() - gotAt) / 1000);
    const text = `${seconds} s old`;
    for (const node of document.querySelectorAll(".age")) {
      if (node.textContent !== text) node.textContent = text;
    }
    const stale = !paused && seconds > STALE_SECONDS;
    document.body.classList.toggle("stale", stale);
    if (paused) tell("Paused", "paused");
    else if (stale) tell("No figures: trying again", "lost");
    else tell("Live", "live");
  }

  function tell(text, state) {
    if (say.textContent !== text) say.textContent = text;
    if (say.dataset.state !== state) say.dataset.state = state;
  }

  function open() {
    if (source || paused || document.hidden) return;
    source = new EventSource(document.body.dataset.live);
    source.addEventListener("view", take);
    // A refusal ends an EventSource for good; a lost connection does not.
    source.addEventListener("error", () => {
      if (source && source.readyState === EventSource.CLOSED) {
        close();
        setTimeout(open, 5000);
      }
    });
  }

  function close() {
    if (source) source.close();
    source = null;
  }

  pause.hidden = false;
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.textContent = paused ? "Resume" : "Pause";
    if (paused) close();
    else open();
    age();
  });
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  setInterval(age, 1000);
  open();
})();
