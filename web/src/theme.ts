// Runs before the page is drawn: the theme that was chosen last; without one, that of the system holds.
const chosen = localStorage.getItem("theme");
if (chosen === "dark" || chosen === "light") document.documentElement.dataset["theme"] = chosen;
