package where

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"eventbench/helpers/where/symbols"
)

// A function is a function that instructions are counted for.
type function struct {
	Name string
	User bool // of the program, not of the kernel
}

// A node is a function in a call tree. Its callers are above it.
type node struct {
	fn       int // index of tree.funcs
	parent   int // index of tree.nodes; the root's is 0
	children []int
}

// A tree is the call tree that all operations of a log share. Node 0 is its
// root and not a function.
type tree struct {
	funcs []function
	index map[function]int
	nodes []node
}

func newTree() *tree {
	return &tree{index: make(map[function]int), nodes: make([]node, 1)}
}

func (t *tree) function(f function) int {
	i, ok := t.index[f]
	if !ok {
		i = len(t.funcs)
		t.index[f] = i
		t.funcs = append(t.funcs, f)
	}
	return i
}

// child returns the node of fn as called from a node.
func (t *tree) child(of, fn int) int {
	for _, c := range t.nodes[of].children {
		if t.nodes[c].fn == fn {
			return c
		}
	}
	t.nodes = append(t.nodes, node{fn: fn, parent: of})
	c := len(t.nodes) - 1
	t.nodes[of].children = append(t.nodes[of].children, c)
	return c
}

// An operation is what was executed between two stamps.
type operation struct {
	// stamped is the number of instructions by the counter, logged the
	// number in the log.
	stamped, logged int
	// idle is how far the counter jumped while no processor had anything to
	// do. The counted clock then goes straight to the next timer.
	idle    int
	self    map[int]int // instructions by node
	calls   map[int]int // by function
	classes [nclasses]int
}

// exact reports whether the log has exactly as many instructions as the
// counter.
func (o *operation) exact() bool { return o.logged+o.idle == o.stamped }

// A site is what is known of a place once the log is complete.
type site struct {
	insn
	fn    int
	entry bool // of fn
	event event
}

// An event is a way into the kernel other than a system call.
type event uint8

const (
	noEvent   event = iota
	interrupt       // after an instruction
	fault           // instead of an instruction, which may then be executed again
)

// A walker follows a trace and keeps each processor's stack.
type walker struct {
	*arch
	*trace
	*tree
	sites    []site // by place
	cpus     [maxCPUs]processor
	switchFn int // arch.switchTo, or -1
	// Direct calls in the kernel, and those whose target is not the start
	// of a function.
	calls, astray int
}

type processor struct {
	seen  bool
	last  int // place
	lastN int // node that the last step was counted for
	stack []frame
	// parked are the stacks of tasks that were switched out, the latest
	// last.
	parked [][]int
}

// A frame is a function that was called and has not returned.
type frame struct {
	node int
	ret  uint64 // where it returns to
	by   event  // interrupt or fault: it returns to wherever that was
}

// attribute cuts a trace into operations at the stamps. It finds the functions
// that their instructions are in and the callers of those.
func attribute(a *arch, t *trace, code *memory, kernel, program *symbols.Table, stamps []uint64, isStamp func(place) bool) (*tree, []operation, error) {
	w := &walker{arch: a, trace: t, tree: newTree(), switchFn: -1}
	insns := make([]insn, len(t.at))
	for i, p := range t.at {
		insns[i] = a.decode(code.at(p.pc, int(a.maxInsn)))
	}
	slide, err := w.slide(insns, kernel)
	if err != nil {
		return nil, nil, err
	}
	w.sites = make([]site, len(t.at))
	for i, p := range t.at {
		s := site{insn: insns[i]}
		table, pc := kernel, p.pc-slide
		if p.user {
			table, pc = program, p.pc
		}
		f, ok := table.Lookup(pc)
		if !ok {
			f = symbols.Func{Name: "[unknown]"}
			if p.user && pc > 1<<46 {
				f.Name = "[vdso]" // or another page that the kernel lends
			}
		}
		s.fn = w.function(function{f.Name, p.user})
		s.entry = ok && f.Entry && f.Addr == pc
		if !p.user && ok {
			s.event = a.event(f, pc)
		}
		w.sites[i] = s
	}
	if i, ok := w.index[function{a.switchTo, false}]; ok {
		w.switchFn = i
	}

	var ops []operation
	n := -1
	for i, s := range w.steps {
		if n >= 0 && n < len(ops) {
			w.step(i, s, &ops[n])
		} else {
			w.step(i, s, nil)
		}
		if isStamp(w.at[s.place()]) {
			n++
			if n == len(stamps)-1 {
				break
			}
			if stamps[n+1] < stamps[n] {
				return nil, nil, fmt.Errorf("stamp %d is before stamp %d", n+1, n)
			}
			ops = append(ops, operation{
				stamped: int(stamps[n+1] - stamps[n]), self: make(map[int]int), calls: make(map[int]int),
			})
		}
	}
	if w.astray > w.calls/20 {
		return nil, nil, fmt.Errorf("%[2]d of %[1]d calls in the kernel lead to addresses where its symbols have no function: they belong to another kernel", w.calls, w.astray)
	}
	if n != len(stamps)-1 {
		return nil, nil, fmt.Errorf("the log has %d stamps, the program %d", n+1, len(stamps))
	}
	for i := range ops {
		if o := &ops[i]; o.stamped > o.logged && o.classes[halts] > 0 {
			o.idle = o.stamped - o.logged
		}
	}
	return w.tree, ops, nil
}

// slide returns how much higher the kernel's addresses are than its symbols'.
// The target of a system call shows it.
func (w *walker) slide(insns []insn, kernel *symbols.Table) (uint64, error) {
	entry, ok := kernel.Addr(w.entry)
	if !ok {
		return 0, fmt.Errorf("the kernel's symbols have no %s: they are not those of a kernel for %s", w.entry, w.guest)
	}
	entry += w.entryOffset
	var last [maxCPUs]int
	for i := range last {
		last[i] = -1
	}
	for _, s := range w.steps {
		p, cpu := s.place(), s.cpu()
		if l := last[cpu]; l >= 0 && insns[l].flow == enter && w.at[l].user && !w.at[p].user {
			slide := w.at[p].pc - entry
			if slide%w.align != 0 {
				return 0, fmt.Errorf("a system call leads to %#x, where the kernel's symbols have %s at %#x: they are another kernel's, or system calls come by a trampoline (KPTI), which where does not read", w.at[p].pc, w.entry, entry)
			}
			return slide, nil
		}
		last[cpu] = p
	}
	return 0, errors.New("no system call is in the log")
}

// step takes one step, inside an operation or outside.
func (w *walker) step(i int, s step, op *operation) {
	p := s.place()
	c := &w.cpus[s.cpu()]
	to := &w.sites[p]
	from := &w.sites[c.last]
	switched := false
	if !c.seen {
		c.seen = true
		c.stack = w.stackAt(i)
	} else {
		last := w.at[c.last]
		switch {
		case from.flow == enter && last.user && !w.at[p].user:
			c.push(w.child(c.top(), to.fn), 0, noEvent)
			w.called(op, to.fn)
		case to.event != noEvent && to.fn != from.fn:
			if to.event == fault && op != nil && w.undone(from.insn) {
				w.count(op, c.last, c.lastN, -1)
			}
			c.push(w.child(c.top(), to.fn), 0, to.event)
			w.called(op, to.fn)
			if op != nil {
				op.classes[interrupts]++
			}
		case to.fn == w.switchFn && to.entry:
			c.park(w.tree)
			c.stack = w.stackAt(i, c.parked...)
			w.called(op, to.fn)
			switched = true
		case from.flow == leave:
			w.left(c, i, p)
		case from.flow == call && (to.fn != from.fn || to.entry):
			c.push(w.child(c.top(), to.fn), last.pc+uint64(from.len), noEvent)
			w.called(op, to.fn)
			if from.direct && !last.user {
				w.calls++
				if !to.entry {
					w.astray++
				}
			}
		case from.flow == ret && !w.isThunk(from.fn, to):
			w.returned(c, i, p)
		default:
			if to.fn != from.fn && to.entry {
				w.called(op, to.fn)
			}
		}
		w.settle(c, to.fn)
	}
	c.last, c.lastN = p, c.top()
	if op != nil {
		w.count(op, p, c.lastN, 1)
		if switched {
			op.classes[switches]++
		}
	}
}

func (w *walker) count(op *operation, place, node, n int) {
	op.logged += n
	op.self[node] += n
	for class, k := range w.sites[place].classes {
		op.classes[class] += n * int(k)
	}
}

func (w *walker) called(op *operation, fn int) {
	if op != nil {
		op.calls[fn]++
	}
}

// isThunk reports whether a return instruction of fn is a jump to another
// function, as retpolines have them.
func (w *walker) isThunk(fn int, to *site) bool {
	return w.thunk != "" && strings.HasPrefix(w.funcs[fn].Name, w.thunk) && to.entry
}

func (c *processor) top() int {
	if len(c.stack) == 0 {
		return 0
	}
	return c.stack[len(c.stack)-1].node
}

func (c *processor) push(node int, ret uint64, by event) {
	c.stack = append(c.stack, frame{node, ret, by})
}

// settle makes fn the top function after a jump or a fall-through from another
// one.
func (w *walker) settle(c *processor, fn int) {
	if len(c.stack) == 0 {
		c.push(w.child(0, fn), 0, noEvent)
		return
	}
	top := &c.stack[len(c.stack)-1]
	if w.nodes[top.node].fn != fn {
		top.node = w.child(w.nodes[top.node].parent, fn)
	}
}

// returned pops the frame that a return instruction returns from.
func (w *walker) returned(c *processor, i, p int) {
	pc := w.at[p].pc
	for k := len(c.stack) - 1; k > 0; k-- {
		if c.stack[k].ret == pc {
			c.stack = c.stack[:k]
			return
		}
		if c.stack[k].by != noEvent {
			break
		}
	}
	c.stack = w.stackAt(i)
}

// left pops the frames that a return from a system call or an interrupt leaves.
func (w *walker) left(c *processor, i, p int) {
	if w.at[p].user {
		k := 0
		for k < len(c.stack) && w.funcs[w.nodes[c.stack[k].node].fn].User {
			k++
		}
		c.stack = c.stack[:k]
		if k > 0 && w.nodes[c.top()].fn != w.sites[p].fn {
			c.stack = c.stack[:0] // a signal's handler, or the return from one
		}
		return
	}
	for k := len(c.stack) - 1; k > 0; k-- {
		if c.stack[k].by != noEvent {
			c.stack = c.stack[:k]
			return
		}
	}
	c.stack = w.stackAt(i)
}

// park keeps the stack of the task that is switched out.
func (c *processor) park(t *tree) {
	const most = 16
	fns := make([]int, 0, len(c.stack))
	for _, f := range c.stack {
		fns = append(fns, t.nodes[f.node].fn)
	}
	c.parked = append(c.parked, fns)
	if len(c.parked) > most {
		c.parked = c.parked[1:]
	}
}

// stackAt works out the stack at a step without a known past: at the beginning,
// and after a switch to another task. Later returns reveal it. If the task is
// switched out before it returns to user mode, its outer callers are taken from
// the task that was last switched out in the same place.
func (w *walker) stackAt(i int, parked ...[]int) []frame {
	cpu := w.steps[i].cpu()
	callers := []caller{{fn: w.sites[w.steps[i].place()].fn}} // innermost first
	whole := w.at[w.steps[i].place()].user
	const farthest = 1 << 20
	var inner []frame // called since
	last := w.steps[i].place()
	for _, s := range w.steps[i+1 : min(len(w.steps), i+farthest)] {
		if whole {
			break
		}
		if s.cpu() != cpu {
			continue
		}
		p := s.place()
		from, to := &w.sites[last], &w.sites[p]
		out := false
		switch {
		case to.event != noEvent && to.fn != from.fn:
			inner = append(inner, frame{by: to.event})
		case to.fn == w.switchFn && to.entry:
			out = true
		case from.flow == leave:
			k := len(inner) - 1
			for k >= 0 && inner[k].by == noEvent {
				k--
			}
			if k >= 0 {
				inner = inner[:k]
				break
			}
			inner = inner[:0]
			callers[len(callers)-1].by = interrupt
			callers = append(callers, caller{fn: to.fn})
			whole = w.at[p].user
		case from.flow == call && (to.fn != from.fn || to.entry):
			inner = append(inner, frame{ret: w.at[last].pc + uint64(from.len)})
		case from.flow == ret && !w.isThunk(from.fn, to):
			k := len(inner) - 1
			for k >= 0 && inner[k].by == noEvent && inner[k].ret != w.at[p].pc {
				k--
			}
			if k >= 0 && inner[k].by == noEvent {
				inner = inner[:k]
				break
			}
			inner = inner[:0]
			callers[len(callers)-1].ret = w.at[p].pc
			callers = append(callers, caller{fn: to.fn})
		}
		if out {
			break
		}
		last = p
	}
	outer := []int(nil) // outermost first
	if !whole {
		outer = outerCallers(callers, parked)
	}
	var stack []frame
	at := 0
	for _, fn := range outer {
		at = w.child(at, fn)
		stack = append(stack, frame{node: at})
	}
	for _, c := range slices.Backward(callers) {
		at = w.child(at, c.fn)
		stack = append(stack, frame{node: at, ret: c.ret, by: c.by})
	}
	return stack
}

type caller struct {
	fn  int
	ret uint64
	by  event
}

// outerCallers returns the callers further out, from the latest of the stacks
// that has these callers.
func outerCallers(callers []caller, parked [][]int) []int {
	if len(callers) < 2 {
		return nil
	}
	// The function that switches comes first and is on no parked stack yet,
	// but its caller is.
	last := callers[len(callers)-1].fn
	for _, stack := range slices.Backward(parked) {
		if k := slices.Index(stack, last); k > 0 {
			return stack[:k]
		}
	}
	return nil
}
