// Passkeys: the server's options to the browser's own dialog, and what comes back into the form.

const bytes = (text) =>
  Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (sign) => sign.charCodeAt(0));

const text = (buffer) =>
  btoa(String.fromCharCode(...new Uint8Array(buffer))).replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");

function forBrowser(options) {
  const found = { ...options, challenge: bytes(options.challenge) };
  if (found.user) found.user = { ...found.user, id: bytes(found.user.id) };
  for (const name of ["excludeCredentials", "allowCredentials"]) {
    if (found[name]) found[name] = found[name].map((one) => ({ ...one, id: bytes(one.id) }));
  }
  return found;
}

function forServer(credential) {
  const response = {};
  for (const name of ["clientDataJSON", "attestationObject", "authenticatorData", "signature", "userHandle"]) {
    if (credential.response[name]) response[name] = text(credential.response[name]);
  }
  if (credential.response.getTransports) response.transports = credential.response.getTransports();
  return {
    type: credential.type,
    id: credential.id,
    rawId: text(credential.rawId),
    response,
    clientExtensionResults: credential.getClientExtensionResults(),
  };
}

function prepare(form) {
  const button = form.querySelector("button[type=button]");
  const status = form.querySelector("[role=status]");
  const options = JSON.parse(document.getElementById(form.dataset.options).textContent).publicKey;
  button.hidden = false;
  status.textContent = "";
  if (!window.PublicKeyCredential) {
    button.disabled = true;
    status.textContent = form.dataset.none;
    return;
  }
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      const credential = await navigator.credentials[form.dataset.passkey]({ publicKey: forBrowser(options) });
      form.elements.credential.value = JSON.stringify(forServer(credential));
      form.submit();
    } catch (error) {
      if (!(error instanceof DOMException)) throw error;
      status.textContent = form.dataset.failed;
      button.disabled = false;
    }
  });
}

document.querySelectorAll("form[data-passkey]").forEach(prepare);
