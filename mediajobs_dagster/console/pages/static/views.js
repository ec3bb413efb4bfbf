/* Views of the list that a reader has named. They are kept in the browser: what is shared with others is the address. */
const KEY = "mediajobs.views";

function stored() {
  try {
    const found = JSON.parse(localStorage.getItem(KEY) ?? "[]");
    return Array.isArray(found) ? found.filter((each) => typeof each?.name === "string" && typeof each.query === "string") : [];
  } catch {
    return [];
  }
}

function store(views) {
  localStorage.setItem(KEY, JSON.stringify(views));
}

function button(text, label, act) {
  const made = document.createElement("button");
  made.type = "button";
  made.className = "small quiet";
  made.textContent = text;
  made.ariaLabel = label;
  made.addEventListener("click", act);
  return made;
}

export function keepViews() {
  const holder = document.querySelector("[data-views]");
  if (!holder) return;
  const query = new URLSearchParams(location.search);
  query.delete("after");
  const here = query.toString();
  const show = () => {
    for (const old of holder.querySelectorAll("[data-view]")) old.remove();
    const views = stored();
    for (const view of views) {
      const place = document.createElement("span");
      place.dataset.view = "";
      const link = document.createElement("a");
      link.href = `${location.pathname}?${view.query}`;
      link.textContent = view.name;
      if (view.query === here) link.ariaCurrent = "true";
      place.append(link, button("×", `Forget the view ${view.name}`, () => {
        store(stored().filter((each) => each.name !== view.name));
        show();
      }));
      holder.append(place);
    }
    if (here && !views.some((view) => view.query === here)) {
      const save = button("Save this view …", "", () => {
        const name = window.prompt("A name for this view:")?.trim().slice(0, 40);
        if (!name) return;
        store([...stored().filter((each) => each.name !== name), { name, query: here }]);
        show();
      });
      save.removeAttribute("aria-label");
      save.dataset.view = "";
      holder.append(save);
    }
  };
  show();
}
