// The key to the service, where it asks for one: kept until the tab is closed.
import { find } from "./dom.js";

const NAME = "denoir-key";
let asking = null;

export const key = () => sessionStorage.getItem(NAME);

/** Asks for a key, once for all who need it at the same time. Resolves to whether one was given. */
export function askForKey() {
  asking ??= asked().finally(() => (asking = null));
  return asking;
}

async function asked() {
  const dialog = find("key");
  const field = dialog.querySelector("input");
  if (key()) find("key-why").textContent = "The service does not know that key. Look at it once more.";
  field.value = "";
  dialog.returnValue = "";
  dialog.showModal();
  await new Promise((closed) => dialog.addEventListener("close", closed, { once: true }));
  if (dialog.returnValue !== "use") return false;
  sessionStorage.setItem(NAME, field.value.trim());
  field.value = "";
  return true;
}
