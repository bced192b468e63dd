//go:build linux

#include "textflag.h"

// Offsets of account and entry (loop.go); TestLayout compares them.
#define LOOP_calls   0
#define LOOP_ncalls  8
#define LOOP_N       16
#define LOOP_Done    24
#define LOOP_At      32
#define LOOP_Result  40
#define LOOP_Sum     48
#define LOOP_Total   56
#define LOOP_Refused 64
#define LOOP_Until   72
#define LOOP_Limit   80
#define LOOP_stamps  88
#define LOOP_next    96
#define LOOP_state   104
#define LOOP_alarm   112
#define LOOP_seen    120

#define ENTRY_args    8
#define ENTRY_want    56
#define ENTRY_flags   64
#define ENTRY_refused 72
#define ENTRY_load    80
#define ENTRY_save    88
#define ENTRY_set     96
#define ENTRY_setTo   104
#define ENTRY_while   112
#define ENTRY_whileIs 120
#define ENTRY_size    128

// loop runs the Loop at BX. It returns 0 in AX when the loop has ended as
// wanted and 1 otherwise. It needs no stack but its return address, no g and no
// thread-local storage; it clobbers everything but BX, BP and SP.
// R12 is the entry in hand, R13 the index of it, R15 the Loop's Done.
TEXT loop<>(SB), NOSPLIT|NOFRAME, $0
	MOVQ LOOP_Done(BX), R15
	MOVQ LOOP_At(BX), R13
	CMPQ LOOP_Result(BX), $0
	JNE  interrupted
	MOVQ LOOP_stamps(BX), DI
	TESTQ DI, DI
	JZ   begin
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, (DI)(R15*8)

begin:
	CMPQ R15, LOOP_N(BX)
	JAE  ended
	XORQ R13, R13

iterate:
	MOVQ R13, R12
	SHLQ $7, R12            // * ENTRY_size
	ADDQ LOOP_calls(BX), R12

next:
	CMPQ R13, LOOP_ncalls(BX)
	JAE  iterated
	MOVQ R13, LOOP_At(BX)   // so that others can say where a stuck party waits
	MOVQ ENTRY_set(R12), DX
	TESTQ DX, DX
	JZ   test
	TESTQ $126, ENTRY_flags(R12)
	JNZ  own
	MOVQ ENTRY_setTo(R12), AX
	XCHGL AX, (DX)

test:
	MOVQ ENTRY_while(R12), DX
	TESTQ DX, DX
	JZ   call
	MOVL (DX), AX
	CMPL AX, ENTRY_whileIs(R12)
	JNE  called

call:
	MOVQ (ENTRY_args+0)(R12), DI
	MOVQ ENTRY_load(R12), AX
	TESTQ AX, AX
	JZ   loaded
	MOVLQSX (AX), DI

loaded:
	MOVQ (ENTRY_args+8)(R12), SI
	MOVQ (ENTRY_args+16)(R12), DX
	MOVQ (ENTRY_args+24)(R12), R10
	MOVQ (ENTRY_args+32)(R12), R8
	MOVQ (ENTRY_args+40)(R12), R9
	MOVQ (R12), AX
	SYSCALL                 // clobbers CX and R11
	CMPQ AX, ENTRY_want(R12)
	JNE  odd

wanted:
	MOVQ ENTRY_save(R12), DX
	TESTQ DX, DX
	JZ   saved
	MOVL AX, (DX)

saved:
	CMPQ ENTRY_while(R12), $0
	JNE  again              // a wait ends by its word, not by its result

called:
	ADDQ $ENTRY_size, R12
	INCQ R13
	JMP  next

own:
	MOVQ ENTRY_setTo(R12), DI
	MOVQ ENTRY_flags(R12), SI
	TESTQ $4, SI
	JNZ  advance
	TESTQ $8, SI
	JNZ  each
	TESTQ $16, SI
	JNZ  handled
	TESTQ $32, SI
	JNZ  note
	TESTQ $64, SI
	JNZ  spin
	MOVQ DX, SI
	ANDQ R15, DI
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, (SI)(DI*8)
	JMP  called

advance:
	ADDQ 8(DX), DI
	CMPQ DI, $1000000000
	JB   advanced
	SUBQ $1000000000, DI
	INCQ (DX)

advanced:
	MOVQ DI, 8(DX)
	JMP  called

spin:                           // args: the value
	TESTQ $384, SI
	JNZ  ring
	MOVQ (ENTRY_args+0)(R12), SI
	MOVQ DX, R8
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	ADDQ AX, DI             // when it is enough

spinning:
	MOVL (R8), AX
	CMPL AX, SI
	JNE  called
	PAUSE
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	CMPQ AX, DI
	JB   spinning
	JMP  called

ring:
	TESTQ $256, SI
	JNZ  take
	ADDL DI, (DX)           // nobody else writes the tail; a store releases here
	JMP  called

take:                           // args: tail, completions, mask, data, flags, calls on if there is none
	MOVL (DX), AX           // nobody else writes the head
	MOVQ (ENTRY_args+0)(R12), SI
	CMPL AX, (SI)           // a load acquires here
	JE   none
	MOVL AX, CX
	ANDL (ENTRY_args+16)(R12), CX
	SHLQ $4, CX
	ADDQ (ENTRY_args+8)(R12), CX
	MOVQ (CX), SI
	MOVLQSX 8(CX), R8
	MOVL 12(CX), R9
	INCL AX
	MOVL AX, (DX)           // releases
	CMPQ SI, (ENTRY_args+24)(R12)
	JNE  other
	CMPQ R8, ENTRY_want(R12)
	JNE  oddly

taken:
	ANDL $2, R9
	CMPQ R9, (ENTRY_args+32)(R12)
	JNE  flagged
	LEAQ 1(R13)(DI*1), R13
	JMP  iterate

oddly:
	CMPQ ENTRY_refused(R12), $0
	JE   unlike
	CMPQ R8, ENTRY_refused(R12)
	JNE  unlike
	INCQ LOOP_Refused(BX)
	JMP  taken

unlike:
	MOVQ R8, AX
	JMP  failed

other:
	TESTQ R8, R8
	JLT  unlike             // what failed says more than whose it is
	MOVQ SI, AX
	BTSQ $62, AX
	JMP  failed

flagged:
	MOVQ R9, AX
	BTSQ $61, AX
	JMP  failed

none:                           // an alarm that came in a call which returned for another reason
	ADDQ (ENTRY_args+40)(R12), R13
	MOVQ LOOP_alarm(BX), DX
	TESTQ DX, DX
	JZ   iterate
	MOVQ (DX), DX
	CMPQ DX, LOOP_seen(BX)
	JE   iterate
	MOVQ $-4, AX            // EINTR
	JMP  failed

each:                           // args: events, the next of them, their end, calls to skip after
	MOVLQSX (DX), AX
	IMULQ $12, AX           // struct epoll_event is packed here
	MOVQ (ENTRY_args+0)(R12), SI
	ADDQ SI, AX
	MOVQ SI, (ENTRY_args+8)(R12)
	MOVQ AX, (ENTRY_args+16)(R12)

pick:
	MOVQ (ENTRY_args+8)(R12), SI
	CMPQ SI, (ENTRY_args+16)(R12)
	JAE  picked
	ADDQ $12, (ENTRY_args+8)(R12)
	ADDQ 4(SI), R13         // the handler's name
	JMP  iterate

picked:
	ADDQ (ENTRY_args+24)(R12), R13
	JMP  iterate

handled:                        // args: calls back to each
	SUBQ (ENTRY_args+0)(R12), R13
	MOVQ R13, R12
	SHLQ $7, R12
	ADDQ LOOP_calls(BX), R12
	JMP  pick

note:                           // args: value, full, calls back
	MOVQ DX, R8
	MOVQ (ENTRY_args+0)(R12), DX
	MOVQ (DX), SI
	TESTQ SI, SI
	JZ   called
	MOVQ $0, (DX)
	MOVQ (R8), R9
	ANDQ R9, DI
	SHLQ $4, DI
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, 16(R8)(DI*1)
	MOVQ SI, 24(R8)(DI*1)
	ADDQ SI, 8(R8)
	INCQ R9
	MOVQ R9, (R8)           // last, for whoever reads the log
	CMPQ SI, (ENTRY_args+8)(R12)
	JNE  called
	SUBQ (ENTRY_args+16)(R12), R13
	JMP  iterate

odd:
	CMPQ ENTRY_while(R12), $0
	JE   notwait
	CMPQ AX, $-11           // EAGAIN: the word had changed already
	JE   again

notwait:
	TESTQ $1, ENTRY_flags(R12)
	JZ   exact
	CMPQ AX, $-4096
	JLS  wanted             // unsigned: any result that is no errno

exact:
	MOVQ ENTRY_refused(R12), DX
	TESTQ DX, DX
	JZ   unwanted
	CMPQ AX, DX
	JNE  unwanted
	INCQ LOOP_Refused(BX)
	JMP  called

unwanted:                       // EINTR without an alarm: the process was stopped and goes on
	CMPQ AX, $-4
	JNE  failed
	MOVQ LOOP_alarm(BX), DX
	TESTQ DX, DX
	JZ   failed
	MOVQ (DX), DX
	CMPQ DX, LOOP_seen(BX)
	JE   call
	JMP  failed

again:                          // the word decides before an alarm does: what came is taken
	MOVQ ENTRY_while(R12), DX
	MOVL (DX), AX
	CMPL AX, ENTRY_whileIs(R12)
	JNE  called
	MOVQ LOOP_alarm(BX), DX
	TESTQ DX, DX
	JZ   call
	MOVQ (DX), DX
	CMPQ DX, LOOP_seen(BX)
	JE   call
	MOVQ $-4, AX            // EINTR

failed:
	MOVQ AX, LOOP_Result(BX)
	MOVQ R15, LOOP_Done(BX)
	MOVQ $1, AX
	RET

interrupted:                    // within an iteration: its first reading is taken already
	MOVQ $0, LOOP_Result(BX)
	JMP  iterate

iterated:
	MOVQ LOOP_Sum(BX), DX
	TESTQ DX, DX
	JZ   summed
	MOVQ (DX), AX
	ADDQ AX, LOOP_Total(BX)

summed:
	INCQ R15
	MOVQ R15, LOOP_Done(BX)
	MOVQ LOOP_stamps(BX), DI
	TESTQ DI, DI
	JZ   stamped
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, (DI)(R15*8)

stamped:
	MOVQ LOOP_Until(BX), DX
	TESTQ DX, DX
	JZ   unlimited
	MOVQ (DX), AX
	CMPQ AX, LOOP_Limit(BX)
	JAE  ended

unlimited:
	MOVQ LOOP_alarm(BX), DX
	TESTQ DX, DX
	JZ   begin
	MOVQ (DX), DX
	CMPQ DX, LOOP_seen(BX)
	JE   begin
	CMPQ R15, LOOP_N(BX)
	JAE  ended
	MOVQ $0, LOOP_At(BX)
	MOVQ $-4, AX            // EINTR
	JMP  failed

ended:
	MOVQ $0, LOOP_At(BX)
	XORQ AX, AX
	RET

// func run(l *account) uintptr
TEXT ·run(SB), NOSPLIT, $8-16
	MOVQ l+0(FP), BX
	CALL loop<>(SB)
	MOVQ AX, ret+8(FP)
	RET

// func ticks() uint64
TEXT ·ticks(SB), NOSPLIT, $0-8
	LFENCE                  // not before what was read already
	RDTSC
	SHLQ $32, DX
	ORQ  DX, AX
	MOVQ AX, ret+0(FP)
	RET

// func spawn(flags uintptr, stack uintptr, ptid, ctid *int32, l *account) int
//
// The new thread or child starts on an empty stack with BX pointing at its
// Loop, runs it and those after it, and leaves by exit(2). It shares nothing
// with the Go runtime but its address space.
TEXT ·spawn(SB), NOSPLIT, $0-48
	MOVQ flags+0(FP), DI
	MOVQ stack+8(FP), SI
	MOVQ ptid+16(FP), DX
	MOVQ ctid+24(FP), R10
	XORQ R8, R8
	MOVQ l+32(FP), BX
	MOVQ $56, AX            // clone
	SYSCALL
	TESTQ AX, AX
	JZ   child
	MOVQ AX, ret+40(FP)
	RET

child:
	XORQ BP, BP

chain:
	CALL loop<>(SB)
	TESTQ AX, AX
	JNE  broken
	MOVL $1, AX
	XCHGL AX, LOOP_state(BX)
	MOVQ LOOP_next(BX), BX
	TESTQ BX, BX
	JNE  chain
	XORQ DI, DI
	JMP  exit

broken:
	MOVL $2, AX
	XCHGL AX, LOOP_state(BX)
	MOVQ $1, DI

exit:
	MOVQ $60, AX            // exit
	SYSCALL
	JMP  exit

// The signal handler: one more run of this signal. It may run on any thread,
// with or without a g, and touches nothing but its counter. Each signal has
// one receiver at a time, so the count needs no lock.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVLQSX DI, DI
	LEAQ ·handlerRuns(SB), AX
	MOVQ (AX), AX
	INCQ (AX)(DI*8)
	RET

// The kernel returns from a handler by what sa_restorer points at: rt_sigreturn(2).
TEXT ·restorer(SB), NOSPLIT|NOFRAME, $0
	MOVQ $15, AX
	SYSCALL
	INT $3

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	LEAQ ·handler(SB), AX
	MOVQ AX, ret+0(FP)
	RET

// func restorerPC() uintptr
TEXT ·restorerPC(SB), NOSPLIT, $0-8
	LEAQ ·restorer(SB), AX
	MOVQ AX, ret+0(FP)
	RET
