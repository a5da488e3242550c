// Loaded before the first paint, so that the page never shows in the wrong theme.
(() => {
  const root = document.documentElement;
  const dark = matchMedia("(prefers-color-scheme: dark)");
  const apply = () => {
    const wanted = root.dataset.theme;
    root.dataset.bsTheme = wanted === "light" || wanted === "dark" ? wanted : dark.matches ? "dark" : "light";
  };
  dark.addEventListener("change", apply);
  document.addEventListener("drover:theme", (event) => {
    root.dataset.theme = event.detail;
    apply();
  });
  apply();
})();
