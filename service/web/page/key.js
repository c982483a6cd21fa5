// The key to the service, where it asks for one: kept until the tab is closed.
import { find } from "./dom.js";

const NAME = "denoir-key";
/** What can be sent: with any other character in it a request fails before it leaves, as if the service were gone. */
const SENDABLE = /^[\x21-\x7e]+$/;
const ASKED = "This service answers those who have a key to it. It is kept until this tab is closed, and sent nowhere else.";
const UNKNOWN = "The service does not know that key. Look at it once more.";
const NO_KEY = "That can’t be a key: it has a character in it that no key has, as a space or a curly quote. Copy it once more.";
let asking = null;

/** The key that was given; null where there is none to be sent. */
export function key() {
  const kept = sessionStorage.getItem(NAME);
  return SENDABLE.test(kept ?? "") ? kept : null;
}

/** Asks for a key, once for all who need it at the same time. Resolves to whether one was given. */
export function askForKey() {
  asking ??= asked().finally(() => (asking = null));
  return asking;
}

async function asked(why = key() ? UNKNOWN : ASKED) {
  const dialog = find("key");
  const field = dialog.querySelector("input");
  find("key-why").textContent = why;
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  if (dialog.returnValue !== "use") return false;
  const given = field.value.trim();
  field.value = "";
  if (!SENDABLE.test(given)) return asked(NO_KEY);
  sessionStorage.setItem(NAME, given);
  return true;
}
