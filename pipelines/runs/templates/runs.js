(() => {
  const { runs, usual } = JSON.parse(document.getElementById("data").textContent);
  const form = document.querySelector(".filters"), table = document.querySelector("#runs table");
  const rows = [...table.tBodies[0].rows], ticks = rows.map((row) => row.querySelector("input"));
  const heads = [...table.tHead.rows[0].cells].map((head) => head.textContent.trim());
  const text = document.getElementById("text"), chosen = [...form.querySelectorAll("select")];
  form.hidden = false;
  const filter = () => {
    const words = text.value.toLowerCase().split(/\s+/).filter(Boolean);
    let count = 0;
    for (const row of rows) {
      const content = row.textContent.toLowerCase();
      row.hidden = !words.every((word) => content.includes(word)) ||
        chosen.some((one) => one.value && row.cells[heads.indexOf(one.dataset.column)].textContent !== one.value);
      count += !row.hidden;
    }
    document.getElementById("count").textContent = `${count} of ${rows.length} runs`;
  };
  form.addEventListener("input", filter);
  form.addEventListener("submit", (event) => event.preventDefault());
  filter();

  const element = (name, parent, content, scope) => {
    const made = document.createElement(name);
    if (content !== undefined) made.textContent = content;
    if (scope) made.scope = scope;
    parent.append(made);
    return made;
  };
  const listed = (parent, caption, head, lines) => {
    const scroll = element("div", parent);
    scroll.className = "scroll";
    scroll.tabIndex = 0;
    scroll.setAttribute("role", "region");
    scroll.setAttribute("aria-label", caption);
    const made = element("table", scroll);
    element("caption", made, caption);
    const top = element("tr", element("thead", made));
    head.forEach((title) => element("th", top, title, "col"));
    const body = element("tbody", made);
    for (const [first, ...rest] of lines) {
      const row = element("tr", body);
      element("th", row, first, "row");
      rest.forEach((cell) => element("td", row, cell));
    }
  };
  const names = (pair, part) => [...new Set(pair.flatMap((id) => Object.keys(runs[id][part])))];
  const said = (pair) => {
    const [one, other] = pair.map((id) => runs[id]);
    const command = `suanli runs compare ${pair.join(" ")}`;
    if (!one.test || !other.test) return "One of them was not evaluated, so there is nothing to compare by.";
    if (one.test === other.test) return `Both were evaluated on the same test examples. For the paired test: ${command}`;
    return `They were evaluated on different data: a difference of their metrics may come from the test examples alone. To see which examples are the same: ${command}`;
  };
  const compare = () => {
    const pair = ticks.filter((tick) => tick.checked).map((tick) => tick.name);
    const section = document.getElementById("comparison"), place = section.querySelector("div");
    ticks.forEach((tick) => { tick.disabled = pair.length > 1 && !tick.checked; });
    section.hidden = pair.length < 2;
    place.replaceChildren();
    if (section.hidden) return;
    element("p", place, said(pair));
    const metric = (id, name) => (runs[id].metrics[name] || [""]).filter(Boolean);
    listed(place, "Metrics with their 95% intervals", ["metric", ...pair], names(pair, "metrics").map((name) => [
      name.replaceAll("_", " "),
      ...pair.map((id) => { const [value, ends] = metric(id, name); return ends ? `${value} (${ends})` : value || ""; }),
    ]));
    const setting = (id, name) => {
      const common = (usual[runs[id].experiment] || {})[name];
      return name in runs[id].settings ? runs[id].settings[name] : common === undefined ? "" : common.replace(/^"|"$/g, "");
    };
    const lines = names(pair, "settings").map((name) => [name, ...pair.map((id) => setting(id, name))]);
    listed(place, "Settings that differ from most runs", ["setting", ...pair], lines);
  };
  ticks.forEach((tick) => tick.addEventListener("change", compare));
  compare();
})();
