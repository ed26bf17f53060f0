// Addresses are relative to the page, so that it works under any path.
SwaggerUIBundle({
  url: "../openapi.json",
  dom_id: "#documentation",
  deepLinking: true,
  displayRequestDuration: true,
  validatorUrl: null,
});
