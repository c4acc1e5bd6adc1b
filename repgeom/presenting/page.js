// Reads the values of a line chart where the pointer or the arrow keys are.
document.querySelectorAll("[data-places]").forEach(function (axes) {
  var figure = axes.closest("figure");
  var places = JSON.parse(axes.dataset.places);
  var names = JSON.parse(axes.dataset.names);
  var unit = axes.dataset.unit;
  var cursor = axes.querySelector(".cursor");
  var reading = figure.querySelector(".reading");
  var curves = Array.from(figure.querySelectorAll(".legend li")).map(function (item) {
    return {
      item: item,
      name: item.querySelector(".name").textContent.trim(),
      values: item.dataset.values.split("|"),
      shown: item.querySelector(".v"),
      drawn: axes.querySelector('[data-curve="' + item.dataset.curve + '"]'),
    };
  });
  var at = 0;

  function words() {
    var where = unit + " " + names[at];
    if (curves.length > 12) return where + ", " + curves.length + " curves";
    return where + ": " + curves.map(function (c) { return c.name + " " + (c.values[at] || "–"); }).join("; ");
  }
  function show(i) {
    at = Math.max(0, Math.min(places.length - 1, i));
    cursor.setAttribute("x1", places[at]);
    cursor.setAttribute("x2", places[at]);
    cursor.removeAttribute("visibility");
    curves.forEach(function (c) { c.shown.textContent = c.values[at] || "–"; });
    reading.textContent = unit + " " + names[at];
    reading.title = reading.textContent;
    axes.setAttribute("aria-valuenow", at + 1);
    axes.setAttribute("aria-valuetext", words());
  }
  function nearest(event) {
    var box = axes.getBoundingClientRect();
    var x = 1000 * (event.clientX - box.left) / box.width;
    var best = 0;
    places.forEach(function (place, i) {
      if (Math.abs(place - x) < Math.abs(places[best] - x)) best = i;
    });
    show(best);
  }
  axes.setAttribute("role", "slider");
  axes.setAttribute("aria-valuemin", 1);
  axes.setAttribute("aria-valuemax", places.length);
  axes.setAttribute("aria-valuenow", 1);
  axes.setAttribute("aria-valuetext", words());
  axes.tabIndex = 0;
  reading.textContent = "Point, or press arrow keys, to read values.";
  axes.addEventListener("pointermove", nearest);
  axes.addEventListener("pointerdown", nearest);
  axes.addEventListener("focus", function () { show(at); });
  axes.addEventListener("keydown", function (event) {
    var steps = { ArrowRight: 1, ArrowUp: 1, ArrowLeft: -1, ArrowDown: -1, PageUp: 10, PageDown: -10 };
    if (event.key in steps) show(at + steps[event.key]);
    else if (event.key === "Home") show(0);
    else if (event.key === "End") show(places.length - 1);
    else return;
    event.preventDefault();
  });
  curves.forEach(function (c) {
    c.item.addEventListener("pointerenter", function () { c.drawn.firstElementChild.classList.add("raised"); });
    c.item.addEventListener("pointerleave", function () { c.drawn.firstElementChild.classList.remove("raised"); });
  });
});

// A link to a folded part opens it.
function unfold() {
  var part = location.hash && document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (part && part.tagName === "DETAILS") part.open = true;
}
addEventListener("hashchange", unfold);
unfold();

// Paper cannot be unfolded. What a page marks as too long for paper stays as it is.
var folded = [];
addEventListener("beforeprint", function () {
  folded = Array.from(document.querySelectorAll("details:not([open]):not(.unprinted)"));
  folded.forEach(function (part) { part.open = true; });
});
addEventListener("afterprint", function () { folded.forEach(function (part) { part.open = false; }); });
