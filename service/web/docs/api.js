// The API's description for who comes here from the page: it is fetched with the key of this tab, where one is needed.
import { key } from "../page/key.js";
import { Trouble, json } from "../page/service.js";
import { told } from "../page/words.js";

const [line, again] = ["told", "again"].map((id) => document.getElementById(id));

async function show() {
  again.hidden = true;
  try {
    const spec = await json("/openapi.json");
    line.hidden = true;
    SwaggerUIBundle({ dom_id: "#swagger-ui", spec, validatorUrl: null, requestInterceptor: withKey });
  } catch (error) {
    line.textContent = error instanceof Trouble ? told(error) : "The description could not be shown. Load the page again.";
    again.hidden = false;
  }
}

/** What is tried out from here is asked with the same key. */
function withKey(request) {
  if (key() && new URL(request.url, location.href).origin === location.origin) request.headers.Authorization ??= `Bearer ${key()}`;
  return request;
}

again.addEventListener("click", show);
show();
