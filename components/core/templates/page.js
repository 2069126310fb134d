(() => {
  const each = (selector, use) => document.querySelectorAll(selector).forEach(use);
  const key = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : Number(cell.dataset.value);
  };
  const compare = (one, other) => {
    const numbers = [one, other].map((value) => typeof value === "number");
    if (numbers[0] !== numbers[1]) return numbers[0] ? -1 : 1;
    return numbers[0] ? one - other : one.localeCompare(other, "en", { numeric: true });
  };
  each("table.sortable", (table) => {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => {
      if (head.classList.contains("chart") || !head.textContent.trim()) return;
      const button = document.createElement("button");
      button.type = "button";
      button.append(...head.childNodes);
      head.append(button);
      button.addEventListener("click", () => {
        const falling = head.getAttribute("aria-sort") === "ascending";
        heads.forEach((other) => other.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", falling ? "descending" : "ascending");
        const rows = [...table.tBodies[0].rows].sort((a, b) => compare(key(a, column), key(b, column)));
        table.tBodies[0].append(...(falling ? rows.reverse() : rows));
      });
    });
  });
  each("svg.lines", (svg) => {
    const { x, series, left, right, label } = JSON.parse(svg.dataset.lines);
    const readout = svg.parentNode.querySelector(".readout"), cursor = svg.querySelector(".cursor");
    const place = (value) => left + ((value - x[0]) / (x[x.length - 1] - x[0] || 1)) * (right - left);
    svg.addEventListener("pointermove", (event) => {
      const at = new DOMPoint(event.clientX, event.clientY).matrixTransform(svg.getScreenCTM().inverse()).x;
      const near = x.reduce((best, value, index) => (Math.abs(place(value) - at) < Math.abs(place(x[best]) - at) ? index : best), 0);
      cursor.setAttribute("x1", place(x[near]));
      cursor.setAttribute("x2", place(x[near]));
      cursor.removeAttribute("visibility");
      readout.textContent = `${label} ${x[near]}: ` + series.filter((one) => one.shown[near]).map((one) => `${one.name} ${one.shown[near]}`).join(", ");
    });
    svg.addEventListener("pointerleave", () => cursor.setAttribute("visibility", "hidden"));
  });
})();
