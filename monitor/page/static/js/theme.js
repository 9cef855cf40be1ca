// Before the first paint, so that nothing flashes: the colours that were chosen last time.
"use strict";
try {
  const theme = localStorage.getItem("theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // No storage: as the system has it.
}
