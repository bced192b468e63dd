// Reference: the loops of the Go benchmarks in C.
//
//	reference [-t SECONDS] NAME N [NAME N]...
//
// runs loop NAME N times and prints a line of Go benchmark format, for one
// pair after the other;
//
//	reference -list
//
// prints the names.
//
// The names are those of the Go benchmarks, without "Benchmark" and without
// the suffix for GOMAXPROCS. Each loop makes the system calls of its Go
// namesake, with the same arguments, and like it checks every result and
// accounts for every event. What is left between the two is what the Go
// harness adds.
//
// The calls are made by the C library's syscall(2). Built with -DINLINE they
// are made by the instruction itself, as no C program is written, but as fast
// as C can be: where the kernel clears the processor's predictions of returns on its way
// out, the library's one return instruction takes as long as a third of getppid(2).
//
// A Go program always has threads, so the reference has a second one, idle:
// the descriptors of a table that is shared are looked up with a reference
// count, and that costs a C program as much as it costs a Go program. The idle
// thread also keeps the deadline and watches the peer process: a loop that has
// not ended within SECONDS (60), or whose peer died, ends the program with a
// message and status 1.
//
// The C library registers a restartable sequence (rseq(2)) for each thread,
// which the kernel then looks after at each switch to the thread and each
// signal: some 120 instructions. Nothing here needs it and Go has none, so the
// program starts itself anew with it turned off.
//
// With EVENTBENCH_CLOCK=instrs in the environment each operation is read by
// itself from the time-stamp counter, which counts instructions in a guest that
// runs with counted instructions: instrs/op is the mode of the differences
// between neighbouring readings, modal-share its share, mean-instrs/op the mean.
//
// cc -std=c11 -O2 -pthread -o reference reference.c; -static for a guest.

#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/futex.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { WARMUP = 32 }; // iterations before the timed ones, which take the first touches of pages

static const char *name;    // of the loop that runs, for messages
static int descriptors[16]; // that the loop has made
static size_t ndescriptors;

static _Noreturn __attribute__((cold)) void fail(const char *what)
{
	fprintf(stderr, "reference: %s: %s: %s\n", name, what, strerror(errno));
	_exit(1);
}

// must returns the result of a call that is not measured, and ends the program if it failed.
static long must(long result, const char *what)
{
	if (result < 0)
		fail(what);
	return result;
}

// unexpected ends the program for a measured call that did not return what it should.
static _Noreturn __attribute__((cold)) void unexpected(const char *what, long got, long want)
{
	fprintf(stderr, "reference: %s: %s: returned %ld, want %ld", name, what, got, want);
	if (got == -1)
		fprintf(stderr, " (%s)", strerror(errno));
	fputc('\n', stderr);
	_exit(1);
}

#ifdef INLINE
// sys returns what syscall(2) does, for up to six arguments.
#define sys(...) SIX(__VA_ARGS__, 0, 0, 0, 0, 0, 0, 0)
#define SIX(nr, a, b, c, d, e, f, ...) \
	inlined(nr, (long)(a), (long)(b), (long)(c), (long)(d), (long)(e), (long)(f))

static inline long inlined(long nr, long a, long b, long c, long d, long e, long f)
{
#if defined(__x86_64__)
	long result;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(result)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
#elif defined(__aarch64__)
	register long x8 __asm__("x8") = nr;
	register long result __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(result)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
#endif
	if (__builtin_expect((unsigned long)result > -4096ul, 0)) {
		errno = -result;
		return -1;
	}
	return result;
}
#else
#define sys syscall
#endif

#define EXPECT(want, call)                                        \
	do {                                                      \
		long got_ = (call), want_ = (want);               \
		if (__builtin_expect(got_ != want_, 0))           \
			unexpected(#call, got_, want_);           \
	} while (0)

// account ends the program if not every event was seen.
static void account(const char *what, uint64_t got, uint64_t want)
{
	if (got == want)
		return;
	fprintf(stderr, "reference: %s: %s: got %llu, want %llu\n", name, what,
		(unsigned long long)got, (unsigned long long)want);
	_exit(1);
}

// made returns a descriptor that is closed at the end of the loop it was made for.
static int made(long fd, const char *what)
{
	must(fd, what);
	if (ndescriptors == sizeof descriptors / sizeof *descriptors) {
		errno = EMFILE;
		fail(what);
	}
	return descriptors[ndescriptors++] = fd;
}

// The clock.

static bool counted;    // instructions, instead of ns
static double elapsed;  // ns of the last loop
static uint64_t *marks; // readings between operations, or NULL

static inline uint64_t counter(void)
{
#if defined(__x86_64__)
	uint32_t lo, hi;
	__asm__ volatile("rdtsc" : "=a"(lo), "=d"(hi));
	return (uint64_t)hi << 32 | lo;
#elif defined(__aarch64__)
	uint64_t v;
	__asm__ volatile("mrs %0, cntvct_el0" : "=r"(v));
	return v;
#else
#error "reference: no time-stamp counter is known for this architecture"
#endif
}

static double wall(void)
{
	struct timespec t;
	must(clock_gettime(CLOCK_MONOTONIC, &t), "clock_gettime");
	return t.tv_sec * 1e9 + t.tv_nsec;
}

// A floor is the lowest mean of a stretch of a loop, as helpers/measure has it: the
// loops of both sides are cut alike. A stretch that is too short doubles the next.
static const double least = 100e3; // ns that a stretch must last
static double lowest; // of the last loop; 0: no stretch was long enough
static long stretch;  // operations in the next one
static double begun;  // when it began

// cut returns where the stretch that begins at iteration i of n ends.
static inline long cut(long i, long n)
{
	if (counted)
		return n;
	begun = wall();
	return stretch < n - i ? i + stretch : n;
}

// over ends a stretch of so many operations.
static inline void over(long operations)
{
	if (counted)
		return;
	double took = wall() - begun;
	if (took < least)
		stretch *= 2;
	else if (operations == stretch && (lowest == 0 || took / operations < lowest))
		lowest = took / operations;
}

// LOOP runs the operation given WARMUP times, and then n times against the clock.
#define LOOP(n, ...)                                              \
	do {                                                      \
		for (long i_ = 0; i_ < WARMUP; i_++) {            \
			__VA_ARGS__;                              \
		}                                                 \
		lowest = 0;                                       \
		stretch = 16;                                     \
		elapsed = wall();                                 \
		if (marks)                                        \
			marks[0] = counter();                     \
		for (long i_ = 0; i_ < (n);) {                    \
			long from_ = i_, to_ = cut(i_, n);        \
			for (; i_ < to_; i_++) {                  \
				__VA_ARGS__;                      \
				if (marks)                        \
					marks[i_ + 1] = counter();\
			}                                         \
			over(i_ - from_);                         \
		}                                                 \
		elapsed = wall() - elapsed;                       \
	} while (0)

// The calls.

static inline void post(int fd)
{
	static const uint64_t one = 1;
	EXPECT(sizeof one, sys(SYS_write, fd, &one, sizeof one));
}

// take reads one value and returns it.
static inline uint64_t take(int fd)
{
	uint64_t value;
	EXPECT(sizeof value, sys(SYS_read, fd, &value, sizeof value));
	return value;
}

// ready asks an epoll instance for events, and wants n of them.
static inline void ready(int ep, int timeout, int n)
{
	struct epoll_event events[4];
	EXPECT(n, sys(SYS_epoll_pwait, ep, events, 4, timeout, NULL, 0));
}

static int new_eventfd(void) { return made(eventfd(0, EFD_CLOEXEC), "eventfd"); }

static int new_epoll(void) { return made(epoll_create1(EPOLL_CLOEXEC), "epoll_create1"); }

static int new_epoll_of(int fd)
{
	int ep = new_epoll();
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	must(epoll_ctl(ep, EPOLL_CTL_ADD, fd, &event), "epoll_ctl(ADD)");
	return ep;
}

static void new_pipe(int *in, int *out)
{
	int fds[2];
	must(pipe2(fds, O_CLOEXEC), "pipe2");
	*out = made(fds[0], "pipe2");
	*in = made(fds[1], "pipe2");
}

static void new_socketpair(int *a, int *b)
{
	int fds[2];
	must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), "socketpair");
	*a = made(fds[0], "socketpair");
	*b = made(fds[1], "socketpair");
}

// Loops of one thread: Null, Create, Self, and epoll's and timerfd's own.

static void null_getppid(long n)
{
	pid_t parent = getppid();
	LOOP(n, EXPECT(parent, sys(SYS_getppid)));
}

static void null_no_such_call(long n)
{
	LOOP(n, EXPECT(-1, sys(4000)));
	if (errno != ENOSYS)
		fail("call 4000, which no kernel has");
}

static void eventfd_create(long n)
{
	LOOP(n, {
		int fd = sys(SYS_eventfd2, 0, EFD_CLOEXEC);
		if (fd < 0)
			fail("eventfd2");
		EXPECT(0, sys(SYS_close, fd));
	});
}

static void pipe_create(long n)
{
	LOOP(n, {
		int fds[2];
		EXPECT(0, sys(SYS_pipe2, fds, O_CLOEXEC));
		EXPECT(0, sys(SYS_close, fds[0]));
		EXPECT(0, sys(SYS_close, fds[1]));
	});
}

static void socketpair_create(long n)
{
	LOOP(n, {
		int fds[2];
		EXPECT(0, sys(SYS_socketpair, AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
		EXPECT(0, sys(SYS_close, fds[0]));
		EXPECT(0, sys(SYS_close, fds[1]));
	});
}

static void epoll_create_(long n)
{
	LOOP(n, {
		int fd = sys(SYS_epoll_create1, EPOLL_CLOEXEC);
		if (fd < 0)
			fail("epoll_create1");
		EXPECT(0, sys(SYS_close, fd));
	});
}

static void timerfd_create_(long n)
{
	LOOP(n, {
		int fd = sys(SYS_timerfd_create, CLOCK_MONOTONIC, TFD_CLOEXEC);
		if (fd < 0)
			fail("timerfd_create");
		EXPECT(0, sys(SYS_close, fd));
	});
}

static void signalfd_create(long n)
{
	uint64_t mask = 1 << (SIGUSR1 - 1);
	LOOP(n, {
		int fd = sys(SYS_signalfd4, -1, &mask, sizeof mask, SFD_CLOEXEC);
		if (fd < 0)
			fail("signalfd4");
		EXPECT(0, sys(SYS_close, fd));
	});
}

// empty reads from a non-blocking descriptor that has nothing.
static void empty(int fd, size_t size, long n)
{
	char buf[128];
	must(fcntl(fd, F_SETFL, O_NONBLOCK), "fcntl(F_SETFL)");
	LOOP(n, EXPECT(-1, sys(SYS_read, fd, buf, size)));
	if (errno != EAGAIN)
		fail("read of a descriptor that has nothing");
}

// post_take posts to one descriptor and takes from another, or the same one.
static void post_take(int in, int out, long n)
{
	uint64_t sum = 0;
	LOOP(n, post(in); sum += take(out));
	account("sum of the values read", sum, WARMUP + n);
}

static void eventfd_self(long n)
{
	int fd = new_eventfd();
	post_take(fd, fd, n);
}

static void eventfd_empty(long n) { empty(new_eventfd(), 8, n); }

static void pipe_self(long n)
{
	int in, out;
	new_pipe(&in, &out);
	post_take(in, out, n);
}

static void pipe_empty(long n)
{
	int in, out;
	new_pipe(&in, &out);
	empty(out, 8, n);
}

static void socketpair_self(long n)
{
	int in, out;
	new_socketpair(&in, &out);
	post_take(in, out, n);
}

static void socketpair_empty(long n)
{
	int in, out;
	new_socketpair(&in, &out);
	empty(out, 8, n);
}

static void epoll_self(long n)
{
	int fd = new_eventfd(), ep = new_epoll_of(fd);
	uint64_t sum = 0;
	LOOP(n, post(fd); ready(ep, -1, 1); sum += take(fd));
	account("sum of the values read", sum, WARMUP + n);
}

static void epoll_wait_0(long n)
{
	int fd = new_eventfd(), ep = new_epoll_of(fd);
	LOOP(n, ready(ep, 0, 0));
}

static void epoll_wait_1(long n)
{
	int fd = new_eventfd(), ep = new_epoll_of(fd);
	post(fd);
	LOOP(n, ready(ep, 0, 1));
}

static void epoll_ctl_mod(long n)
{
	int fd = new_eventfd(), ep = new_epoll_of(fd);
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	LOOP(n, EXPECT(0, sys(SYS_epoll_ctl, ep, EPOLL_CTL_MOD, fd, &event)));
}

static void epoll_ctl_adddel(long n)
{
	int fd = new_eventfd(), ep = new_epoll();
	struct epoll_event event = {.events = EPOLLIN, .data.fd = fd};
	LOOP(n, {
		EXPECT(0, sys(SYS_epoll_ctl, ep, EPOLL_CTL_ADD, fd, &event));
		EXPECT(0, sys(SYS_epoll_ctl, ep, EPOLL_CTL_DEL, fd, &event));
	});
}

static void timerfd_arm(long n)
{
	int fd = made(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
	struct itimerspec hour = {.it_value.tv_sec = 3600};
	LOOP(n, EXPECT(0, sys(SYS_timerfd_settime, fd, 0, &hour, NULL)));
}

static void timerfd_self(long n)
{
	int fd = made(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create");
	struct itimerspec past = {.it_value.tv_nsec = 1};
	uint64_t sum = 0;
	LOOP(n, {
		EXPECT(0, sys(SYS_timerfd_settime, fd, TFD_TIMER_ABSTIME, &past, NULL));
		sum += take(fd);
	});
	account("sum of the expiries read", sum, WARMUP + n);
}

static void timerfd_empty(long n)
{
	empty(made(timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC), "timerfd_create"), 8, n);
}

// An io_uring whose requests are all the same and written once, as the Go side has it.
static struct {
	int fd;
	unsigned *sq_tail, *cq_head, *cq_tail, cq_mask;
	struct io_uring_cqe *cqes;
} ring;

static void new_ring(struct io_uring_sqe request)
{
	struct io_uring_params p = {0};
	ring.fd = made(syscall(SYS_io_uring_setup, 8, &p), "io_uring_setup");
	size_t sq = p.sq_off.array + p.sq_entries * sizeof(unsigned);
	size_t cq = p.cq_off.cqes + p.cq_entries * sizeof(struct io_uring_cqe);
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_SHARED | MAP_POPULATE;
	char *rings = mmap(NULL, sq > cq ? sq : cq, prot, flags, ring.fd, IORING_OFF_SQ_RING);
	struct io_uring_sqe *sqes = mmap(NULL, p.sq_entries * sizeof *sqes, prot, flags, ring.fd, IORING_OFF_SQES);
	if (rings == MAP_FAILED || sqes == MAP_FAILED)
		fail("mmap of an io_uring");
	for (unsigned i = 0; i < p.sq_entries; i++) {
		((unsigned *)(rings + p.sq_off.array))[i] = i;
		sqes[i] = request;
	}
	ring.sq_tail = (unsigned *)(rings + p.sq_off.tail);
	ring.cq_head = (unsigned *)(rings + p.cq_off.head);
	ring.cq_tail = (unsigned *)(rings + p.cq_off.tail);
	ring.cq_mask = *(unsigned *)(rings + p.cq_off.ring_mask);
	ring.cqes = (struct io_uring_cqe *)(rings + p.cq_off.cqes);
}

// submit_and_wait submits one request and takes its completion, which must be as given.
static inline void submit_and_wait(uint64_t data, int res)
{
	__atomic_store_n(ring.sq_tail, *ring.sq_tail + 1, __ATOMIC_RELEASE);
	EXPECT(1, sys(SYS_io_uring_enter, ring.fd, 1, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	unsigned head = *ring.cq_head;
	while (__builtin_expect(head == __atomic_load_n(ring.cq_tail, __ATOMIC_ACQUIRE), 0))
		EXPECT(0, sys(SYS_io_uring_enter, ring.fd, 0, 1, IORING_ENTER_GETEVENTS, NULL, 0));
	struct io_uring_cqe cqe = ring.cqes[head & ring.cq_mask];
	__atomic_store_n(ring.cq_head, head + 1, __ATOMIC_RELEASE);
	if (__builtin_expect(cqe.user_data != data, 0))
		unexpected("the completion's user_data", cqe.user_data, data);
	if (__builtin_expect(cqe.res != res, 0))
		unexpected("the completion's result", cqe.res, res);
	if (__builtin_expect(cqe.flags & IORING_CQE_F_MORE, 0))
		unexpected("the completion's IORING_CQE_F_MORE", 1, 0);
}

static void ring_self_nop(long n)
{
	new_ring((struct io_uring_sqe){.opcode = IORING_OP_NOP, .user_data = 1002});
	LOOP(n, submit_and_wait(1002, 0));
}

static void ring_self_read(long n)
{
	int fd = new_eventfd();
	uint64_t value = 0, sum = 0;
	new_ring((struct io_uring_sqe){
		.opcode = IORING_OP_READ, .fd = fd, .addr = (uintptr_t)&value, .len = sizeof value, .user_data = 1002});
	LOOP(n, post(fd); submit_and_wait(1002, sizeof value); sum += *(volatile uint64_t *)&value);
	account("sum of the values read", sum, WARMUP + n);
}

// What both parties of a round trip see, threads and processes alike.
static struct {
	uint32_t gate;     // futex: 1 once the peer may begin
	uint32_t turn;     // futex of futex_here and futex_there: whose turn it is
	pid_t tid;         // the peer's, once it is there
	uint64_t received; // the peer's account
} *shared;

// A flag is FUTEX_PRIVATE_FLAG for threads of one process, 0 for two.
static inline __attribute__((always_inline)) void futex_set(uint32_t *word, uint32_t value, int flag)
{
	__atomic_store_n(word, value, __ATOMIC_SEQ_CST);
	if (__builtin_expect(sys(SYS_futex, word, FUTEX_WAKE | flag, 1, NULL, NULL, 0) < 0, 0))
		fail("futex(WAKE)");
}

static inline __attribute__((always_inline)) void futex_wait_while(uint32_t *word, uint32_t value, int flag)
{
	while (__atomic_load_n(word, __ATOMIC_SEQ_CST) == value)
		if (__builtin_expect(sys(SYS_futex, word, FUTEX_WAIT | flag, value, NULL, NULL, 0) < 0 && errno != EAGAIN, 0))
			fail("futex(WAIT)");
}

static void futex_self(long n)
{
	LOOP(n, EXPECT(0, sys(SYS_futex, &shared->turn, FUTEX_WAKE_PRIVATE, 1, NULL, NULL, 0)));
}

// Signals. The measured threads block all of them; a handler's is let
// through on one thread, or while that thread waits.

struct party {
	pid_t pid, tid;
};

static struct party measured, peer; // peer's of a round trip only

// via is how signals are received, sig the class sent: std, or rt with a value of 1.
enum via { SIGTIMEDWAIT, SIGNALFD, HANDLER };
enum class { STD, RT };

static const int pings[] = {SIGUSR1, 40}, pongs[] = {SIGUSR2, 41};

static volatile uint64_t handled[65];

static void count(int sig) { handled[sig]++; }

static uint64_t setof(int sig) { return 1ull << (sig - 1); }

static void handle(int sig)
{
	struct sigaction action = {.sa_handler = count};
	sigfillset(&action.sa_mask);
	must(sigaction(sig, &action, NULL), "sigaction");
	handled[sig] = 0;
}

static void block(uint64_t set) { must(syscall(SYS_rt_sigprocmask, SIG_SETMASK, &set, NULL, sizeof set), "rt_sigprocmask"); }

static inline __attribute__((always_inline)) void notify(enum class class, struct party to, int sig)
{
	if (class == STD) {
		EXPECT(0, sys(SYS_tgkill, to.pid, to.tid, sig));
		return;
	}
	static siginfo_t info = {.si_code = SI_QUEUE, .si_value.sival_int = 1};
	EXPECT(0, sys(SYS_rt_tgsigqueueinfo, to.pid, to.tid, sig, &info));
}

static int new_signalfd(int sig)
{
	uint64_t set = setof(sig);
	return made(syscall(SYS_signalfd4, -1, &set, sizeof set, SFD_CLOEXEC), "signalfd4");
}

static void signalfd_empty(long n) { empty(new_signalfd(SIGUSR1), sizeof(struct signalfd_siginfo), n); }

// receive waits for a signal that is blocked, and returns the events received: 1, always,
// unless something is wrong.
static inline __attribute__((always_inline)) uint64_t receive(enum class class, enum via via, int sig, int fd)
{
	uint64_t set = setof(sig), allbut = ~set;
	switch (via) {
	case SIGTIMEDWAIT: {
		siginfo_t info;
		EXPECT(sig, sys(SYS_rt_sigtimedwait, &set, &info, NULL, sizeof set));
		return class == RT ? info.si_value.sival_int : 1;
	}
	case SIGNALFD: {
		struct signalfd_siginfo info;
		EXPECT(sizeof info, sys(SYS_read, fd, &info, sizeof info));
		return class == RT ? info.ssi_ptr : info.ssi_signo == (uint32_t)sig;
	}
	case HANDLER:
		handled[sig] = 0;
		while (handled[sig] == 0)
			sys(SYS_rt_sigsuspend, &allbut, sizeof allbut);
		return handled[sig];
	}
	__builtin_unreachable();
}

static inline __attribute__((always_inline)) void signal_self(enum class class, enum via via, long n)
{
	int sig = pings[class];
	uint64_t sum = 0;
	if (via == HANDLER) {
		// Not blocked, the signal is handled on the way out of the call that sends it.
		handle(sig);
		block(~setof(sig));
		LOOP(n, notify(class, measured, sig));
		block(~0ull);
		account("runs of the handler", handled[sig], WARMUP + n);
		return;
	}
	int fd = new_signalfd(sig);
	LOOP(n, notify(class, measured, sig); sum += receive(class, via, sig, fd));
	account("events received", sum, WARMUP + n);
}

// Round trips: a table of the descriptors that setup makes, and what the two
// sides do. A side does WARMUP + n rounds; only this side looks at the clock.

static struct {
	int ping_in, ping_out, pong_in, pong_out; // of pipes, sockets, and eventfds, where in is out
	int here, there;                          // epoll instances or signalfds
} fds;

static void eventfd_setup(void)
{
	fds.ping_in = fds.ping_out = new_eventfd();
	fds.pong_in = fds.pong_out = new_eventfd();
}

static void pipe_setup(void)
{
	new_pipe(&fds.ping_in, &fds.ping_out);
	new_pipe(&fds.pong_in, &fds.pong_out);
}

static void socketpair_setup(void)
{
	int here, there;
	new_socketpair(&here, &there);
	fds.ping_in = fds.pong_out = here;
	fds.ping_out = fds.pong_in = there;
}

static void post_take_here(long n)
{
	uint64_t sum = 0;
	LOOP(n, post(fds.ping_in); sum += take(fds.pong_out));
	account("sum of the values read", sum, WARMUP + n);
}

static void post_take_there(long n)
{
	for (long i = 0; i < WARMUP + n; i++) {
		shared->received += take(fds.ping_out);
		post(fds.pong_in);
	}
}

static void epoll_setup(void)
{
	eventfd_setup();
	fds.here = new_epoll_of(fds.pong_out);
	fds.there = new_epoll_of(fds.ping_out);
}

static void epoll_here(long n)
{
	uint64_t sum = 0;
	LOOP(n, post(fds.ping_in); ready(fds.here, -1, 1); sum += take(fds.pong_out));
	account("sum of the values read", sum, WARMUP + n);
}

static void epoll_there(long n)
{
	for (long i = 0; i < WARMUP + n; i++) {
		ready(fds.there, -1, 1);
		shared->received += take(fds.ping_out);
		post(fds.pong_in);
	}
}

enum { OURS, THEIRS };

static void futex_setup(void) { shared->turn = OURS; }

static inline __attribute__((always_inline)) void futex_here(long n, int flag)
{
	LOOP(n, futex_set(&shared->turn, THEIRS, flag); futex_wait_while(&shared->turn, THEIRS, flag));
}

static inline __attribute__((always_inline)) void futex_there(long n, int flag)
{
	for (long i = 0; i < WARMUP + n; i++) {
		futex_wait_while(&shared->turn, OURS, flag);
		shared->received++;
		futex_set(&shared->turn, OURS, flag);
	}
}

static void futex_here_thread(long n) { futex_here(n, FUTEX_PRIVATE_FLAG); }
static void futex_there_thread(long n) { futex_there(n, FUTEX_PRIVATE_FLAG); }
static void futex_here_process(long n) { futex_here(n, 0); }
static void futex_there_process(long n) { futex_there(n, 0); }

static void signal_setup(enum class class, enum via via)
{
	if (via == HANDLER) {
		handle(pings[class]);
		handle(pongs[class]);
	} else if (via == SIGNALFD) {
		fds.here = new_signalfd(pongs[class]);
		fds.there = new_signalfd(pings[class]);
	}
}

static inline __attribute__((always_inline)) void signal_here(enum class class, enum via via, long n)
{
	uint64_t sum = 0;
	LOOP(n, notify(class, peer, pings[class]); sum += receive(class, via, pongs[class], fds.here));
	account("events received", sum, WARMUP + n);
}

static inline __attribute__((always_inline)) void signal_there(enum class class, enum via via, long n)
{
	for (long i = 0; i < WARMUP + n; i++) {
		shared->received += receive(class, via, pings[class], fds.there);
		notify(class, measured, pongs[class]);
	}
}

#define SIGNALS(class, via)                                                                 \
	static void signal_self_##class##via(long n) { signal_self(class, via, n); }         \
	static void signal_setup_##class##via(void) { signal_setup(class, via); }            \
	static void signal_here_##class##via(long n) { signal_here(class, via, n); }         \
	static void signal_there_##class##via(long n) { signal_there(class, via, n); }

SIGNALS(STD, SIGTIMEDWAIT)
SIGNALS(STD, SIGNALFD)
SIGNALS(STD, HANDLER)
SIGNALS(RT, SIGTIMEDWAIT)
SIGNALS(RT, SIGNALFD)
SIGNALS(RT, HANDLER)

// The table.

struct loop {
	const char *name;
	void (*here)(long n);
	// Of round trips only:
	void (*there)(long n);
	void (*setup)(void);
	bool process; // the peer is one, not a thread
};

#define BOTH(name, setup, here, there)                            \
	{name "/peer=thread/cpus=same", here, there, setup, false}, \
	{name "/peer=process/cpus=same", here, there, setup, true}

#define SIGNAL_SELF(text, class, via) {"SignalSelf" text, signal_self_##class##via, NULL, NULL, false}

#define SIGNAL_BOTH(text, class, via) \
	BOTH("SignalRoundTrip" text, signal_setup_##class##via, signal_here_##class##via, signal_there_##class##via)

static const struct loop loops[] = {
	{"NullGetppid", null_getppid, NULL, NULL, false},
	{"NullNoSuchCall", null_no_such_call, NULL, NULL, false},
	{"EventfdCreate", eventfd_create, NULL, NULL, false},
	{"EventfdSelf", eventfd_self, NULL, NULL, false},
	{"EventfdEmpty", eventfd_empty, NULL, NULL, false},
	{"PipeCreate", pipe_create, NULL, NULL, false},
	{"PipeSelf", pipe_self, NULL, NULL, false},
	{"PipeEmpty", pipe_empty, NULL, NULL, false},
	{"SocketpairCreate", socketpair_create, NULL, NULL, false},
	{"SocketpairSelf", socketpair_self, NULL, NULL, false},
	{"SocketpairEmpty", socketpair_empty, NULL, NULL, false},
	{"FutexSelf", futex_self, NULL, NULL, false},
	{"RingSelf/op=nop/setup=plain", ring_self_nop, NULL, NULL, false},
	{"RingSelf/op=read/setup=plain", ring_self_read, NULL, NULL, false},
	{"EpollCreate", epoll_create_, NULL, NULL, false},
	{"EpollCtl/op=mod", epoll_ctl_mod, NULL, NULL, false},
	{"EpollCtl/op=adddel", epoll_ctl_adddel, NULL, NULL, false},
	{"EpollWait/ready=0", epoll_wait_0, NULL, NULL, false},
	{"EpollWait/ready=1", epoll_wait_1, NULL, NULL, false},
	{"EpollSelf", epoll_self, NULL, NULL, false},
	{"TimerfdCreate", timerfd_create_, NULL, NULL, false},
	{"TimerfdArm", timerfd_arm, NULL, NULL, false},
	{"TimerfdSelf", timerfd_self, NULL, NULL, false},
	{"TimerfdEmpty", timerfd_empty, NULL, NULL, false},
	{"SignalfdCreate", signalfd_create, NULL, NULL, false},
	{"SignalfdEmpty", signalfd_empty, NULL, NULL, false},
	SIGNAL_SELF("/sig=std/via=sigtimedwait", STD, SIGTIMEDWAIT),
	SIGNAL_SELF("/sig=std/via=signalfd", STD, SIGNALFD),
	SIGNAL_SELF("/sig=std/via=handler", STD, HANDLER),
	SIGNAL_SELF("/sig=rt/via=sigtimedwait", RT, SIGTIMEDWAIT),
	SIGNAL_SELF("/sig=rt/via=signalfd", RT, SIGNALFD),
	SIGNAL_SELF("/sig=rt/via=handler", RT, HANDLER),
	BOTH("EventfdRoundTrip", eventfd_setup, post_take_here, post_take_there),
	BOTH("PipeRoundTrip", pipe_setup, post_take_here, post_take_there),
	BOTH("SocketpairRoundTrip", socketpair_setup, post_take_here, post_take_there),
	{"FutexRoundTrip/peer=thread/cpus=same", futex_here_thread, futex_there_thread, futex_setup, false},
	{"FutexRoundTrip/peer=process/cpus=same", futex_here_process, futex_there_process, futex_setup, true},
	BOTH("EpollRoundTrip", epoll_setup, epoll_here, epoll_there),
	SIGNAL_BOTH("/sig=std/via=sigtimedwait", STD, SIGTIMEDWAIT),
	SIGNAL_BOTH("/sig=std/via=signalfd", STD, SIGNALFD),
	SIGNAL_BOTH("/sig=std/via=handler", STD, HANDLER),
	SIGNAL_BOTH("/sig=rt/via=sigtimedwait", RT, SIGTIMEDWAIT),
	SIGNAL_BOTH("/sig=rt/via=signalfd", RT, SIGNALFD),
	SIGNAL_BOTH("/sig=rt/via=handler", RT, HANDLER),
};


// The parties.

static const struct loop *loop; // that runs
static long rounds;             // of it
static long patience = 60;      // seconds
static double deadline;         // of the loop, by wall

// ended ends the program if the peer process did not end as it should.
static void ended(int status)
{
	if (WIFEXITED(status) && WEXITSTATUS(status) == 0)
		return;
	fprintf(stderr, "reference: %s: the peer process %s %d\n", name,
		WIFEXITED(status) ? "exited with status" : "was killed by signal",
		WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status));
	_exit(1);
}

// watch is the idle thread. It sleeps until the deadline, or until the peer
// process dies of something; and it is the only thread with unblocked signals,
// so that the program can be interrupted.
static void *watch(void *arg)
{
	(void)arg;
	uint64_t child = setof(SIGCHLD);
	block(child | setof(pings[STD]) | setof(pongs[STD]) | setof(pings[RT]) | setof(pongs[RT]));
	for (double left; __atomic_load(&deadline, &left, __ATOMIC_SEQ_CST), (left -= wall()) > 0;) {
		struct timespec t = {.tv_sec = left / 1e9, .tv_nsec = (long)left % 1000000000};
		if (syscall(SYS_rt_sigtimedwait, &child, NULL, &t, sizeof child) != SIGCHLD)
			continue;
		// Left for run to reap, unless run has done so already.
		siginfo_t info = {0};
		waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT);
		if (info.si_pid != 0)
			ended(info.si_code == CLD_EXITED ? info.si_status << 8 : info.si_status);
	}
	fprintf(stderr, "reference: %s: %ld rounds were not done within %ld s\n", name, rounds, patience);
	_exit(1);
}

// pin binds the calling thread to the CPU that the Go side takes for
// cpus=same: the highest-numbered one allowed.
static void pin(void)
{
	cpu_set_t set;
	must(sched_getaffinity(0, sizeof set, &set), "sched_getaffinity");
	for (int cpu = CPU_SETSIZE - 1; cpu >= 0; cpu--) {
		if (CPU_ISSET(cpu, &set)) {
			CPU_ZERO(&set);
			CPU_SET(cpu, &set);
			must(sched_setaffinity(0, sizeof set, &set), "sched_setaffinity");
			return;
		}
	}
}

// there is the peer, which inherits the pinning and the signal mask.
static void *there(void *arg)
{
	(void)arg;
	__atomic_store_n(&shared->tid, syscall(SYS_gettid), __ATOMIC_SEQ_CST);
	futex_wait_while(&shared->gate, 0, 0);
	loop->there(rounds);
	return NULL;
}

// run runs the loop n times, with its peer if it has one.
static void run(long n)
{
	pthread_t thread = 0;
	double until = wall() + patience * 1e9;
	__atomic_store(&deadline, &until, __ATOMIC_SEQ_CST);
	rounds = n;
	memset(shared, 0, sizeof *shared);
	memset(&fds, 0xff, sizeof fds);
	if (loop->setup)
		loop->setup();
	if (loop->there && loop->process) {
		pid_t parent = getpid();
		peer.pid = must(fork(), "fork");
		if (peer.pid == 0) {
			must(prctl(PR_SET_PDEATHSIG, SIGKILL), "prctl(PR_SET_PDEATHSIG)");
			if (getppid() == parent)
				there(NULL);
			_exit(0);
		}
	} else if (loop->there) {
		peer.pid = getpid();
		errno = pthread_create(&thread, NULL, there, NULL);
		must(-errno, "pthread_create");
	}
	if (loop->there) {
		while ((peer.tid = __atomic_load_n(&shared->tid, __ATOMIC_SEQ_CST)) == 0)
			usleep(50);
		futex_set(&shared->gate, 1, 0);
	}
	loop->here(n);
	if (loop->there) {
		if (loop->process) {
			int status;
			must(waitpid(peer.pid, &status, 0), "waitpid");
			ended(status);
		} else {
			pthread_join(thread, NULL);
		}
		account("events that the peer received", shared->received, WARMUP + n);
	}
	while (ndescriptors > 0)
		close(descriptors[--ndescriptors]);
}

static int ascending(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

// mode returns the most frequent of n values, which it sorts, and how often it
// occurs. Of values that occur at least half as often as the most frequent one it
// takes the smallest.
static uint64_t mode(uint64_t *values, long n, long *times)
{
	qsort(values, n, sizeof *values, ascending);
	long most = 0;
	*times = 0;
	for (int pass = 0; pass < 2; pass++)
		for (long i = 0, first = 0; i < n; i++) {
			if (values[i] != values[first])
				first = i;
			*times = i - first + 1;
			if (i + 1 < n && values[i + 1] == values[i])
				continue; // not the last of its kind
			if (pass == 0)
				most = *times > most ? *times : most;
			else if (2 * *times >= most)
				return values[i];
		}
	return 0; // of no values
}

// report runs the loop n times and prints what it costs.
static void report(long n)
{
	name = loop->name;
	if (!counted) {
		run(n);
		printf("Benchmark%s %ld %.2f ns/op", name, n, elapsed / n);
		if (lowest > 0)
			printf(" %.2f floor-ns/op", lowest);
		printf("\n");
		return;
	}
	marks = malloc((n + 1) * sizeof *marks);
	if (!marks)
		fail("malloc");
	memset(marks, 1, (n + 1) * sizeof *marks); // touches the pages
	run(n);
	double mean = (double)(marks[n] - marks[0]) / n;
	for (long i = 0; i < n; i++)
		marks[i] = marks[i + 1] - marks[i];
	long times;
	uint64_t best = mode(marks, n, &times);
	printf("Benchmark%s %ld %llu instrs/op %.4f modal-share %.2f mean-instrs/op\n", name, n,
	       (unsigned long long)best, (double)times / n, mean);
	free(marks);
	marks = NULL;
}

static const struct loop *find(const char *text)
{
	for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
		if (strcmp(text, loops[i].name) == 0)
			return &loops[i];
	fprintf(stderr, "reference: no loop is named %s: see reference -list\n", text);
	exit(2);
}

static long number(const char *what, const char *text)
{
	char *end;
	errno = 0;
	long n = strtol(text, &end, 10);
	if (errno || end == text || *end || n < 1 || n > 1000000000) {
		fprintf(stderr, "reference: %s %s: want a number from 1 to 1000000000\n", what, text);
		exit(2);
	}
	return n;
}

// without_rseq executes the program again with GLIBC_TUNABLES set, unless it is.
// A C library that does not know the tunable ignores it.
static void without_rseq(char **argv)
{
	static const char off[] = "glibc.pthread.rseq=0";
	const char *tunables = getenv("GLIBC_TUNABLES");
	char all[4096];
	if (tunables && strstr(tunables, off))
		return;
	if (snprintf(all, sizeof all, "%s%s%s", tunables ? tunables : "", tunables ? ":" : "", off) >= (int)sizeof all)
		return;
	if (setenv("GLIBC_TUNABLES", all, 1) == 0)
		execv("/proc/self/exe", argv);
	// Without /proc it costs what it costs.
}

int main(int argc, char **argv)
{
	without_rseq(argv);
	if (argc == 2 && strcmp(argv[1], "-list") == 0) {
		for (size_t i = 0; i < sizeof loops / sizeof *loops; i++)
			puts(loops[i].name);
		return 0;
	}
	argc--, argv++;
	if (argc >= 2 && strcmp(argv[0], "-t") == 0) {
		patience = number("-t", argv[1]);
		argc -= 2, argv += 2;
	}
	if (argc == 0 || argc % 2 != 0) {
		fprintf(stderr, "usage: reference [-t SECONDS] NAME N [NAME N]...\n       reference -list\n");
		return 2;
	}
	for (int i = 0; i < argc; i += 2) {
		find(argv[i]);
		number(argv[i], argv[i + 1]);
	}
	const char *unit = getenv("EVENTBENCH_CLOCK");
	counted = unit && strcmp(unit, "instrs") == 0;
	if (unit && *unit && !counted && strcmp(unit, "wall") != 0) {
		fprintf(stderr, "reference: EVENTBENCH_CLOCK=%s: want instrs, wall, or nothing\n", unit);
		return 2;
	}

	name = "start";
	shared = mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_POPULATE, -1, 0);
	if (shared == MAP_FAILED)
		fail("mmap");
	measured = (struct party){getpid(), syscall(SYS_gettid)};
	setvbuf(stdout, NULL, _IOLBF, 0); // a child must not inherit what is not written yet
	deadline = wall() + patience * 1e9;
	block(~0ull);
	pthread_t idle;
	errno = pthread_create(&idle, NULL, watch, NULL);
	must(-errno, "pthread_create");
	pin();
	for (int i = 0; i < argc; i += 2) {
		loop = find(argv[i]);
		report(number(argv[i], argv[i + 1]));
	}
	return 0;
}
