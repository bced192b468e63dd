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

// loop runs the Loop at R19. It returns 0 in R0 when the loop has ended as
// wanted and 1 otherwise. It needs no stack, no g and no thread-local storage.
// R20 is the entry in hand, R21 the index of it, R22 the Loop's Done.
// The kernel preserves every register but R0 across a call.
TEXT loop<>(SB), NOSPLIT|NOFRAME, $0
	MOVD LOOP_Done(R19), R22
	MOVD LOOP_At(R19), R21
	MOVD LOOP_Result(R19), R9
	CBNZ R9, interrupted
	MOVD LOOP_stamps(R19), R9
	CBZ  R9, begin
	ISB  $15
	MRS  CNTVCT_EL0, R10
	MOVD R10, (R9)(R22<<3)

begin:
	MOVD LOOP_N(R19), R9
	CMP  R9, R22
	BHS  ended
	MOVD ZR, R21

iterate:
	MOVD LOOP_calls(R19), R20
	ADD  R21<<7, R20, R20   // * ENTRY_size

next:
	MOVD LOOP_ncalls(R19), R9
	CMP  R9, R21
	BHS  iterated
	MOVD R21, LOOP_At(R19)  // so that others can say where a stuck party waits
	MOVD ENTRY_set(R20), R9
	CBZ  R9, test
	MOVD ENTRY_setTo(R20), R10
	MOVD ENTRY_flags(R20), R11
	TBNZ $1, R11, stamp
	TBNZ $2, R11, advance
	TBNZ $3, R11, each
	TBNZ $4, R11, handled
	TBNZ $5, R11, note
	TBNZ $6, R11, spin
	DMB  $0xb
	STLRW R10, (R9)
	DMB  $0xb

test:
	MOVD ENTRY_while(R20), R9
	CBZ  R9, call
	LDARW (R9), R10
	MOVWU ENTRY_whileIs(R20), R11
	CMPW R11, R10
	BNE  called

call:
	MOVD (ENTRY_args+0)(R20), R0
	MOVD ENTRY_load(R20), R9
	CBZ  R9, loaded
	MOVW (R9), R0

loaded:
	MOVD (ENTRY_args+8)(R20), R1
	MOVD (ENTRY_args+16)(R20), R2
	MOVD (ENTRY_args+24)(R20), R3
	MOVD (ENTRY_args+32)(R20), R4
	MOVD (ENTRY_args+40)(R20), R5
	MOVD (R20), R8
	SVC
	MOVD ENTRY_want(R20), R9
	CMP  R9, R0
	BNE  odd

wanted:
	MOVD ENTRY_save(R20), R9
	CBZ  R9, saved
	MOVW R0, (R9)

saved:
	MOVD ENTRY_while(R20), R9
	CBNZ R9, again          // a wait ends by its word, not by its result

called:
	ADD  $ENTRY_size, R20
	ADD  $1, R21
	B    next

stamp:
	AND  R22, R10
	ISB  $15
	MRS  CNTVCT_EL0, R11
	MOVD R11, (R9)(R10<<3)
	B    called

advance:
	MOVD 8(R9), R11
	ADD  R10, R11
	MOVD $1000000000, R12
	CMP  R12, R11
	BLO  advanced
	SUB  R12, R11
	MOVD (R9), R10
	ADD  $1, R10
	MOVD R10, (R9)

advanced:
	MOVD R11, 8(R9)
	B    called

spin:                           // args: the value
	TBNZ $7, R11, queue
	TBNZ $8, R11, take
	MOVD (ENTRY_args+0)(R20), R11
	MRS  CNTVCT_EL0, R12
	ADD  R12, R10           // when it is enough

spinning:
	LDARW (R9), R12
	CMPW R11, R12
	BNE  called
	YIELD
	MRS  CNTVCT_EL0, R12
	CMP  R10, R12
	BLO  spinning
	B    called

queue:
	MOVWU (R9), R11         // nobody else writes the tail
	ADDW R10, R11
	STLRW R11, (R9)
	B    called

take:                           // args: tail, completions, mask, data, flags, calls on if there is none
	MOVWU (R9), R11         // nobody else writes the head
	MOVD (ENTRY_args+0)(R20), R12
	LDARW (R12), R12
	CMPW R11, R12
	BEQ  none
	MOVD (ENTRY_args+16)(R20), R13
	AND  R11, R13
	MOVD (ENTRY_args+8)(R20), R12
	ADD  R13<<4, R12, R13
	MOVD (R13), R12
	MOVW 8(R13), R14
	MOVWU 12(R13), R15
	ADDW $1, R11
	STLRW R11, (R9)
	MOVD (ENTRY_args+24)(R20), R9
	CMP  R9, R12
	BNE  other
	MOVD ENTRY_want(R20), R9
	CMP  R9, R14
	BNE  oddly

taken:
	AND  $2, R15
	MOVD (ENTRY_args+32)(R20), R9
	CMP  R9, R15
	BNE  flagged
	ADD  R10, R21
	ADD  $1, R21
	B    iterate

oddly:
	MOVD ENTRY_refused(R20), R9
	CBZ  R9, unlike
	CMP  R9, R14
	BNE  unlike
	MOVD LOOP_Refused(R19), R9
	ADD  $1, R9
	MOVD R9, LOOP_Refused(R19)
	B    taken

unlike:
	MOVD R14, R0
	B    failed

other:
	TBNZ $63, R14, unlike   // what failed says more than whose it is
	ORR  $(1<<62), R12, R0
	B    failed

flagged:
	ORR  $(1<<61), R15, R0
	B    failed

none:                           // an alarm that came in a call which returned for another reason
	MOVD (ENTRY_args+40)(R20), R9
	ADD  R9, R21
	MOVD LOOP_alarm(R19), R9
	CBZ  R9, iterate
	MOVD (R9), R9
	MOVD LOOP_seen(R19), R10
	CMP  R9, R10
	BEQ  iterate
	MOVD $-4, R0            // EINTR
	B    failed

each:                           // args: events, the next of them, their end, calls to skip after
	MOVW (R9), R10
	MOVD (ENTRY_args+0)(R20), R11
	ADD  R10<<4, R11, R12   // struct epoll_event is padded here
	MOVD R11, (ENTRY_args+8)(R20)
	MOVD R12, (ENTRY_args+16)(R20)

pick:
	MOVD (ENTRY_args+8)(R20), R9
	MOVD (ENTRY_args+16)(R20), R10
	CMP  R10, R9
	BHS  picked
	ADD  $16, R9, R11
	MOVD R11, (ENTRY_args+8)(R20)
	MOVD 8(R9), R10         // the handler's name
	ADD  R10, R21
	B    iterate

picked:
	MOVD (ENTRY_args+24)(R20), R9
	ADD  R9, R21
	B    iterate

handled:                        // args: calls back to each
	MOVD (ENTRY_args+0)(R20), R10
	SUB  R10, R21
	MOVD LOOP_calls(R19), R20
	ADD  R21<<7, R20, R20
	B    pick

note:                           // args: value, full, calls back
	MOVD (ENTRY_args+0)(R20), R11
	MOVD (R11), R12
	CBZ  R12, called
	MOVD ZR, (R11)
	MOVD (R9), R13
	AND  R13, R10
	ADD  R10<<4, R9, R10
	ISB  $15
	MRS  CNTVCT_EL0, R11
	MOVD R11, 16(R10)
	MOVD R12, 24(R10)
	MOVD 8(R9), R11
	ADD  R12, R11
	MOVD R11, 8(R9)
	ADD  $1, R13
	STLR R13, (R9)          // last, for whoever reads the log
	MOVD (ENTRY_args+8)(R20), R10
	CMP  R10, R12
	BNE  called
	MOVD (ENTRY_args+16)(R20), R10
	SUB  R10, R21
	B    iterate

odd:
	MOVD ENTRY_while(R20), R9
	CBZ  R9, notwait
	CMN  $11, R0            // EAGAIN: the word had changed already
	BEQ  again

notwait:
	MOVD ENTRY_flags(R20), R9
	TBZ  $0, R9, exact
	MOVD $-4096, R9
	CMP  R9, R0
	BLS  wanted             // unsigned: any result that is no errno

exact:
	MOVD ENTRY_refused(R20), R9
	CBZ  R9, unwanted
	CMP  R9, R0
	BNE  unwanted
	MOVD LOOP_Refused(R19), R9
	ADD  $1, R9
	MOVD R9, LOOP_Refused(R19)
	B    called

unwanted:                       // EINTR without an alarm: the process was stopped and goes on
	CMN  $4, R0
	BNE  failed
	MOVD LOOP_alarm(R19), R9
	CBZ  R9, failed
	MOVD (R9), R9
	MOVD LOOP_seen(R19), R10
	CMP  R9, R10
	BEQ  call
	B    failed

again:                          // the word decides before an alarm does: what came is taken
	MOVD ENTRY_while(R20), R9
	LDARW (R9), R10
	MOVWU ENTRY_whileIs(R20), R11
	CMPW R11, R10
	BNE  called
	MOVD LOOP_alarm(R19), R9
	CBZ  R9, call
	MOVD (R9), R9
	MOVD LOOP_seen(R19), R10
	CMP  R9, R10
	BEQ  call
	MOVD $-4, R0            // EINTR

failed:
	MOVD R0, LOOP_Result(R19)
	MOVD R22, LOOP_Done(R19)
	MOVD $1, R0
	RET

interrupted:                    // within an iteration: its first reading is taken already
	MOVD ZR, LOOP_Result(R19)
	B    iterate

iterated:
	MOVD LOOP_Sum(R19), R9
	CBZ  R9, summed
	MOVD (R9), R10
	MOVD LOOP_Total(R19), R11
	ADD  R10, R11
	MOVD R11, LOOP_Total(R19)

summed:
	ADD  $1, R22
	MOVD R22, LOOP_Done(R19)
	MOVD LOOP_stamps(R19), R9
	CBZ  R9, stamped
	ISB  $15
	MRS  CNTVCT_EL0, R10
	MOVD R10, (R9)(R22<<3)

stamped:
	MOVD LOOP_Until(R19), R9
	CBZ  R9, unlimited
	MOVD (R9), R10
	MOVD LOOP_Limit(R19), R11
	CMP  R11, R10
	BHS  ended

unlimited:
	MOVD LOOP_alarm(R19), R9
	CBZ  R9, begin
	MOVD (R9), R9
	MOVD LOOP_seen(R19), R10
	CMP  R9, R10
	BEQ  begin
	MOVD LOOP_N(R19), R9
	CMP  R9, R22
	BHS  ended
	MOVD ZR, LOOP_At(R19)
	MOVD $-4, R0            // EINTR
	B    failed

ended:
	MOVD ZR, LOOP_At(R19)
	MOVD ZR, R0
	RET

// func run(l *account) uintptr
TEXT ·run(SB), NOSPLIT, $16-16
	MOVD l+0(FP), R19
	CALL loop<>(SB)
	MOVD R0, ret+8(FP)
	RET

// func ticks() uint64
TEXT ·ticks(SB), NOSPLIT, $0-8
	ISB  $15
	MRS  CNTVCT_EL0, R0
	MOVD R0, ret+0(FP)
	RET

// func spawn(flags uintptr, stack uintptr, ptid, ctid *int32, l *account) int
//
// The new thread or child starts on an empty stack with R19 pointing at its
// Loop, runs it and those after it, and leaves by exit(2). It shares nothing
// with the Go runtime but its address space.
TEXT ·spawn(SB), NOSPLIT, $0-48
	MOVD flags+0(FP), R0
	MOVD stack+8(FP), R1
	MOVD ptid+16(FP), R2
	MOVD ZR, R3
	MOVD ctid+24(FP), R4
	MOVD l+32(FP), R19
	MOVD $220, R8           // clone
	SVC
	CBZ  R0, child
	MOVD R0, ret+40(FP)
	RET

child:
	MOVD ZR, R29

chain:
	CALL loop<>(SB)
	CBNZ R0, broken
	MOVD $1, R9
	MOVD $LOOP_state(R19), R10
	STLRW R9, (R10)
	MOVD LOOP_next(R19), R19
	CBNZ R19, chain
	MOVD ZR, R0
	B    exit

broken:
	MOVD $2, R9
	MOVD $LOOP_state(R19), R10
	STLRW R9, (R10)
	MOVD $1, R0

exit:
	MOVD $93, R8            // exit
	SVC
	B    exit

// The signal handler: one more run of this signal. It may run on any thread,
// with or without a g, and touches nothing but its counter. Each signal has
// one receiver at a time, so the count needs no lock. It returns to the
// kernel's own trampoline in the vDSO.
TEXT ·handler(SB), NOSPLIT|NOFRAME, $0
	MOVD $·handlerRuns(SB), R9
	MOVD (R9), R9
	SXTW R0, R0
	MOVD (R9)(R0<<3), R10
	ADD  $1, R10
	MOVD R10, (R9)(R0<<3)
	RET

// func handlerPC() uintptr
TEXT ·handlerPC(SB), NOSPLIT, $0-8
	MOVD $·handler(SB), R0
	MOVD R0, ret+0(FP)
	RET
