// Addresses are relative to the page, so that it works under any path.
const DOCUMENT = "../openapi.json";
const place = document.getElementById("documentation");

// The document may need a credential, which a browser does not send by itself; it lives as long as the page.
async function load(credential) {
  const headers = credential ? { Authorization: `Bearer ${credential}` } : {};
  const answer = await fetch(DOCUMENT, { headers });
  if (answer.status === 401 || answer.status === 403) {
    ask((await answer.json()).error);
    return;
  }
  SwaggerUIBundle({
    spec: await answer.json(),
    dom_id: "#documentation",
    deepLinking: true,
    displayRequestDuration: true,
    validatorUrl: null,
    requestInterceptor: (request) => {
      request.headers = { ...headers, ...request.headers };
      return request;
    },
  });
}

function ask(why) {
  const form = document.createElement("form");
  const label = document.createElement("label");
  const field = document.createElement("input");
  const button = document.createElement("button");
  label.append("API key or token: ", field);
  field.type = "password";
  field.autocomplete = "off";
  field.required = true;
  button.append("Show");
  form.append(why, document.createElement("br"), label, " ", button);
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    load(field.value.trim());
  });
  place.replaceChildren(form);
  field.focus();
}

load("");
