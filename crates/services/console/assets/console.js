// Live updates for pages that are whole without them. The server sends the regions of the page that changed,
// as HTML it rendered itself; this puts them in place. Nothing here decides anything.
"use strict";

(() => {
  document.documentElement.classList.add("js");

  // Times: the page has UTC; show the reader's own time and keep UTC in the title.
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" });
  const two = (n) => String(n).padStart(2, "0");
  function localise(root) {
    for (const element of root.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      if (Number.isNaN(at.getTime())) continue;
      const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      const time = clock.format(at);
      const style = element.dataset.style;
      const shown = style === "dm" || style === "hm" ? time.slice(0, 5) : time;
      element.textContent = style === "dt" || style === "dm" ? `${day} ${shown}` : shown;
    }
  }

  // Makes `old` look like `fresh` with as few changes as possible, so that focus, selection, unfolded details
  // and what somebody is typing stay.
  const KEEP = new Set(["open"]);
  function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName) {
      old.replaceWith(fresh);
      return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name, value } of [...fresh.attributes]) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name) && !KEEP.has(name)) old.removeAttribute(name);
    }
    children(old, fresh);
  }
  function children(old, fresh) {
    const keyed = new Map();
    for (const child of old.children) if (child.dataset.key) keyed.set(child.dataset.key, child);
    let at = old.firstChild;
    for (const child of [...fresh.childNodes]) {
      const key = child.nodeType === Node.ELEMENT_NODE ? child.dataset.key : undefined;
      const same = key && keyed.get(key);
      if (same) {
        keyed.delete(key);
        if (same === at) at = at.nextSibling;
        else old.insertBefore(same, at);
        morph(same, child);
      } else if (key || !at || at.dataset?.key) {
        old.insertBefore(child, at);
      } else {
        const next = at.nextSibling;
        morph(at, child);
        at = next;
      }
    }
    while (at) {
      const next = at.nextSibling;
      at.remove();
      at = next;
    }
  }

  // A slider beside its number: each follows the other.
  function pair(form) {
    const [slider, number] = [form.querySelector("input[type=range]"), form.querySelector("input[type=number]")];
    if (slider && number) return { slider, number };
    return null;
  }
  document.addEventListener("input", (event) => {
    const form = event.target.closest("form[data-pair]");
    const both = form && pair(form);
    if (!both) return;
    if (event.target === both.slider) both.number.value = both.slider.value;
    else if (event.target === both.number) both.slider.value = both.number.value;
  });
  // A form that was sent is not sent twice.
  document.addEventListener("submit", (event) => {
    const form = event.target;
    if (form.method !== "post") return;
    if (form.dataset.sent) event.preventDefault();
    form.dataset.sent = "1";
  });
  window.addEventListener("pageshow", () => {
    for (const form of document.querySelectorAll("form[data-sent]")) delete form.dataset.sent;
  });

  localise(document);

  const path = document.body.dataset.live;
  const sign = document.getElementById("live-state");
  if (!path || !sign) return;

  let source = null;
  let retry = 0;
  let asOf = null;
  let settled = false;
  let said = "";
  function say(state, text) {
    if (said === state + text) return;
    said = state + text;
    sign.dataset.state = state;
    sign.textContent = text;
  }
  const since = () => (asOf ? `, as of ${clock.format(asOf)}` : "");

  function open() {
    if (source || settled || document.hidden) return;
    clearTimeout(retry);
    source = new EventSource(path);
    source.addEventListener("region", (event) => {
      const cut = event.data.indexOf("\n");
      const region = document.querySelector(`[data-region="${CSS.escape(event.data.slice(0, cut))}"]`);
      if (!region) return;
      const fresh = new DOMParser().parseFromString(event.data.slice(cut + 1), "text/html").body;
      localise(fresh);
      children(region, fresh);
    });
    source.addEventListener("state", (event) => {
      asOf = new Date(event.data);
      sign.title = `Last change ${event.data}`;
      say("live", "Live");
    });
    source.addEventListener("settled", () => {
      settled = true;
      close();
      say("settled", "Final");
    });
    source.addEventListener("error", () => {
      if (!source || settled) return;
      if (source.readyState === EventSource.CONNECTING) {
        say("away", `Reconnecting${since()}`);
        return;
      }
      close();
      refused();
    });
  }
  function close() {
    if (source) source.close();
    source = null;
  }
  // The server answered, but not with updates: find out why, and try again later.
  async function refused() {
    let text = "Not live";
    try {
      const { status } = await fetch(path, { method: "HEAD" });
      if (status === 503) text = "Not live: too many pages are open";
      else if (status === 401 || status === 403) text = "Signed out: open the address that gridlatch printed";
      else if (status === 404) text = "Gone";
    } catch {
      text = "The platform does not answer";
    }
    say("away", text + since());
    retry = setTimeout(open, 15000);
  }
  // A hidden tab gives its connection back: browsers allow six to one host.
  document.addEventListener("visibilitychange", () => (document.hidden ? close() : open()));
  window.addEventListener("pagehide", close);
  window.addEventListener("pageshow", open);
  say("away", "Connecting");
  open();
})();
