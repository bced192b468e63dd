// The page's script. It filters, lists and draws what is in the document's data;
// every judgement in there is the gate's. Text from results gets into the page
// as text only.
"use strict";
(() => {
const page = JSON.parse(document.getElementById("data").textContent);
const id = name => document.getElementById(name);
const maxShown = 6, maxListed = 200;
const significant = ["regression", "changed", "improvement"];
const units = {gate: "(what the gate judges)", all: "(all)"};

// The choice, which the address keeps. show are the rows on the chart, or
// none for the first of the list.
const usual = {setting: 0, old: 0, new: 0, mechanism: "", operation: "", goarch: "", cpu: "", unit: "", name: "", scale: "linear", parts: {}, show: []};
let choice, chart = null, listAll = false;

const setting = () => page.settings[choice.setting];

function make(tag, props, ...children) {
	const e = document.createElement(tag);
	for (const [key, value] of Object.entries(props || {})) {
		if (key.startsWith("on")) e.addEventListener(key.slice(2), value);
		else if (value === true) e.setAttribute(key, "");
		else if (value !== false && value !== null && value !== undefined) e.setAttribute(key, value);
	}
	e.append(...children.filter(c => c !== null && c !== undefined));
	return e;
}

// ---- Text ----

// number formats as render.go does.
function number(v) {
	const a = Math.abs(v);
	const fixed = digits => v.toLocaleString("en-US", {minimumFractionDigits: digits, maximumFractionDigits: digits});
	if (a >= 10000 || Number.isInteger(v)) return fixed(0);
	if (a >= 100) return fixed(1);
	if (a >= 0.001) return fixed(Math.min(5, 2 - Math.floor(Math.log10(a))));
	return v.toPrecision(3);
}

function percent(ratio) {
	const p = (ratio - 1) * 100;
	const digits = Math.abs(p) >= 1000 ? 0 : 2;
	return (p > 0 ? "+" : p < 0 ? "−" : "") + Math.abs(p).toFixed(digits) + "\u00a0%";
}

function interval(lo, hi, text) {
	return lo === undefined || hi === undefined ? "" : "[" + text(lo) + ", " + text(hi) + "]";
}

// broken lets a long name break after its slashes and between its words.
function broken(name) {
	const e = document.createDocumentFragment();
	name.split(/(?<=\/)|(?<=[a-z])(?=[A-Z])/).forEach((p, i) => { if (i) e.append(document.createElement("wbr")); e.append(p); });
	return e;
}

const value = (config, key) => (config.find(l => l.key === key) || {value: ""}).value;
const title = row => row.name + " " + row.unit;

// ---- The address ----

function firstPair(s) { return {old: Math.max(0, s.kernels.length - 2), new: s.kernels.length - 1}; }

function read() {
	const q = new URLSearchParams(location.hash.slice(1));
	const c = structuredClone(usual);
	c.setting = Math.max(0, page.settings.findIndex(s => s.name === q.get("setting")));
	const s = page.settings[c.setting];
	Object.assign(c, firstPair(s));
	for (const side of ["old", "new"]) {
		const i = s.kernels.findIndex(k => k.label === q.get(side));
		if (i >= 0) c[side] = i;
	}
	order(c);
	// What the page does not have, an address cannot choose.
	const take = (key, has) => { const v = q.get(key); if (v && has(v)) c[key] = v; };
	take("name", () => true);
	take("unit", v => Object.values(units).includes(v) || s.rows.some(r => r.unit === v));
	for (const key of ["mechanism", "operation"]) take(key, v => s.rows.some(r => r[key] === v));
	for (const key of ["goarch", "cpu"]) take(key, v => value(s.config, key) === v);
	if (["linear", "zero", "log"].includes(q.get("scale"))) c.scale = q.get("scale");
	for (const [key, v] of q) if (key.startsWith("/") && s.rows.some(r => part(r, key.slice(1)) === v)) c.parts[key.slice(1)] = v;
	for (const t of q.getAll("show")) {
		const i = s.rows.findIndex(r => title(r) === t);
		if (i >= 0 && c.show.length < maxShown && !c.show.includes(i)) c.show.push(i);
	}
	return c;
}

function write() {
	const q = new URLSearchParams(), s = setting();
	if (s.name) q.set("setting", s.name);
	if (s.kernels.length > 1) { q.set("old", s.kernels[choice.old].label); q.set("new", s.kernels[choice.new].label); }
	for (const key of ["mechanism", "operation", "goarch", "cpu", "unit", "name"]) if (choice[key]) q.set(key, choice[key]);
	if (choice.scale !== "linear") q.set("scale", choice.scale);
	for (const [key, v] of Object.entries(choice.parts)) if (v) q.set("/" + key, v);
	for (const i of choice.show) q.append("show", title(s.rows[i]));
	const hash = "#" + q;
	if (hash !== location.hash) history.replaceState(null, "", hash);
}

// Kernels are compared in their order.
function order(c) { if (c.old > c.new) [c.old, c.new] = [c.new, c.old]; }

// ---- Filter ----

const none = "(none)";

function part(row, key) {
	const p = (row.parts || []).find(l => l.key === key);
	return p ? p.value : none;
}

// A row that no two kernels have is not judged. It is listed with those of its
// unit that are.
for (const s of page.settings) {
	const judged = new Set((s.pairs || []).flatMap(p => (p.changes || []).map(c => c.row)));
	const gated = new Set(s.rows.filter(r => r.gates).map(r => r.unit));
	s.rows.forEach((r, i) => { r.unjudged = !judged.has(i) && gated.has(r.unit); });
}

function matches(row) {
	const unit = choice.unit || (setting().rows.some(r => r.gates) ? units.gate : units.all);
	return (!choice.mechanism || row.mechanism === choice.mechanism) &&
		(!choice.operation || row.operation === choice.operation) &&
		(unit === units.all || (unit === units.gate ? row.gates || row.unjudged : row.unit === unit)) &&
		(!choice.name || row.name.toLowerCase().includes(choice.name.toLowerCase())) &&
		Object.entries(choice.parts).every(([key, v]) => !v || part(row, key) === v);
}

const distinct = list => [...new Set(list)];

function controls() {
	const form = id("controls"), s = setting();
	const focused = document.activeElement && document.activeElement.id;
	form.replaceChildren();
	form.hidden = false;
	const select = (name, label, options, current, change) => {
		const sel = make("select", {id: "f-" + name, onchange: e => change(e.target.value)});
		for (const [v, text] of options) sel.append(make("option", {value: v, selected: v === current}, text));
		form.append(make("label", {}, label, sel));
	};
	const set = key => v => { choice[key] = v; update(); };
	const any = list => [["", "all"], ...list.filter(v => v !== "").map(v => [v, v])];
	if (page.settings.length > 1) {
		const fits = t => (!choice.goarch || value(t.config, "goarch") === choice.goarch) && (!choice.cpu || value(t.config, "cpu") === choice.cpu);
		for (const [key, label] of [["goarch", "Architecture"], ["cpu", "CPU"]]) {
			const all = distinct(page.settings.map(t => value(t.config, key)));
			if (all.length > 1) select(key, label, any(all), choice[key], v => {
				choice[key] = v;
				if (!fits(setting())) enter(Math.max(0, page.settings.findIndex(fits)));
				update();
			});
		}
		select("setting", "Setting", page.settings.map((t, i) => [String(i), t.name]).filter(([i]) => fits(page.settings[i]) || Number(i) === choice.setting),
			String(choice.setting), v => { enter(Number(v)); update(); });
	}
	if (s.kernels.length > 1) {
		const kernels = s.kernels.map((k, i) => [String(i), k.label]);
		for (const [side, label] of [["old", "Old kernel"], ["new", "New kernel"]])
			select(side, label, kernels, String(choice[side]), v => { choice[side] = Number(v); order(choice); update(); });
	}
	const listed = (key, label) => {
		const all = distinct(s.rows.map(r => r[key]));
		if (all.length > 1) select(key, label, any(all.sort()), choice[key], set(key));
	};
	listed("mechanism", "Mechanism");
	listed("operation", "Operation");
	const keys = distinct(s.rows.flatMap(r => (r.parts || []).map(l => l.key)));
	const first = k => ["peer", "cpus"].indexOf(k) >= 0 ? ["peer", "cpus"].indexOf(k) : 2;
	keys.sort((a, b) => first(a) - first(b) || (a < b ? -1 : 1));
	const labels = {peer: "Peer", cpus: "CPUs"};
	for (const key of keys) {
		const all = distinct(s.rows.map(r => part(r, key)));
		if (all.length > 1 && all.length <= 12) select("/" + key, labels[key] || key, any(all.sort()), choice.parts[key] || "", v => { choice.parts[key] = v; update(); });
	}
	const judged = s.rows.some(r => r.gates);
	select("unit", "Unit", [judged ? ["", units.gate] : ["", units.all], ...(judged ? [[units.all, units.all]] : []), ...distinct(s.rows.map(r => r.unit)).map(u => [u, u])],
		choice.unit, set("unit"));
	form.append(make("label", {}, "Name contains", make("input", {id: "f-name", type: "search", value: choice.name, oninput: e => { choice.name = e.target.value; update(true); }})));
	form.append(make("button", {type: "reset", id: "f-reset", onclick: e => {
		e.preventDefault();
		const at = choice.setting;
		choice = structuredClone(usual);
		enter(at);
		update();
	}}, "Show all again"));
	const again = focused && id(focused);
	if (again && form.contains(again)) again.focus();
}

// enter goes to another setting, whose kernels and rows are others.
function enter(i) {
	choice.setting = i;
	Object.assign(choice, firstPair(setting()), {show: []});
}

// ---- Changes ----

// spark is the small chart that the table of all figures has.
function spark(row) {
	const body = document.querySelector("table[data-setting='" + choice.setting + "'] tbody");
	const svg = body && body.rows[row] && body.rows[row].querySelector("svg");
	return svg ? svg.cloneNode(true) : "";
}

function figure(row, kernel) {
	const f = setting().rows[row].figures[kernel];
	return f ? number(f.median) : make("span", {class: "soft"}, "no figure");
}

const arrow = {regression: "▲ ", improvement: "▼ ", changed: "● "};

function mark(row, verdict) {
	if (row.better === "higher") return {regression: "▼ ", improvement: "▲ "}[verdict] || arrow[verdict] || "";
	return arrow[verdict] || "";
}

function changeCell(change) {
	if (!change) return make("td", {class: "verdict soft"}, "in one of the two only");
	const row = setting().rows[change.row];
	return make("td", {class: "verdict"},
		make("span", {class: change.verdict}, mark(row, change.verdict) + (change.ratio === undefined ? "beyond measure" : percent(change.ratio)) + " " + change.verdict),
		row.gates ? "" : make("span", {class: "soft"}, ", informs only"), make("br"),
		make("span", {class: "soft"}, interval(change.lo, change.hi, percent)));
}

function listing(caption, entries) {
	const s = setting(), shown = onChart();
	const table = make("table", {}, make("caption", {}, caption));
	const head = make("tr", {}, make("th", {scope: "col"}, make("span", {class: "hidden-text"}, "On the chart")), make("th", {scope: "col"}, "Benchmark"));
	if (s.kernels.length > 1) head.append(make("th", {scope: "col"}, "Change"));
	for (const i of sides()) head.append(make("th", {scope: "col", class: "n"}, s.kernels[i].label));
	head.append(make("th", {scope: "col", class: "spark-cell"}, "Trend"));
	table.append(make("thead", {}, head));
	const body = make("tbody");
	for (const {row: i, change} of entries.slice(0, listAll ? entries.length : maxListed)) {
		const row = s.rows[i];
		const tr = make("tr", {"data-row": i, class: shown.includes(i) ? "shown" : null},
			make("td", {}, make("input", {type: "checkbox", checked: shown.includes(i), "aria-label": "on the chart: " + title(row), onchange: e => toggle(i, e.target.checked)})),
			make("th", {scope: "row"}, make("button", {type: "button", class: "name", "aria-label": "show " + title(row), onclick: () => only(i)}, broken(row.name)),
				make("span", {class: "soft"}, " " + row.unit)));
		if (s.kernels.length > 1) tr.append(changeCell(change));
		for (const k of sides()) tr.append(make("td", {class: "n"}, figure(i, k)));
		tr.append(make("td", {class: "spark-cell"}, spark(i)));
		body.append(tr);
	}
	table.append(body);
	const box = make("div", {class: "scroll"}, table);
	if (entries.length > maxListed && !listAll)
		box.append(make("button", {type: "button", onclick: () => { listAll = true; update(); }}, "Show the other " + (entries.length - maxListed)));
	return box;
}

const sides = () => setting().kernels.length > 1 ? [choice.old, choice.new] : [0];

function pair() { return setting().pairs && setting().pairs.find(p => p.old === choice.old && p.new === choice.new); }

// sorted returns the rows that match: those with significant changes, those
// without, and those that only one of the two kernels has.
function sorted() {
	const s = setting(), p = pair(), all = {significant: [], rest: [], lone: []};
	if (s.kernels.length < 2 || !p || p.changes === null) {
		s.rows.forEach((row, i) => { if (matches(row) && sides().some(k => row.figures[k])) all.rest.push({row: i}); });
		return all;
	}
	const judged = new Set();
	for (const change of p.changes) {
		judged.add(change.row);
		if (matches(s.rows[change.row])) all[significant.includes(change.verdict) ? "significant" : "rest"].push({row: change.row, change});
	}
	s.rows.forEach((row, i) => { if (!judged.has(i) && matches(row) && (row.figures[p.old] || row.figures[p.new])) all.lone.push({row: i}); });
	return all;
}

let lists = {significant: [], rest: [], lone: []};

const count = (n, what) => n + " " + what + (n === 1 ? "" : "s");

function changes() {
	const s = setting(), p = pair(), body = id("changes-body");
	const open = Object.fromEntries([...body.querySelectorAll("details")].map(d => [d.id, d.open]));
	body.replaceChildren();
	const fold = (name, entries, summary, always) => {
		if (entries.length) body.append(make("details", {id: name, open: always || open[name]}, make("summary", {}, summary), listing(summary, entries)));
	};
	if (s.kernels.length < 2) {
		id("changes-heading").textContent = s.kernels[0].label;
		body.append(make("p", {class: "soft"}, "There is one kernel, so nothing to compare. Give the page results of a second."), listing(count(lists.rest.length, "row"), lists.rest));
		return;
	}
	id("changes-heading").textContent = "Changes from " + s.kernels[choice.old].label + " to " + s.kernels[choice.new].label;
	if (choice.old === choice.new) {
		body.append(make("p", {}, "Pick two kernels to compare."));
		return;
	}
	if (!p) {
		body.append(make("p", {class: "note"}, "Of so many kernels only neighbours are compared, and the first with the last. To compare these two, make a page of them."));
	} else if (p.changes === null) {
		body.append(make("p", {class: "note"}, "The gate gives no verdict on these two: " + p.summary));
	} else {
		body.append(make("p", {}, make("strong", {}, "The gate: "), p.summary));
		if (p.notes) body.append(make("details", {id: "notes", open: open.notes}, make("summary", {}, "What else differs, and what to know"), make("ul", {}, ...p.notes.map(n => make("li", {}, n)))));
	}
	if (p) body.append(make("div", {class: "tools"}, copyButton("Copy the gate's command", p.command)));
	if (lists.significant.length) body.append(listing("Significant, the worst first: " + count(lists.significant.length, "change") + ". An interval is of the ratio, at 95 %.", lists.significant));
	else if (p && p.changes !== null) body.append(make("p", {}, "No significant change among what is shown."));
	fold("rest", lists.rest, p && p.changes !== null ? "Without a significant change: " + lists.rest.length : count(lists.rest.length, "row"), !p || p.changes === null);
	fold("lone", lists.lone, "In one of the two only: " + lists.lone.length);
}

function onChart() {
	if (choice.show.length) return choice.show;
	const first = lists.significant[0] || lists.rest[0] || lists.lone[0];
	return first ? [first.row] : [];
}

function only(i) {
	choice.show = [i];
	update();
	if (matchMedia("(max-width: 69.99rem)").matches) id("trend").scrollIntoView({block: "start"});
}

function toggle(i, on) {
	const s = setting();
	// One chart has one unit.
	let show = onChart().filter(r => r !== i && s.rows[r].unit === s.rows[i].unit);
	if (on) show = [...show, i].slice(-maxShown);
	choice.show = show;
	update();
}

// ---- Copying ----

function copyButton(label, command, name) {
	return make("button", {type: "button", class: "small", title: command, "aria-label": name, "data-command": command, onclick: e => copy(e.target, command)}, label);
}

async function copy(button, command) {
	let done = false;
	try {
		await navigator.clipboard.writeText(command);
		done = true;
	} catch {
		// No permission, or no clipboard for files from a disk.
	}
	if (!done) {
		const area = make("textarea", {rows: 3, readonly: true, "aria-label": "the command"}, command);
		button.after(area);
		area.select();
		say("The command is selected: copy it");
		area.addEventListener("blur", () => area.remove());
		return;
	}
	say("Copied: " + command);
	const label = button.textContent;
	button.textContent = "Copied";
	setTimeout(() => { button.textContent = label; }, 1500);
}

function say(text) { id("said").textContent = text; }

// again is the command that makes a sample's figure again.
function again(row, sample) {
	if (sample && sample.command) return sample.command + " " + row.only;
	return "go test -run '^$' " + row.only.replace("-test.bench", "-bench") + " -count 10 .";
}

// ---- Details ----

function detail() {
	const s = setting(), box = id("detail");
	box.replaceChildren();
	onChart().forEach((i, n) => {
		const row = s.rows[i];
		box.append(make("h3", {}, make("span", {class: "swatch c" + n}), broken(row.name), make("span", {class: "soft"}, " " + row.unit)));
		const p = pair(), change = p && p.changes && p.changes.find(c => c.row === i);
		if (change && change.reason) box.append(make("p", {class: "soft"}, "The gate: " + change.reason));
		const counts = row.figures.some(f => f && f.ways);
		const head = make("tr", {}, make("th", {scope: "col"}, "Kernel"), make("th", {scope: "col", class: "n"}, "n"), make("th", {scope: "col", class: "n"}, "Median"),
			make("th", {scope: "col", class: "n"}, "95 % interval"), make("th", {scope: "col", class: "n"}, "Least to most"));
		if (counts) head.append(make("th", {scope: "col"}, "Ways"));
		const body = make("tbody");
		const raw = make("tbody");
		s.kernels.forEach((k, at) => {
			const f = row.figures[at];
			if (!f) {
				body.append(make("tr", {}, make("th", {scope: "row"}, k.label), make("td", {class: "n"}, "0"), make("td", {class: "soft", colspan: counts ? 4 : 3}, "no figure")));
				return;
			}
			const values = f.values.filter(v => v !== null);
			const from = f.values.findIndex(v => v !== null);
			const button = copyButton("Copy command", again(row, k.samples[from]), "copy the command for " + row.name + " on " + k.label);
			const tr = make("tr", {}, make("th", {scope: "row"}, k.label + " ", button), make("td", {class: "n"}, String(f.n)), make("td", {class: "n"}, number(f.median)),
				make("td", {class: "n"}, interval(f.lo, f.hi, number) || make("span", {class: "soft"}, "n < 6")),
				make("td", {class: "n"}, Math.min(...values) === Math.max(...values) ? make("span", {class: "soft"}, "equal") :
					number(Math.min(...values)) + " to " + number(Math.max(...values))));
			if (counts) tr.append(make("td", {}, f.ways ? waysText(f) : "one"));
			body.append(tr);
			raw.append(make("tr", {}, make("th", {scope: "row"}, k.label),
				make("td", {}, k.samples.map((sample, j) => sample.name + ": " + (f.values[j] === null ? "no figure" : number(f.values[j]))).join("; "))));
		});
		box.append(make("div", {class: "scroll"}, make("table", {}, make("caption", {}, counts ? "A way is one of several values of a count, with its share of the samples." : "The figures of the chart."), make("thead", {}, head), body)));
		box.append(make("details", {class: "raw"}, make("summary", {}, "Every sample"), make("table", {}, make("thead", {}, make("tr", {}, make("th", {scope: "col"}, "Kernel"), make("th", {scope: "col"}, "Samples"))), raw)));
	});
}

function waysText(f) {
	const most = 4, list = f.ways.slice(0, most).map(w => number(w.value) + " (" + Math.round(100 * w.n / f.n) + " %)");
	const others = f.ways.slice(most).reduce((n, w) => n + w.n, 0);
	if (others) list.push((f.ways.length - most) + " more (" + Math.round(100 * others / f.n) + " %)");
	return list.join(", ");
}

// ---- The chart ----

const color = name => getComputedStyle(document.documentElement).getPropertyValue(name).trim();

// ticks are round numbers between two ends, on a logarithmic scale too.
function ticks(min, max, log) {
	if (log && max / min > 8) {
		const all = [];
		for (let e = Math.floor(Math.log10(min)); e <= Math.ceil(Math.log10(max)); e++)
			for (const m of max / min > 1000 ? [1] : [1, 2, 5]) all.push(m * 10 ** e);
		return all.filter(v => v >= min && v <= max);
	}
	const rough = (max - min) / 5, unit = 10 ** Math.floor(Math.log10(rough));
	const step = unit * [1, 2, 5, 10].find(m => m * unit >= rough);
	const all = [];
	for (let i = Math.ceil(min / step); i * step <= max; i++) all.push(Number((i * step).toPrecision(12)));
	return all;
}

// trend draws the rows over kernels.
function trend() {
	const s = setting(), box = id("chart"), rows = onChart();
	id("trend").hidden = rows.length === 0;
	if (chart) chart.destroy();
	chart = null;
	box.replaceChildren();
	if (!rows.length) return;
	const log = choice.scale === "log";
	const scale = make("select", {id: "f-scale", onchange: e => { choice.scale = e.target.value; update(); }});
	for (const [v, text] of [["linear", "linear"], ["zero", "linear, from 0"], ["log", "logarithmic"]]) scale.append(make("option", {value: v, selected: v === choice.scale}, text));
	box.append(make("div", {class: "tools"}, make("label", {class: "soft"}, "Scale ", scale), make("button", {type: "button", id: "f-zoom", class: "small", onclick: () => reset()}, "Zoom out")));
	const plot = make("div", {id: "plot"}), tip = make("div", {id: "tip", hidden: true});
	box.append(plot, tip);

	const usable = v => v !== null && v !== undefined && (!log || v > 0);
	const drawn = rows.map(i => s.rows[i]);
	const points = []; // of samples, and of medians, whose sample is -1
	let min = Infinity, max = -Infinity, left = 0;
	drawn.forEach((row, n) => {
		const shift = (n - (drawn.length - 1) / 2) * 0.12;
		row.figures.forEach((f, k) => {
			if (!f) return;
			f.values.forEach((v, j) => {
				if (usable(v)) points.push({x: k + shift + ((j + 0.5) / f.values.length - 0.5) * 0.4, y: v, row: n, kernel: k, sample: j});
				else if (v !== null) left++;
			});
			if (usable(f.median)) points.push({x: k + shift, y: f.median, row: n, kernel: k, sample: -1});
			for (const v of [f.lo, f.hi, f.median, ...f.values]) if (usable(v)) { min = Math.min(min, v); max = Math.max(max, v); }
		});
	});
	if (left) box.append(make("p", {class: "note"}, "A logarithmic scale has no place for the " + left + " values of 0 or less."));
	if (min > max) { box.append(make("p", {}, "There is nothing to draw on this scale.")); return; }
	if (log) { const pad = Math.max((max / min) ** 0.06, 1.01); min /= pad; max *= pad; }
	else {
		const pad = (max - min || Math.abs(max) || 1) * 0.08;
		min = choice.scale === "zero" ? Math.min(0, min) : min - pad;
		max += pad;
	}
	const font = "12px system-ui, sans-serif", colors = drawn.map((_, n) => color("--c" + n));
	const across = (u, v) => u.valToPos(v, "x", true), up = (u, v) => u.valToPos(v, "y", true);
	const marks = u => {
		const c = u.ctx, dpr = devicePixelRatio;
		c.save();
		c.beginPath();
		c.rect(u.bbox.left, u.bbox.top, u.bbox.width, u.bbox.height);
		c.clip();
		for (const p of points) {
			c.fillStyle = c.strokeStyle = colors[p.row];
			if (p.sample >= 0) {
				c.globalAlpha = 0.45;
				c.beginPath();
				c.arc(across(u, p.x), up(u, p.y), 2.2 * dpr, 0, 2 * Math.PI);
				c.fill();
				c.globalAlpha = 1;
				continue;
			}
			const f = drawn[p.row].figures[p.kernel], x = across(u, p.x);
			if (usable(f.lo) && usable(f.hi)) {
				c.lineWidth = 1.5 * dpr;
				c.beginPath();
				c.moveTo(x, up(u, f.lo));
				c.lineTo(x, up(u, f.hi));
				for (const v of [f.lo, f.hi]) { c.moveTo(x - 5 * dpr, up(u, v)); c.lineTo(x + 5 * dpr, up(u, v)); }
				c.stroke();
			}
			c.beginPath();
			c.arc(x, up(u, p.y), 4 * dpr, 0, 2 * Math.PI);
			c.fill();
		}
		// Lines join the medians of neighbours that both have one.
		drawn.forEach((row, n) => {
			c.strokeStyle = colors[n];
			c.lineWidth = 1.5 * dpr;
			const of = k => points.find(p => p.row === n && p.kernel === k && p.sample < 0);
			for (let k = 1; k < s.kernels.length; k++) {
				const a = of(k - 1), b = of(k);
				if (!a || !b) continue;
				c.beginPath();
				c.moveTo(across(u, a.x), up(u, a.y));
				c.lineTo(across(u, b.x), up(u, b.y));
				c.stroke();
			}
		});
		c.fillStyle = color("--soft");
		c.font = 12 * dpr + "px system-ui, sans-serif";
		c.textAlign = "center";
		s.kernels.forEach((_, k) => {
			if (!drawn.some(row => row.figures[k])) c.fillText("no figure", across(u, k), u.bbox.top + u.bbox.height - 8 * dpr);
		});
		c.restore();
	};
	const width = () => Math.max(240, plot.clientWidth || 600);
	const crowded = s.kernels.reduce((n, k) => n + k.label.length + 2, 0) * 7 > width() - 70;
	const axis = {stroke: color("--fg"), font, ticks: {stroke: color("--line")}, grid: {stroke: color("--grid"), width: 1}};
	let at = null; // the point that the tip is for
	chart = new uPlot({
		width: width(), height: 320, legend: {show: false},
		scales: {x: {time: false, range: (_, a, b) => [a, b]}, y: {distr: log ? 3 : 1, auto: false, range: (_, a, b) => [a, b]}},
		series: [{}, ...drawn.map(() => ({show: true, paths: () => null, points: {show: false}}))],
		axes: [
			{...axis, splits: () => s.kernels.map((_, k) => k), values: (_, all) => all.map(k => s.kernels[k].label), rotate: crowded ? -50 : 0, size: crowded ? 90 : 36,
				grid: {show: false}},
			{...axis, splits: (u, _, a, b) => ticks(a, b, log), values: (_, all) => all.map(number),
				size: (_, all) => 18 + 7.5 * Math.max(...(all || [""]).map(v => String(v).length)), label: drawn[0].unit, labelFont: font, labelSize: 20},
		],
		cursor: {x: false, y: false, points: {show: false}, drag: {x: true, y: true, uni: 25, dist: 6}, bind: {dblclick: () => () => { reset(); return null; }}},
		hooks: {
			draw: [marks],
		},
	}, [s.kernels.map((_, k) => k), ...drawn.map(row => row.figures.map(f => f && usable(f.median) ? f.median : null))], plot);
	reset = () => chart.batch(() => {
		chart.setScale("x", {min: -0.5, max: s.kernels.length - 0.5});
		chart.setScale("y", {min, max});
	});
	reset();

	chart.over.addEventListener("mouseleave", () => { tip.hidden = true; });
	chart.over.addEventListener("mousemove", e => {
		const r = chart.over.getBoundingClientRect();
		let best = null, near = 18; // pixels
		for (const p of points) {
			const d = Math.hypot(r.x + chart.valToPos(p.x, "x") - e.clientX, r.y + chart.valToPos(p.y, "y") - e.clientY) - (p.sample < 0 ? 2 : 0);
			if (d < near) { near = d; best = p; }
		}
		if (best) showTip(best); else tip.hidden = true;
	});

	function showTip(p) {
		at = p;
		const row = drawn[p.row], f = row.figures[p.kernel], k = s.kernels[p.kernel], sample = k.samples[p.sample];
		const lines = [["kernel", k.label], [row.unit, number(p.y) + (sample ? "" : " (median)")]];
		if (sample) lines.push(["sample", sample.name]);
		lines.push(["n", String(f.n)], ["95 % interval", interval(f.lo, f.hi, number) || "none below 6 samples"]);
		lines.push(["build", [value(k.config, "kernel-image") || value(k.config, "kernel-release"), value(k.config, "goversion"), "harness " + (value(s.config, "harness") || "not said")].filter(Boolean).join("; ")]);
		if (value(k.config, "cmdline")) lines.push(["kernel's command line", value(k.config, "cmdline")]);
		if (sample && sample.command) lines.push(["command", sample.command]);
		tip.replaceChildren(make("strong", {}, row.name), make("dl", {}, ...lines.flatMap(([a, b]) => [make("dt", {}, a), make("dd", {}, b)])));
		tip.hidden = false;
		const x = plot.offsetLeft + chart.over.offsetLeft + chart.valToPos(p.x, "x"), y = plot.offsetTop + chart.over.offsetTop + chart.valToPos(p.y, "y");
		tip.style.left = Math.max(4, Math.min(x + 12, box.clientWidth - tip.offsetWidth - 4)) + "px";
		tip.style.top = (y > box.clientHeight / 2 ? Math.max(4, y - tip.offsetHeight - 12) : y + 12) + "px";
	}
	box.onkeydown = e => {
		const move = {ArrowRight: 1, ArrowLeft: -1}[e.key];
		if (e.key === "Escape") tip.hidden = true;
		if (!move || e.target !== box) return;
		e.preventDefault();
		const medians = points.filter(p => p.sample < 0).sort((a, b) => a.x - b.x);
		const now = at ? medians.findIndex(p => p.row === at.row && p.kernel === at.kernel) : -1;
		const next = now < 0 ? (move > 0 ? 0 : medians.length - 1) : Math.max(0, Math.min(medians.length - 1, now + move));
		showTip(medians[next]);
		id("chart-said").textContent = tip.innerText.replace(/\s+/g, " ");
	};
	box.setAttribute("aria-label", "Chart of " + drawn.map(title).join(", ") + " over " + count(s.kernels.length, "kernel") + ": " +
		drawn.map(row => s.kernels.map((k, i) => k.label + " " + (row.figures[i] ? number(row.figures[i].median) : "no figure")).join(", ")).join("; "));
}

let reset = () => {};

// ---- All together ----

// update shows what is chosen. While somebody types, the controls stay.
function update(typing) {
	lists = sorted();
	write();
	if (!typing) controls();
	changes();
	trend();
	detail();
	const n = lists.significant.length + lists.rest.length + lists.lone.length;
	say(count(n, "row") + " shown, " + count(lists.significant.length, "significant change"));
}

document.querySelector("main").classList.add("columns");
choice = read();
update();
addEventListener("hashchange", () => { choice = read(); update(); });
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", trend);
let before = innerWidth;
addEventListener("resize", () => { if (innerWidth !== before) { before = innerWidth; trend(); } });
// Paper is white.
addEventListener("beforeprint", () => { document.documentElement.dataset.print = ""; trend(); if (chart) chart.setSize({width: 640, height: 320}); });
addEventListener("afterprint", () => { delete document.documentElement.dataset.print; trend(); });
})();
